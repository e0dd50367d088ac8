#pragma once

#include <functional>

#include <gpucnn/gpucnn.h>

/// How long a run will go on, by what it has taken so far. What an epoch takes besides its training, for the test and the files, is
/// known once the next has begun. A run that may stop early has this much at most.
class TimeLeft {
 public:
  /// `now` tells seconds since some moment, and never runs backwards.
  explicit TimeLeft(std::function<double()> now);

  /// Seconds from here to the end of the last epoch.
  double operator()(const gpucnn::Progress& progress);

 private:
  std::function<double()> now_;
  int epoch_ = 0;       // the present one; 0: none
  double begin_ = 0;    // when it began
  double trained_ = 0;  // seconds of training in it
  double before_ = 0;   // seconds of training in the epoch before it; 0: not known
  double rest_ = 0;     // seconds that an epoch takes besides; 0: not known
};
