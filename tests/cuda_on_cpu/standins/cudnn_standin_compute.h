#pragma once

#include <array>
#include <cstdint>

namespace gpucnn::cudnn_standin {

/// [N, C, H, W]; in memory N, H, W, C.
struct Extents {
  std::int64_t N, C, H, W;
  std::int64_t numel() const { return N * C * H * W; }
  bool operator==(const Extents&) const = default;
};

/// A convolution of cuDNN's and, after a forward one, the bias that is added.
struct Convolution {
  enum class Pass { forward, backward_data, backward_weights };

  Pass pass = Pass::forward;
  Extents x{}, weight{}, y{};
  std::array<std::int64_t, 2> padding{}, stride{}, dilation{};  // padding: before the first row and column
  double alpha = 1, beta = 0;                                   // result = alpha convolution + beta result
  bool adds = false;
  double alpha_sum = 1, alpha_bias = 1;  // y = alpha_sum result + alpha_bias bias
  bool rounds_to_tf32 = false;           // the factors of every product
  bool bf16 = false;                     // every tensor; otherwise f32
};

/// Writes y, x or weight as the pass says, from the other two; `bias` is read if `adds`. Sums are of double.
void compute(const Convolution& c, void* x, void* weight, const void* bias, void* y);

}  // namespace gpucnn::cudnn_standin
