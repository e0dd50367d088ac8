#pragma once

#include <string>
#include <vector>

#include <gpucnn/data/tensor_dataset.h>

namespace gpucnn {

/// A classification task: images to learn from, images to be judged by, and what the labels are called.
struct DatasetSplits {
  TensorDataset train;
  TensorDataset test;
  std::vector<std::string> class_names;
};

}  // namespace gpucnn
