#include "display.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include <fmt/format.h>

using namespace gpucnn;

namespace {

constexpr double kRedraw = 0.1;                 // seconds between redraws
constexpr const char* kClearLine = "\r\x1b[K";  // back to the start of the line, and erase it

std::string clock_of(double seconds) {
  const auto whole = static_cast<long long>(seconds + 0.5);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

Display::Display(bool quiet) : quiet_(quiet), terminal_(isatty(STDOUT_FILENO) == 1) {}

void Display::start(const std::string& line) const {
  if (quiet_) return;
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

void Display::progress(const Progress& progress) {
  if (quiet_ || !terminal_) return;
  if (progress.train.images < progress.images && progress.seconds >= drawn_ && progress.seconds - drawn_ < kRedraw) return;
  drawn_ = progress.seconds;
  const double done = static_cast<double>(progress.train.images) / static_cast<double>(progress.images);
  const double left = (static_cast<double>(progress.epochs - progress.epoch) + 1 - done) * progress.seconds / done;
  fmt::print("{}epoch {:>{}}/{}  {:>3.0f} %  loss {:.4f}  accuracy {:.4f}  {:.0f} images/s  {} left", kClearLine, progress.epoch,
             std::to_string(progress.epochs).size(), progress.epochs, done * 100, progress.train.loss(), progress.train.accuracy(),
             progress.images_per_second(), clock_of(left));
  std::fflush(stdout);
}

void Display::epoch(const EpochResult& result, int epochs) const {
  if (quiet_) return;
  fmt::print(
      "{}epoch {:>{}}/{}  loss {:.4f}  accuracy {:.4f}  test loss {:.4f}  test accuracy {:.4f}{}  {:.0f} images/s  {:.1f} s\n",
      terminal_ ? kClearLine : "", result.epoch, std::to_string(epochs).size(), epochs, result.train.loss(),
      result.train.accuracy(), result.test.loss(), result.test.accuracy(), result.best ? " *" : "  ", result.images_per_second,
      result.seconds);
  std::fflush(stdout);
}

void Display::interrupt() const {
  if (!quiet_ && terminal_) fmt::print("\n");
  std::fflush(stdout);
}

void Display::finish(const FitResult& result, double seconds, const std::filesystem::path& folder) const {
  const auto best = std::ranges::find(result.epochs.rbegin(), result.epochs.rend(), true, &EpochResult::best);
  const double images = std::accumulate(result.epochs.begin(), result.epochs.end(), 0.0, [](double sum, const EpochResult& epoch) {
    return sum + static_cast<double>(epoch.train.images);
  });
  const double training = std::accumulate(
      result.epochs.begin(), result.epochs.end(), 0.0,
      [](double sum, const EpochResult& epoch) { return sum + static_cast<double>(epoch.train.images) / epoch.images_per_second; });
  fmt::print("test accuracy {:.4f}, best {:.4f} in epoch {}; {:.1f} s, {:.0f} images/s; files in {}\n",
             result.epochs.back().test.accuracy(), best->test.accuracy(), best->epoch, seconds, images / training, folder.string());
}
