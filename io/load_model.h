#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/data/normalize.h>
#include <gpucnn/io/safetensors.h>
#include <gpucnn/layers/containers/sequential.h>

namespace gpucnn {

/// A trained network and what belongs to it: normalize(images) of [N, image_shape] -> network -> logits [N, class_names.size()].
struct LoadedModel {
  std::unique_ptr<Sequential> network;   ///< on the CPU, in eval mode
  std::string name;                      ///< as `make_model` takes it
  std::vector<std::string> class_names;  ///< from the file: print them by `printable`
  Normalize normalize;                   ///< for images u8, or f32 from 0 to 1
  Shape image_shape;                     ///< [C, H, W] of the training images
  Metadata metadata;                     ///< all that the file says about itself
};

/// Reads a checkpoint that train_cifar wrote, best.safetensors or last.safetensors: `make_model` with the weights of the file.
///
/// Throws `DataError` that names what is wrong: what `load_safetensors` throws, a missing or damaged key of the metadata, a file of
/// a newer version of the library, tensors of other names or shapes than the model's, and weights that are NaN or infinite. Shapes
/// are compared before memory is taken for the model.
GPUCNN_API LoadedModel load_model(const std::filesystem::path& file);

}  // namespace gpucnn
