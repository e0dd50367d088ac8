#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

struct ExportCOptions {
  /// How a weight is written. Both give back the same float. Hexadecimal ones are exact by C99's rules; decimal ones make a smaller
  /// file, and are exact where the compiler rounds to nearest, as gcc and clang do.
  enum class Numbers : std::uint8_t { hexadecimal, decimal };

  /// The first word of every name in the file: `network` gives `network_predict`. What C does not take in a name becomes `_`.
  std::string name = "network";
  Numbers numbers = Numbers::hexadecimal;
  std::vector<std::string> class_names = {};  ///< of the outputs, in their order; may be empty
  std::vector<double> mean = {}, std = {};    ///< of each input channel, as the network was trained with; both may be empty
};

/// Writes what `predict` computes as one C99 file that needs no library and no heap:
///
///     void network_predict(const float *input, float *output);
///
/// input: one image, [C, H, W] in PyTorch's order, normalised as in training; output: what the network makes of it. The two must
/// not overlap. BatchNorm2d is folded into the convolution before it; Dropout is left out. Buffers are static, so one call at a
/// time; memory that a layer no longer needs is used again. A comment says how many bytes that is, and what of <math.h> is needed.
///
/// x: the shape of one input, as [1, 3, 32, 32]. The file appears whole or not at all, as one of save_safetensors.
///
/// Throws `std::invalid_argument` if the shape does not fit or is not of one input, if a weight is NaN or infinite, for which C has
/// no constant, or if class_names, mean or std do not fit the network. Throws `std::logic_error` for a layer that cannot be
/// exported, and `OutputError` if the file cannot be written.
GPUCNN_API void export_c(const Module& model, const Shape& x, const std::filesystem::path& file,
                         const ExportCOptions& options = {});

}  // namespace gpucnn
