#pragma once

#include <cstdint>

#include <gpucnn/train/metrics.h>

namespace gpucnn {

/// How far a run has come: where `fit` begins or stopped, and what a checkpoint keeps of it. A new run begins with the defaults.
struct RunPosition {
  int epoch = 0;              ///< epochs that were finished: trained and tested
  std::int64_t batches = 0;   ///< of the epoch after them that were learned from
  Metrics train = {};         ///< what these batches came to
  double seconds = 0;         ///< that they took
  int best_epoch = 0;         ///< the first with the best test accuracy, from 1; 0 if none was finished
  double best_accuracy = -1;  ///< its test accuracy; -1 if none was finished
};

}  // namespace gpucnn
