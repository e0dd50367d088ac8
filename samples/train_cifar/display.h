#pragma once

#include <filesystem>
#include <string>

#include <gpucnn/gpucnn.h>

/// What a person sees of a run: on a terminal one line per epoch, redrawn; otherwise plain lines. A standard output that cannot be
/// written does not stop a run.
class Display {
 public:
  explicit Display(bool quiet);

  void start(const std::string& line) const;
  void progress(const gpucnn::Progress& progress);
  void epoch(const gpucnn::EpochResult& result, int epochs) const;
  /// Ends a line that is being redrawn, before something else is printed.
  void interrupt() const;
  /// Returns whether all that was printed has arrived.
  bool finish(const gpucnn::FitResult& result, double seconds, const std::filesystem::path& folder) const;

 private:
  bool quiet_, terminal_;
  double drawn_ = 0;  // seconds of the epoch at the last redraw
};
