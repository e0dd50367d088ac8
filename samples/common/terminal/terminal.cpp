#include "common/terminal/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// Open MPI gives its ranks pseudo-terminals without a size, and what they print may go on into a file.
bool is_of_launcher() {
  winsize window{};
  return !variable("OMPI_COMM_WORLD_SIZE").empty() && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col == 0;
}

}  // namespace

Terminal Terminal::of_standard_output() {
  const bool is_one = isatty(STDOUT_FILENO) == 1 && !is_of_launcher();
  const std::string_view kind = variable("TERM");
  return {is_one, is_one && !kind.empty() && kind != "dumb" && variable("NO_COLOR").empty()};
}

std::size_t Terminal::width() {
  constexpr std::size_t kUnknown = 80;
  std::size_t asked = 0;
  const std::string_view columns = variable("COLUMNS");
  std::from_chars(columns.data(), columns.data() + columns.size(), asked);
  winsize window{};
  const std::size_t found = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 ? window.ws_col : 0;
  if (asked == 0 || found == 0) return asked + found > 0 ? asked + found : kUnknown;
  return std::min(asked, found);
}
