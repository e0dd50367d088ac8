#include "display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

using namespace gpucnn;

namespace {

constexpr double kRedraw = 0.1;                 // seconds between redraws
constexpr const char* kClearLine = "\r\x1b[K";  // back to the start of the line, and erase it

std::string clock_of(double seconds) {
  const auto whole = static_cast<long long>(seconds + 0.5);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string epoch_of(int epoch, int epochs) { return fmt::format("epoch {:>{}}/{}", epoch, std::to_string(epochs).size(), epochs); }

/// Leaves out the last fields of a line, which two spaces part, until the terminal can hold it: a line that wraps cannot be
/// redrawn.
std::string fit_terminal(std::string line) {
  winsize window{};
  const std::size_t width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
  while (line.size() >= width) line.resize(std::min(line.rfind("  "), width - 1));
  return line;
}

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace

Display::Display(bool quiet) : quiet_(quiet), terminal_(isatty(STDOUT_FILENO) == 1) {}

void Display::start(const std::string& line) const {
  if (!quiet_) print(line + '\n');
}

void Display::progress(const Progress& progress) {
  if (quiet_ || !terminal_) return;
  if (progress.train.images < progress.images && progress.seconds >= drawn_ && progress.seconds - drawn_ < kRedraw) return;
  drawn_ = progress.seconds;
  const double done = static_cast<double>(progress.train.images) / static_cast<double>(progress.images);
  const double left = (static_cast<double>(progress.epochs - progress.epoch) + 1 - done) * progress.seconds / done;
  print(kClearLine + fit_terminal(fmt::format("{}  {:>3.0f} %  loss {:.4f}  accuracy {:.4f}  {:.0f} images/s  {} left",
                                              epoch_of(progress.epoch, progress.epochs), done * 100, progress.train.loss(),
                                              progress.train.accuracy(), progress.images_per_second(), clock_of(left))));
}

void Display::epoch(const EpochResult& result, int epochs) const {
  if (quiet_) return;
  const std::string line =
      fmt::format("{}  loss {:.4f}  accuracy {:.4f}  test loss {:.4f}  test accuracy {:.4f}{}  {:.0f} images/s  {:.1f} s",
                  epoch_of(result.epoch, epochs), result.train.loss(), result.train.accuracy(), result.test.loss(),
                  result.test.accuracy(), result.best ? " *" : "", result.images_per_second, result.seconds);
  print((terminal_ ? kClearLine + fit_terminal(line) : line) + '\n');
}

void Display::interrupt() const {
  if (!quiet_ && terminal_) print("\n");
}

bool Display::finish(const FitResult& result, double seconds, const std::filesystem::path& folder) const {
  const auto best = std::ranges::find(result.epochs.rbegin(), result.epochs.rend(), true, &EpochResult::best);
  double images = 0, training = 0;
  for (const EpochResult& epoch : result.epochs) {
    images += static_cast<double>(epoch.train.images);
    training += static_cast<double>(epoch.train.images) / epoch.images_per_second;
  }
  print(fmt::format("test accuracy {:.4f}, best {:.4f} in epoch {}; {:.1f} s, {:.0f} images/s; files in {}\n",
                    result.epochs.back().test.accuracy(), best->test.accuracy(), best->epoch, seconds, images / training,
                    folder.string()));
  return std::ferror(stdout) == 0;
}
