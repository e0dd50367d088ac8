#pragma once

#include <span>

#include <gpucnn/core/precision.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/seen_values.h>
#include <gpucnn/kernels/conv/conv2d.h>
#include <gpucnn/kernels/image/ordered_batch.h>
#include <gpucnn/kernels/pool/pool2d_options.h>

/// A chain of convolutions, each with ReLU and MaxPool2d as its epilogue. On the CPU an image goes through the whole chain
/// at a time, so that the activations in between stay in the cache. On a GPU each convolution is a kernel.
namespace gpucnn::kernels {

/// Whether a convolution can be in a chain, for any channels and sizes. It must be 3x3 with stride 1, padding 1, dilation 1 and one
/// group. Its pooling must be 2x2 with stride 2 and no padding.
bool conv2d_relu_pool_serves(const Conv2dOptions& conv, const Pool2d& pool);

/// Whether the twin there is faster than the layers one by one, for an x of this shape and K output channels. On a GPU, unless most
/// of its tiles would lie outside of the image. On the CPU, unless the gradients of so many weights are faster by Winograd than
/// by the winners alone.
bool conv2d_relu_pool_pays(const Shape& x, std::int64_t K, Device device);

/// On the CPU, the packed weights and bias of one convolution, kept from call to call. They are packed again only if their values
/// have changed, in inference never, so that each core finds them in its cache. One thread at a time.
class Conv2dReluPoolWeights {
 public:
  struct Packed {
    const float *weights, *biases, *transforms;  // ForwardBand's weight, bias and transformed
    float max_input;                             // all sums are finite for inputs up to this magnitude; negative: for none
  };
  /// Packs them, rounded to bf16 if the precision says so, unless they have the values of the last call.
  Packed pack(const Tensor& weight, const Tensor& bias, Precision precision);

 private:
  cpu::SeenValues weight_, bias_;  // what was packed
  Precision precision_ = Precision::fp32;
  Tensor packed_;
  float max_input_ = -1;
  bool winograd_ = false;  // whether transforms were made
};

/// The longest chain.
inline constexpr std::size_t kMaxConvolutions = 8;

/// One convolution of a chain, with its ReLU and pooling.
struct Conv2dReluPool {
  /// f32 [K, C, 3, 3]. In bf16 the kernels round weight and bias as they load them, to what `cast` would have made of them.
  Tensor weight;
  Tensor bias;  // f32 [K]; undefined: none
  /// Of the precision's `activation_dtype`. The first convolution's is its input: [N, C, H, W], H and W at least 2. The others' is
  /// memory for the output of the one before, as `conv2d_relu_pool_memory` makes it, or undefined if no backward will follow.
  Tensor x;
  /// u8 [N, K, H / 2, W / 2]: the winner's index in its window, as `max_pool2d` gives it, or 4 where ReLU gave 0. Undefined in all
  /// convolutions if no backward will follow.
  Tensor argmax;
  Conv2dReluPoolWeights* kept = nullptr;  // for the forward on the CPU
  Precision precision = Precision::fp32;  // of those that the device has; in bf16 the CPU rounds x and dy, too
  /// x is the batch of this, still to be gathered. The forward gathers it, and writes x and the labels, with the bits of
  /// `ordered_batch`. Only for the first convolution, where `conv2d_relu_pool_gathers`.
  const OrderedBatch* gathers = nullptr;
};

/// Whether the forward there can gather this batch itself: on a GPU, at most 4 channels, without random_resized_crop, color_jitter
/// and cutout. Crops, flips and normalisation are in.
bool conv2d_relu_pool_gathers(const OrderedBatch& batch, Device device);

/// Whether an image of shape [C, H, W] and its activations in a chain with these numbers of output channels fit into a core's
/// cache, on the CPU. False if the input of a convolution has less than 2 rows or columns.
bool conv2d_relu_pool_fits(const Shape& image, std::span<const std::int64_t> channels);

/// Memory for the x, [N, C, H, W], of a convolution that is not the first, on the CPU in the padded layout. Throws
/// `std::invalid_argument` for a shape that cannot be in a chain.
Tensor conv2d_relu_pool_memory(const Shape& x, Device device);

/// y = max_pool2d(relu(conv2d(x, weight) + bias)) of each convolution in turn, with the same rules for ties and NaN. Of outputs
/// that differ by rounding either may win. y: of x's dtype, [N, K, H / 2, W / 2] of the last convolution, or flat, [N, K * (H / 2)
/// * (W / 2)].
///
/// From 8 channels on, on the CPU, this is Winograd F(2x2,3x3): errors are relative to the largest product in a window's 4x4 patch
/// of x.
void conv2d_relu_pool(std::span<Conv2dReluPool> convolutions, Tensor& y, Stream& stream);

/// The outputs of the backward for one convolution's parameters.
struct Conv2dReluPoolGradients {
  Tensor dweight;  // f32, weight's shape
  Tensor dbias;    // f32, bias's shape; undefined: not wanted
  Conv2dPlan::Accumulate accumulate{};
  bool may_wait = false;  // nobody reads them before the optimizer, whose kernel may add their slices
};

/// The gradients, from dy, of y's shape, and the x and argmax of the forward. dx: the first x's shape; undefined: not wanted. Sums
/// over images do not depend on the number of threads, nor on the GPU.
///
/// Only winners have a gradient. In dweight the three zeros beside each are left out in fp32, with any infinity or NaN that they
/// would be multiplied with. In tf32 and bf16 they are multiplied: an infinity or NaN in x makes NaN of its channel's dweight,
/// whatever has won.
///
/// In tf32 x and dy are rounded to tf32 for dweight, not for dbias. Sums are f32 in every precision. Those of tensor cores lose up
/// to 2^-15 of their largest part: 256 of their additions in a slice, each of which may lose 2^-23.
///
/// Results below 2^-126 may be 0. The forward keeps such numbers, because they decide which element wins.
void conv2d_relu_pool_backward(std::span<const Conv2dReluPool> convolutions, const Tensor& dy,
                               std::span<Conv2dReluPoolGradients> gradients, Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels
