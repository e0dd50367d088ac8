#pragma once

#include <span>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/conv/conv2d.h>
#include <gpucnn/kernels/pool/pool2d_options.h>

/// Conv2d, ReLU and MaxPool2d in one pass, once or several times over: what they compute one after the other, an image at a time,
/// without their activations in memory between them.
namespace gpucnn::kernels {

/// Whether there is such a pass: on the CPU, for windows of 3x3 with stride 1, padding 1, dilation 1 and one group, pooled 2x2 with
/// stride 2 and no padding, for any channels and sizes.
bool conv2d_relu_pool_serves(const Conv2dOptions& conv, const Pool2d& pool, Device device);

/// Weights and bias as the forward multiplies them, kept from call to call: as long as they do not change, as in inference, nobody
/// lays them out anew, and each core finds them in its cache. For one convolution; one thread at a time.
class Conv2dReluPoolWeights {
 public:
  struct Packed {
    const float *weights, *biases, *transforms;  // as ForwardBand's
    float max_input;                             // magnitude of inputs up to which all sums are finite; negative: none
  };
  /// Packs them, unless they have the bits of the last call.
  Packed pack(const Tensor& weight, const Tensor& bias);

 private:
  Tensor weight_, bias_;  // those that the rest was made of
  Tensor packed_;
  float max_input_ = -1;
};

/// Convolutions in a pass, at most.
inline constexpr std::size_t kMostConvolutions = 8;

/// One convolution of a pass, with its ReLU and pooling.
struct Conv2dReluPool {
  Tensor weight;  // f32 [K, C, 3, 3]
  Tensor bias;    // f32 [K]; undefined: none
  /// f32. Of the first convolution: [N, C, H, W], H and W at least 2. Of the others, where a backward will follow, memory for what
  /// the one before gives, as `conv2d_relu_pool_memory` makes it; else undefined.
  Tensor x;
  /// u8 [N, K, H / 2, W / 2]: the winner's place in its window as `max_pool2d` gives it, or 4 where ReLU lets no gradient through.
  /// Undefined in all convolutions where no backward will follow.
  Tensor place;
  Conv2dReluPoolWeights* kept = nullptr;  // for the next forward with the same weights; the backward needs none
};

/// Whether an image of shape [C, H, W] and all that a pass makes of it, with these numbers of output channels, is small enough to
/// stay in a core's cache from one convolution to the next. False if a convolution is given less than 2 rows or columns.
bool conv2d_relu_pool_fits(const Shape& image, std::span<const std::int64_t> channels);

/// Memory for the x, [N, C, H, W], of a convolution that is not the first: its layout is the pass's own. Throws
/// `std::invalid_argument` for an x that the pass does not take.
Tensor conv2d_relu_pool_memory(const Shape& x);

/// y = max_pool2d(relu(conv2d(x, weight) + bias)) of each convolution in turn, with their rules for ties and NaN; of outputs that
/// differ by rounding either may win. From 8 channels on errors are relative to the largest product in a window's 4x4 patch of x.
/// y: f32 [N, K, H / 2, W / 2] of the last convolution, or what `flatten` makes of that, [N, K * (H / 2) * (W / 2)].
void conv2d_relu_pool(std::span<Conv2dReluPool> convolutions, Tensor& y, Stream& stream);

/// Where the gradients of a convolution's parameters go.
struct Conv2dReluPoolGradients {
  Tensor dweight;  // f32, weight's shape
  Tensor dbias;    // f32, bias's shape; undefined: not wanted
  Conv2dPlan::Accumulate accumulate{};
};

/// The gradients, from dy, of y's shape, and what the forward left in `convolutions`. Only winners have a gradient, so that only
/// their quarter of the convolution's backward is computed: the three zeros beside each winner are left out, with any infinity or
/// NaN that they would be multiplied with. Results below 2^-126 may be 0; the forward keeps them, for they decide who wins. dx: the
/// first x's shape; undefined: not wanted. Sums over images do not depend on the number of threads.
void conv2d_relu_pool_backward(std::span<const Conv2dReluPool> convolutions, const Tensor& dy,
                               std::span<Conv2dReluPoolGradients> gradients, Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels
