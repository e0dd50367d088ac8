#pragma once

#include <optional>
#include <string>
#include <vector>

#include <gpucnn/core/shape.h>
#include <gpucnn/data/normalize.h>
#include <gpucnn/io/safetensors.h>

namespace gpucnn {

/// What a checkpoint of train_cifar says of its model.
struct ModelMetadata {
  std::string model;         // a name that make_model takes, not checked
  std::optional<int> width;  // > 0
  std::vector<std::string> class_names;
  Shape image_shape;  // [C, H, W] without 0
  Normalize normalize;
};

/// Reads the metadata of `file`. Throws `DataError` that names the key which is missing or wrong. `num_classes` must be the number
/// of class names, and mean and std must have C values that Normalize takes. A `version` above this library's is refused.
ModelMetadata parse_model_metadata(const std::string& file, const Metadata& metadata);

}  // namespace gpucnn
