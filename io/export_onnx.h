#pragma once

#include <filesystem>

#include <gpucnn/core/export.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/io/safetensors.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// Options of `export_onnx`.
struct OnnxOptions {
  bool fold_batch_norm = false;  ///< whether convolutions do the work of the BatchNorm2d behind them: see ModelGraph
  Metadata metadata = {};        ///< for the file's metadata_props, as {"class_names", "cat,dog"}
};

/// Writes what a model computes in `predict` as an ONNX file of operator set 17, which ONNX Runtime and OpenCV read:
/// https://onnx.ai/onnx/repo-docs/IR.html. x is the shape of its input, as [1, 3, 32, 32]. The file's input, "input", and its
/// output, "output", take any number of images, "N", of that size. Dropout and Identity are left out. Weights are f32 under
/// PyTorch's names, whatever the model's device and precision.
///
/// The file appears whole or not at all, as those of `save_safetensors`. Throws `OutputError` if it cannot be written, or would be
/// larger than the 2 GiB that the format allows. Throws `std::invalid_argument` if x does not fit the model, or a text of
/// `metadata` is not UTF-8. Throws `std::logic_error` that names the layer if its class does not override `Module::add_to`.
GPUCNN_API void export_onnx(const Module& model, const Shape& x, const std::filesystem::path& file,
                            const OnnxOptions& options = {});

}  // namespace gpucnn
