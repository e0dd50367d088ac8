#pragma once

#include <cstdint>
#include <optional>

#include <gpucnn/core/random.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

/// The end of a classifier, with its loss and their backward, in one kernel of a GPU. Only `layers/fusion/` uses it.
namespace gpucnn::kernels {

/// What comes behind the products of a Linear: h = dropout(relu(products + bias)), and logits = h weight^T + bias. Then the mean of
/// -log softmax(logits)[n, labels[n]], as `softmax_cross_entropy` defines it.
struct LinearHead {
  Tensor products;                        // f32 [S, N, K]: slices that are added in order
  Tensor hidden_bias;                     // f32 [K]; undefined: none
  double p = 0;                           // of dropout
  std::optional<RandomStream> mask = {};  // none: no dropout
  Tensor weight;                          // f32 [C, K]
  Tensor bias;                            // f32 [C]; undefined: none
  Tensor labels;                          // i32 [N]
  std::int32_t ignore_index = -100;
};

/// What the kernel writes.
struct LinearHeadResults {
  Tensor logits;   // f32 [N, C]
  Tensor dhidden;  // f32 or bf16 [N, K]: the gradient of products + hidden_bias
  Tensor slices;   // f32 [linear_head_blocks(N), C * K + C]: of the weight's gradient and, behind it, the bias's if there is one
  Tensor parts;    // u8, as `linear_head_parts` makes it: what each block made of the loss
};

/// Whether it serves these numbers. K is a multiple of 4 and at most 512, C at most 32, N at most 65536. All that a block shares
/// fits in 64 KiB.
bool linear_head_serves(std::int64_t N, std::int64_t K, std::int64_t C) noexcept;

/// How many blocks share the rows: depends on their number alone.
std::int64_t linear_head_blocks(std::int64_t N) noexcept;

namespace cuda {

/// Memory for `parts`.
Tensor linear_head_parts(std::int64_t N, Device device);

/// Agrees with the layers one by one within rounding; h and the weight are f32 in every precision. REQUIRES: linear_head_serves. A
/// label that is neither a class nor `ignore_index` makes the loss and that row's gradients NaN.
void linear_head(const LinearHead& head, LinearHeadResults& results, Stream& stream);

/// The mean loss, f32 [], from the parts of a batch of N.
void linear_head_loss(const Tensor& parts, std::int64_t N, Tensor& loss, Stream& stream);

}  // namespace cuda
}  // namespace gpucnn::kernels
