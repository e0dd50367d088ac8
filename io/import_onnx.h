#pragma once

#include <filesystem>
#include <memory>

#include <gpucnn/core/export.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/io/safetensors.h>
#include <gpucnn/layers/containers/sequential.h>

namespace gpucnn {

/// What `import_onnx` reads.
struct ImportedOnnx {
  std::unique_ptr<Sequential> model;  ///< with the file's weights
  Shape input;                        ///< of one image, [1, C, H, W], or of one row of features, [1, C]
  Metadata metadata;                  ///< the file's metadata_props
};

/// Reads an ONNX file as a network of layers, which predicts and can be trained on: what `export_onnx` writes, and what PyTorch's
/// `torch.onnx.export(model.eval(), …)` writes of networks of the layers that there are here. docs/onnx.md lists the operators.
/// Layers have PyTorch's names where the file has them.
///
/// Throws `DataError` if the file is missing or damaged, and for what the layers do not have: it names the node. So it does for
/// weights in other files than this one. Lengths are held against the size of the file before anything is allocated.
GPUCNN_API ImportedOnnx import_onnx(const std::filesystem::path& file);

}  // namespace gpucnn
