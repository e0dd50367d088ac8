#include "common/display.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/fields.h"
#include "common/write_all.h"

using namespace gpucnn;

namespace {

constexpr std::size_t kAnyWidth = std::numeric_limits<std::size_t>::max();
constexpr double kRedraw = 0.1;                 // seconds between redraws
constexpr const char* kClearLine = "\r\x1b[K";  // back to the start of the line, and erase it

std::string clock_of(double seconds) {
  const auto whole = std::llround(seconds);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string epoch_of(int epoch, int epochs) { return fmt::format("epoch {:>{}}/{}", epoch, std::to_string(epochs).size(), epochs); }

}  // namespace

Display::Display(bool quiet) : quiet_(quiet) {}

Display::~Display() { end_line(); }

void Display::print(const std::string& text) noexcept {
  if (const int error = write_all(STDOUT_FILENO, text); error_ == 0) error_ = error;
}

void Display::start(const std::string& line) {
  if (!quiet_) print(printable(line) + '\n');
}

void Display::progress(const Progress& progress) {
  if (quiet_ || !terminal_.can_erase) return;
  if (progress.train.images < progress.images && progress.seconds >= drawn_ && progress.seconds - drawn_ < kRedraw) return;
  drawn_ = progress.seconds;
  redrawing_ = true;
  const double done = static_cast<double>(progress.train.images) / static_cast<double>(progress.images);
  const double left = (static_cast<double>(progress.epochs - progress.epoch) + 1 - done) * progress.seconds / done;
  // The last column stays free: some terminals go to the next line with it.
  print(kClearLine + fit_fields({{epoch_of(progress.epoch, progress.epochs), 5},
                                 {fmt::format("{:>3.0f} %", done * 100), 4},
                                 {fmt::format("loss {:.4f}", progress.train.loss()), 1},
                                 {fmt::format("accuracy {:.4f}", progress.train.accuracy()), 3},
                                 {fmt::format("{:.0f} images/s", progress.images_per_second()), 0},
                                 {fmt::format("{} left", clock_of(left)), 2}},
                                Terminal::width() - 1));
}

void Display::epoch(const EpochResult& result, int epochs) {
  if (quiet_) return;
  const std::string line = fit_fields({{epoch_of(result.epoch, epochs), 5},
                                       {fmt::format("loss {:.4f}", result.train.loss()), 3},
                                       {fmt::format("accuracy {:.4f}", result.train.accuracy()), 4},
                                       {fmt::format("test loss {:.4f}", result.test.loss()), 2},
                                       {fmt::format("test accuracy {:.4f}", result.test.accuracy()), 7},
                                       {result.best ? "*" : "", 6, result.best ? " " : ""},
                                       {fmt::format("{:.0f} images/s", result.images_per_second), 1},
                                       {fmt::format("{:.1f} s", result.seconds), 0}},
                                      terminal_.is_one ? Terminal::width() : kAnyWidth);
  print((terminal_.can_erase ? kClearLine : "") + line + '\n');
  redrawing_ = false;
}

void Display::end_line() {
  if (std::exchange(redrawing_, false)) print("\n");
}

int Display::finish(const FitResult& result, double seconds, const std::filesystem::path& folder) {
  if (result.epochs.empty()) {
    print(fmt::format("nothing to do: all {} epochs are done, the best with test accuracy {:.4f}; files in {}\n",
                      result.position.epoch, result.position.best_accuracy, printable(folder.string())));
    return error_;
  }
  double images = 0, training = 0;
  for (const EpochResult& epoch : result.epochs) {
    images += static_cast<double>(epoch.train.images);
    training += static_cast<double>(epoch.train.images) / epoch.images_per_second;
  }
  const std::vector<Field> fields{
      {fmt::format("test accuracy {:.4f}", result.epochs.back().test.accuracy()), 3},
      {fmt::format("best {:.4f} in epoch {}", result.position.best_accuracy, result.position.best_epoch), 2, ", "},
      {fmt::format("{:.1f} s", seconds), 1, "; "},
      {fmt::format("{:.0f} images/s", images / training), 0, ", "}};
  const std::string files = fmt::format("files in {}", printable(folder.string()));
  const std::string line = fit_fields(fields, kAnyWidth) + "; " + files;
  // Where a terminal has no room for all in one line, the name of the folder has one of its own: it must not be left out.
  const std::size_t width = terminal_.is_one ? Terminal::width() : kAnyWidth;
  print((line.size() <= width ? line : fit_fields(fields, width) + '\n' + files) + '\n');
  return error_;
}
