#include "common/terminal/display.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/terminal/fields.h"
#include "common/write_all.h"

using namespace gpucnn;

namespace {

constexpr std::size_t kAnyWidth = std::numeric_limits<std::size_t>::max();
constexpr double kRedraw = 0.1;  // seconds between redraws

std::string clock_of(double seconds) {
  const auto whole = std::llround(seconds);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string epoch_of(int epoch, int epochs) { return fmt::format("epoch {:>{}}/{}", epoch, std::to_string(epochs).size(), epochs); }

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// A number of the judged images, as "validation loss 2.3026", or "val loss 2.3026" where that is too long.
Field field_of(const std::string& judged, const char* what, double number, int rank) {
  const auto text = [&](const std::string& name) { return fmt::format("{} {} {:.4f}", name, what, number); };
  return {.text = text(judged), .rank = rank, .brief = judged == "validation" ? text("val") : ""};
}

/// What a run that had nothing to do has come to.
std::string nothing_to_do(const Ending& ending, const std::string& judged) {
  const RunPosition& position = ending.result.position;
  const std::string done = ending.result.stalled
                               ? fmt::format("the run stopped early after {} of {} epochs", position.epoch, ending.epochs)
                               : fmt::format("all {} epochs are done", position.epoch);
  const std::string test = ending.test_accuracy ? fmt::format(" and test accuracy {:.4f}", *ending.test_accuracy) : "";
  return fmt::format("nothing to do: {}, the best with {} accuracy {:.4f}{}; files in {}\n", done, judged, position.best_accuracy,
                     test, printable(ending.folder.string()));
}

/// The numbers of the last line.
std::vector<Field> fields_of(const Ending& ending, const std::string& judged) {
  const FitResult& result = ending.result;
  double images = 0, training = 0;
  for (const EpochResult& epoch : result.epochs) {
    images += static_cast<double>(epoch.train.images);
    training += static_cast<double>(epoch.train.images) / epoch.images_per_second;
  }
  std::vector<Field> fields{
      field_of(judged, "accuracy", result.epochs.back().test.accuracy(), 5),
      {fmt::format("best {:.4f} in epoch {}", result.position.best_accuracy, result.position.best_epoch), 2, ", "}};
  if (ending.test_accuracy) fields.push_back({fmt::format("with test accuracy {:.4f}", *ending.test_accuracy), 4, " "});
  if (result.stalled)
    fields.push_back({fmt::format("stopped early after {} of {}", result.position.epoch, ending.epochs), 3, "; "});
  fields.push_back({fmt::format("{:.1f} s", ending.seconds), 1, "; "});
  fields.push_back({fmt::format("{:.0f} images/s", images / training), 0, ", "});
  return fields;
}

}  // namespace

Display::Display(bool quiet, std::string judged) : quiet_(quiet), judged_(std::move(judged)), left_(now) {}

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
  // The last column stays free: some terminals go to the next line with it.
  print(kClearLine + fit_fields({{epoch_of(progress.epoch, progress.epochs), 5},
                                 {fmt::format("{:>3.0f} %", done * 100), 4},
                                 {fmt::format("loss {:.4f}", progress.train.loss()), 1},
                                 {fmt::format("accuracy {:.4f}", progress.train.accuracy()), 3},
                                 {fmt::format("{:.0f} images/s", progress.images_per_second()), 0},
                                 {fmt::format("{} left", clock_of(left_(progress))), 2}},
                                Terminal::width() - 1));
}

void Display::epoch(const EpochResult& result, int epochs) {
  if (quiet_) return;
  const std::string line = fit_fields({{epoch_of(result.epoch, epochs), 5},
                                       {fmt::format("loss {:.4f}", result.train.loss()), 3},
                                       {fmt::format("accuracy {:.4f}", result.train.accuracy()), 4},
                                       field_of(judged_, "loss", result.test.loss(), 2),
                                       field_of(judged_, "accuracy", result.test.accuracy(), 7),
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

int Display::finish(const Ending& ending) {
  if (ending.result.epochs.empty()) {
    print(nothing_to_do(ending, judged_));
    return error_;
  }
  const std::vector<Field> fields = fields_of(ending, judged_);
  const std::string files = fmt::format("files in {}", printable(ending.folder.string()));
  const std::string line = fit_fields(fields, kAnyWidth) + "; " + files;
  // Where a terminal has no room for all in one line, the name of the folder has one of its own: it must not be left out.
  const std::size_t width = terminal_.is_one ? Terminal::width() : kAnyWidth;
  print((line.size() <= width ? line : fit_fields(fields, width) + '\n' + files) + '\n');
  return error_;
}
