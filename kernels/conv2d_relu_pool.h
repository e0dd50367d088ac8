#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/conv2d.h>
#include <gpucnn/kernels/max_pool2d.h>

/// Conv2d, ReLU and MaxPool2d in one pass: what they compute one after the other, without their activations in memory between them.
namespace gpucnn::kernels {

/// Whether there is such a pass: on the CPU, for windows of 3x3 with stride 1, padding 1, dilation 1 and one group, pooled 2x2 with
/// stride 2 and no padding, for any channels and sizes.
GPUCNN_API bool conv2d_relu_pool_serves(const Conv2dOptions& conv, const Pool2d& pool, Device device);

/// Weights and bias as the forward multiplies them, kept from call to call: as long as they do not change, as in inference, nobody
/// lays them out anew, and each core finds them in its cache. For one convolution; one thread at a time.
class GPUCNN_API Conv2dReluPoolWeights {
 public:
  struct Parts;

 private:
  friend struct Parts;
  Tensor weight_, bias_;  // those that the rest was made of
  Tensor packed_;
  float most_input_ = -1;  // that Winograd's products take; none if negative
};

/// y = max_pool2d(relu(conv2d(x, weight) + bias)), with their rules for ties and NaN; of outputs that differ by rounding either may
/// win. From 8 channels on errors are relative to the largest product in a window's 4x4 patch of x. x: [N, C, H, W], H and W at
/// least 2; weight: [K, C, 3, 3]; bias: [K], undefined: none; y: [N, K, H / 2, W / 2]; all f32.
/// `place`, u8 in y's shape: the winner's place in its window as `max_pool2d` gives it, or 4 where ReLU lets no gradient through.
/// Pass an undefined tensor where no backward will follow. `kept`: for the next call with the same weights.
GPUCNN_API void conv2d_relu_pool(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y, Tensor& place,
                                 Conv2dReluPoolWeights& kept, Stream& stream);

/// The gradients, from dy and the `place` that the forward gave, both in y's shape. Only winners have a gradient, so that only
/// their quarter of the convolution's backward is computed: the three zeros beside each winner are left out, with any infinity or
/// NaN that they would be multiplied with. dweight, dbias: added to what is there where `accumulate` says so; dbias is undefined
/// without a bias. dx: x's shape; undefined: not wanted. Sums over images do not depend on the number of threads.
GPUCNN_API void conv2d_relu_pool_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& place,
                                          Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias, Tensor& dx,
                                          Stream& stream);

}  // namespace gpucnn::kernels
