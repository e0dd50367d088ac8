#include <gpucnn/kernels/fused/conv2d_relu_pool.h>

#include <algorithm>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/clear_gradient.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/copy/flatten.h>
#include <gpucnn/kernels/fused/conv2d_relu_pool_cpu.h>
#include <gpucnn/kernels/fused/conv2d_relu_pool_cuda.h>
#include <gpucnn/kernels/fused/pooled_conv.h>
#include <gpucnn/kernels/winograd/winograd_conv.h>

namespace gpucnn::kernels {
namespace {

bool is_on_cpu(Device device) { return device.kind == Device::Kind::cpu; }

void check_image(std::string_view op, const Shape& x) {
  if (x.rank() != 4 || x[1] < 1 || x[2] < 2 || x[3] < 2) {
    throw std::invalid_argument(formatted("{}: x must have a channel and be at least 2 high and wide, got {}", op, x.string()));
  }
}

/// Floats of a padded image of x: [N, C, H, W]. Throws if 63 bits do not count them.
std::int64_t padded_image(const Shape& x) {
  // Twice the size, which leaves room for rounding up.
  static_cast<void>(Shape{x[1], static_cast<std::uint64_t>(x[2]) + 2, static_cast<std::uint64_t>(x[3]) + 2, 2});
  return cpu::PooledConv(x, 0).padded_image();
}

constexpr std::int64_t kMaxExtent = 1 << 27;

/// The kernels of a GPU count rows, columns and channels in 31 bits.
void check_counts(std::string_view op, const Shape& x, std::int64_t K) {
  const std::int64_t tiles = x[0] * (x[2] / 16 + 1) * (x[3] / 16 + 1);
  if (std::max({x[0], x[1], x[2], x[3], K}) <= kMaxExtent && tiles <= kMaxExtent / (std::max(x[1], K) / 16 + 1)) return;
  throw std::invalid_argument(
      formatted("{}: images, channels, height, width and tiles of 16x16 must be at most {}, got {} to {} channels", op, kMaxExtent,
                x.string(), K));
}

/// Of memory for the x of a convolution that is not the first.
Shape memory_shape(const Shape& x, Device device) { return is_on_cpu(device) ? Shape{x[0], padded_image(x)} : x; }

/// Checks all inputs and returns the last y's shape before it is flattened. `kept`: whether a backward follows.
Shape check_operands(std::string_view op, std::span<const Conv2dReluPool> convolutions, bool kept, Stream& stream) {
  if (convolutions.empty() || convolutions.size() > kMaxConvolutions) {
    throw std::invalid_argument(formatted("{}: takes 1 to {} convolutions, got {}", op, kMaxConvolutions, convolutions.size()));
  }
  const Precision precision = convolutions.front().precision;
  const DType dtype = activation_dtype(precision, stream.device());
  if (precision != Precision::fp32) require_precision(precision, stream.device());
  check_tensor(op, "x", convolutions.front().x, dtype, stream);
  check_rank(op, "x", convolutions.front().x, 4);
  Shape shape = convolutions.front().x.shape();
  for (const Conv2dReluPool& conv : convolutions) {
    check_image(op, shape);
    if (conv.precision != precision) throw std::invalid_argument(formatted("{}: convolutions of several precisions", op));
    check_tensor(op, "weight", conv.weight, DType::f32, stream);
    check_rank(op, "weight", conv.weight, 4);
    const std::int64_t K = conv.weight.dim(0);
    if (!is_on_cpu(stream.device())) check_counts(op, shape, K);
    check_tensor(op, "weight", conv.weight, {K, shape[1], 3, 3}, DType::f32, stream);
    if (conv.bias.defined()) check_tensor(op, "bias", conv.bias, Shape{K}, DType::f32, stream);
    if (&conv != &convolutions.front() && kept) {
      check_tensor(op, "x", conv.x, memory_shape(shape, stream.device()), dtype, stream);
    }
    shape = {shape[0], K, shape[2] / 2, shape[3] / 2};
    if (kept) check_tensor(op, "argmax", conv.argmax, shape, DType::u8, stream);
  }
  return shape;
}

/// The batch that the first convolution gathers, if it does so.
void check_gathers(std::string_view op, std::span<const Conv2dReluPool> convolutions, const Stream& stream) {
  for (const Conv2dReluPool& conv : convolutions.subspan(1)) {
    if (conv.gathers) throw std::invalid_argument(formatted("{}: only the first convolution can gather its batch", op));
  }
  const OrderedBatch* const gathers = convolutions.front().gathers;
  const Tensor& x = convolutions.front().x;
  if (!gathers) return;
  check_ordered_batch(op, *gathers, stream);
  if (!conv2d_relu_pool_gathers(*gathers, stream.device())) {
    throw std::invalid_argument(
        formatted("{}: gathers on a GPU, up to 4 channels, cropped, mirrored and normalised at most; got images of {} on {}", op,
                  gathers->images.shape().string(), stream.device().string()));
  }
  const Tensor& batch = gathers->batch;
  if (x.bytes() == batch.bytes() && x.shape() == batch.shape() && x.dtype() == batch.dtype()) return;
  throw std::invalid_argument(formatted("{}: x must be the batch to gather, got another tensor of {}", op, x.shape().string()));
}

/// One convolution after the other. Activations in between are the next one's x, or memory of the moment.
void forward_in_turn(std::span<const Conv2dReluPool> convolutions, Tensor& y, Stream& stream) {
  Tensor x = convolutions.front().x;
  for (std::size_t i = 0; i < convolutions.size(); ++i) {
    Conv2dReluPool conv = convolutions[i];
    conv.x = x;
    Tensor out = y;
    if (i + 1 < convolutions.size()) {
      out = convolutions[i + 1].x;
      if (!conv.argmax.defined()) {
        out = Tensor::empty({x.dim(0), conv.weight.dim(0), x.dim(2) / 2, x.dim(3) / 2}, x.dtype(), stream.device());
      }
    }
    if (conv.precision == Precision::fp32) {
      cuda::conv2d_relu_pool(conv, out, stream);
    } else {
      cuda::conv2d_relu_pool_tensor_cores(conv, out, stream);
    }
    x = out;
  }
}

void backward_in_turn(std::span<const Conv2dReluPool> convolutions, const Tensor& dy, std::span<Conv2dReluPoolGradients> gradients,
                      Tensor& dx, Stream& stream) {
  Tensor gradient = dy;
  for (std::size_t i = convolutions.size(); i-- > 0;) {
    Tensor inner = i == 0 ? dx : Tensor::empty(convolutions[i].x.shape(), dy.dtype(), stream.device());
    cuda::conv2d_relu_pool_backward(convolutions[i], gradient, gradients[i], inner, stream);
    gradient = inner;
  }
}

/// y's shape, or its flat shape if `given` has rank 2.
Shape flat_as(const Shape& y, const Tensor& given) { return given.defined() && given.rank() == 2 ? flatten_shape(y) : y; }

}  // namespace

bool conv2d_relu_pool_serves(const Conv2dOptions& conv, const Pool2d& pool) {
  return conv.kernel_size == 3 && conv.stride == 1 && conv.padding == 1 && conv.dilation == 1 && conv.groups == 1 &&
         pool.kernel_size == 2 && pool.stride == 2 && pool.padding == 0 && pool.dilation == 1 && !pool.ceil_mode;
}

bool conv2d_relu_pool_pays(const Shape& x, std::int64_t K, Device device) {
  if (is_on_cpu(device)) {
    constexpr std::int64_t kMaxWeights = 64 * 128;  // channels in times channels out
    return x[1] * K <= kMaxWeights || !cpu::winograd_pays(x, K);
  }
  constexpr std::int64_t kTile = 8;  // windows along each side: see window_tile.h
  const std::int64_t rows = x[2] / 2, columns = x[3] / 2;
  const auto whole = [](std::int64_t windows) { return (windows + kTile - 1) / kTile * kTile; };
  return std::max({x[1], rows, columns}) <= kMaxExtent && 2 * rows * columns >= whole(rows) * whole(columns);
}

bool conv2d_relu_pool_gathers(const OrderedBatch& batch, Device device) {
  const Tensor& images = batch.images;
  const ImageTransform& transform = batch.transform;
  if (is_on_cpu(device) || !images.defined() || images.rank() != 4 || images.dim(1) < 1 || images.dim(1) > 4) return false;
  if (transform.random_resized_crop || transform.color_jitter.any() || transform.cutout > 0) return false;
  // Elements of an image, and rows and columns of a crop, are counted in 31 bits.
  const std::int64_t H = images.dim(2), W = images.dim(3);
  return std::max({H, W, std::int64_t{transform.crop_padding}}) <= kMaxExtent && H * W <= kMaxExtent;
}

bool conv2d_relu_pool_fits(const Shape& image, std::span<const std::int64_t> channels) {
  constexpr std::int64_t kFloats = 128 * 1024;
  Shape shape = {1, image[0], image[1], image[2]};
  std::int64_t floats = 0;
  for (const std::int64_t K : channels) {
    if (shape[2] < 2 || shape[3] < 2) return false;
    if (std::max({shape[1], shape[2], shape[3], K}) > kFloats) return false;  // before their product overflows
    floats += padded_image(shape);
    shape = {1, K, shape[2] / 2, shape[3] / 2};
  }
  return floats + shape.numel() <= kFloats;
}

Tensor conv2d_relu_pool_memory(const Shape& x, Device device) {
  check_image("conv2d_relu_pool_memory", x);
  return Tensor::empty(memory_shape(x, device), DType::f32, device);
}

void conv2d_relu_pool(std::span<Conv2dReluPool> convolutions, Tensor& y, Stream& stream) {
  constexpr std::string_view kOp = "conv2d_relu_pool";
  const bool kept = std::ranges::any_of(convolutions, [](const Conv2dReluPool& conv) { return conv.argmax.defined(); });
  const Shape shape = check_operands(kOp, convolutions, kept, stream);
  check_tensor(kOp, "y", y, flat_as(shape, y), convolutions.front().x.dtype(), stream);
  check_apart(kOp, "y", y, "x", convolutions.front().x);
  check_gathers(kOp, convolutions, stream);
  for (const Conv2dReluPool& conv : convolutions) {
    if (!is_on_cpu(stream.device())) break;
    if (!conv.kept) throw std::invalid_argument(formatted("{}: kept is null", kOp));
    if (std::ranges::count(convolutions, conv.kept, &Conv2dReluPool::kept) > 1) {
      throw std::invalid_argument(formatted("{}: kept is the same for two convolutions", kOp));
    }
  }
  if (y.numel() == 0) {
    if (const OrderedBatch* const batch = convolutions.front().gathers) ordered_batch(*batch, stream);
    return;
  }
  dispatch(
      stream, [&] { cpu::conv2d_relu_pool(convolutions, y); }, [&] { forward_in_turn(convolutions, y, stream); });
}

void conv2d_relu_pool_backward(std::span<const Conv2dReluPool> convolutions, const Tensor& dy,
                               std::span<Conv2dReluPoolGradients> gradients, Tensor& dx, Stream& stream) {
  constexpr std::string_view kOp = "conv2d_relu_pool_backward";
  const Shape shape = check_operands(kOp, convolutions, true, stream);
  const DType dtype = convolutions.front().x.dtype();
  check_tensor(kOp, "dy", dy, flat_as(shape, dy), dtype, stream);
  if (gradients.size() != convolutions.size()) {
    throw std::invalid_argument(formatted("{}: {} convolutions and gradients of {}", kOp, convolutions.size(), gradients.size()));
  }
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const Shape& weight = convolutions[i].weight.shape();
    check_tensor(kOp, "dweight", gradients[i].dweight, weight, DType::f32, stream);
    if (gradients[i].dbias.defined()) check_tensor(kOp, "dbias", gradients[i].dbias, Shape{weight[0]}, DType::f32, stream);
  }
  const Tensor& x = convolutions.front().x;
  if (dx.defined()) {
    check_tensor(kOp, "dx", dx, x.shape(), dtype, stream);
    check_apart(kOp, "dx", dx, "x", x);
    check_apart(kOp, "dx", dx, "dy", dy);
  }
  if (x.dim(0) > 0) {
    return dispatch(
        stream, [&] { cpu::conv2d_relu_pool_backward(convolutions, dy, gradients, dx); },
        [&] { backward_in_turn(convolutions, dy, gradients, dx, stream); });
  }
  for (auto& [dweight, dbias, accumulate, may_wait] : gradients) {
    clear_gradient(dweight, accumulate.dweight);
    clear_gradient(dbias, accumulate.dbias);
  }
}

}  // namespace gpucnn::kernels
