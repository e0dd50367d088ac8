#pragma once

#include <cstdint>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/linear/gemm.h>

// Linear's forward for many images: y = epilogue(x weight^T + bias) with vectors of outputs.
namespace gpucnn::kernels {

/// Floats between the leaves of packed terms, and how many that is for all leaves of the largest vector.
inline constexpr std::int64_t kLeafPadding = 16, kPadding = 16 * kLeafPadding;

/// How an instruction set packs: a panel of weights has so many outputs. A tile has up to so many images, in rows of `image_width`.
struct PanelShape {
  std::int64_t outputs, images, image_width;
};

/// Rows of a matrix.
struct Rows {
  const float* from;
  std::int64_t count, stride;
};

/// A product of a tile of images and a panel of weights, both packed, over up to kTermsOfSum terms.
struct PanelTile {
  std::int64_t images, outputs, terms;
  const float *x, *weight;
  const float* bias;  // null without one
  float* y;
  std::int64_t y_stride;
  bool added;  // to y, instead of the bias
  Activation epilogue;
  Rows ahead;  // that will be read soon, as many terms of each
};

namespace cpu {

/// The product by panels, with the bits of `gemm_nt`. Packed weights are kept while a version tells that they are the same, as in
/// predictions: then they are packed in the second call for all later ones.
class OutputPanels {
 public:
  /// Whether packing pays for this product.
  static bool pay(std::int64_t N, std::int64_t I, std::int64_t O);
  /// On all threads. `version`: `Tensor::version` of the weights.
  void multiply(const GemmNT& p, std::uint64_t version);

 private:
  const float* weight_ = nullptr;  // of the last call, as are version_ and outputs_
  std::uint64_t version_ = 0;
  std::int64_t outputs_ = 0;  // of a panel; another instruction set has others
  Tensor packed_;             // undefined until they are kept
};

}  // namespace cpu
}  // namespace gpucnn::kernels
