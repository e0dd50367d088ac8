#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <gpucnn/gpucnn.h>

#include "common/terminal/terminal.h"
#include "common/terminal/time_left.h"

/// How a run ended.
struct Ending {
  const gpucnn::FitResult& result;
  int epochs;                           // that it might have had
  double seconds;                       // that it took
  std::optional<double> test_accuracy;  // of the best weights, where other images judged the epochs
  const std::filesystem::path& folder;
};

/// What a person sees of a run: on a terminal one line per epoch, redrawn; otherwise plain lines. A standard output that cannot be
/// written does not stop a run.
class Display {
 public:
  /// `judged` is by which images epochs are judged: "test" or "validation".
  Display(bool quiet, std::string judged);
  /// Ends a line that is being redrawn, so that what follows has its own.
  ~Display();
  Display(const Display&) = delete;
  Display& operator=(const Display&) = delete;

  void start(const std::string& line);
  void progress(const gpucnn::Progress& progress);
  void epoch(const gpucnn::EpochResult& result, int epochs);
  /// Ends a line that is being redrawn, before something else is printed.
  void end_line();
  /// Returns 0, or why some of what was printed has not arrived, as in errno.
  int finish(const Ending& ending);

 private:
  void print(const std::string& text) noexcept;

  bool quiet_;
  std::string judged_;
  Terminal terminal_ = Terminal::of_standard_output();
  bool redrawing_ = false;
  int error_ = 0;     // the first of standard output
  double drawn_ = 0;  // seconds of the epoch at the last redraw
  TimeLeft left_;
};
