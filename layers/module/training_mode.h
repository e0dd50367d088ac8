#pragma once

#include <utility>
#include <vector>

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// Training mode in a whole model while it lives. Afterwards each module is in the mode that it came in, which a frozen one shows
/// when it is learned again.
class TrainingMode {
 public:
  explicit TrainingMode(Module& model);
  ~TrainingMode();
  TrainingMode(const TrainingMode&) = delete;
  TrainingMode& operator=(const TrainingMode&) = delete;

 private:
  std::vector<std::pair<Module*, bool>> before_;
};

}  // namespace gpucnn
