#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include "common/command_line.h"
#include "common/exit_code.h"
#include "common/run_folder.h"
#include "common/stop_signal.h"
#include "config.h"
#include "options.h"
#include "session.h"

namespace {

/// A file must not be opened in place of a closed standard output or error: what is printed would go into it.
void open_standard_files() {
  int fd = 0;
  while ((fd >= 0 && fd <= STDERR_FILENO) || (fd < 0 && errno == EINTR)) fd = open("/dev/null", O_RDWR);
  if (fd > STDERR_FILENO) close(fd);
}

UsedFolder use_of(const Options& options) {
  if (options.resume) return UsedFolder::resume;
  return options.overwrite ? UsedFolder::overwrite : UsedFolder::refuse;
}

/// Of words without the program's name.
ExitCode run(const std::vector<std::string>& words) {
  Options options = parse_options(words);
  RunFolder folder(options.out, use_of(options));
  if (const auto config = options.resume ? folder.find("config.json") : std::nullopt) options = resumed_options(words, *config);
  return Session(options, folder)();
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_files();
  handle_stop_signals();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows too long is an error like a full disk
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away does not end hours of training
  try {
    return static_cast<int>(run(command_line::words_of(argc, argv)));
  } catch (...) {
    return static_cast<int>(fail_as_caught());
  }
}
