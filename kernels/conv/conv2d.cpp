#include <gpucnn/kernels/conv/conv2d.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/kernels/combine/add.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/clear_gradient.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/common/window_count.h>
#include <gpucnn/kernels/conv/conv2d_impl.h>

namespace gpucnn::kernels {
namespace {

/// What a window covers, with the gaps of its dilation.
std::int64_t covered(int kernel, int dilation) { return std::int64_t{dilation} * (kernel - 1) + 1; }

std::string words(const Padding2d& padding) {
  const auto [top, bottom, left, right, is_same] = padding;
  if (top == bottom && left == right) return formatted("{}x{}", top, left);
  return formatted("{} above, {} below, {} left, {} right", top, bottom, left, right);
}

void require_positive(const char* option, Size2 size) {
  if (size.height >= 1 && size.width >= 1) return;
  throw std::invalid_argument(formatted("Conv2d: {} must be at least 1, got {}x{}", option, size.height, size.width));
}

void check_options(std::int64_t in_channels, std::int64_t out_channels, const Conv2dOptions& options) {
  if (in_channels < 1 || out_channels < 1) {
    throw std::invalid_argument(
        formatted("Conv2d: in_channels and out_channels must be at least 1, got {} and {}", in_channels, out_channels));
  }
  require_positive("kernel_size", options.kernel_size);
  require_positive("stride", options.stride);
  require_positive("dilation", options.dilation);
  const Padding2d padding = with_sides(options).padding;
  if (std::min({padding.top, padding.bottom, padding.left, padding.right}) < 0) {
    throw std::invalid_argument(formatted("Conv2d: padding must be at least 0, got {}", words(padding)));
  }
  const std::int64_t groups = options.groups;
  if (groups < 1 || in_channels % groups != 0 || out_channels % groups != 0) {
    throw std::invalid_argument(
        formatted("Conv2d: groups must be at least 1 and divide in_channels and out_channels, got {} groups of {} and {} channels",
                  groups, in_channels, out_channels));
  }
}

}  // namespace

Conv2dOptions with_sides(Conv2dOptions options) {
  if (!options.padding.is_same) return options;
  if (options.stride != 1) {
    throw std::invalid_argument(
        formatted("Conv2d: padding \"same\" needs a stride of 1, got {}x{}", options.stride.height, options.stride.width));
  }
  const auto zeros = [](int kernel, int dilation) {
    const std::int64_t count = covered(kernel, dilation) - 1;
    if (count > std::numeric_limits<int>::max()) {
      throw std::invalid_argument(formatted("Conv2d: padding \"same\" of a window of {} is more than 31 bits count", count + 1));
    }
    return static_cast<int>(count);
  };
  const int rows = zeros(options.kernel_size.height, options.dilation.height);
  const int columns = zeros(options.kernel_size.width, options.dilation.width);
  options.padding = Sides{.top = rows / 2, .bottom = rows - rows / 2, .left = columns / 2, .right = columns - columns / 2};
  return options;
}

Shape conv2d_weight_shape(std::int64_t in_channels, std::int64_t out_channels, const Conv2dOptions& options) {
  check_options(in_channels, out_channels, options);
  return {out_channels, in_channels / options.groups, options.kernel_size.height, options.kernel_size.width};
}

Shape conv2d_shape(const Shape& x, std::int64_t in_channels, std::int64_t out_channels, const Conv2dOptions& options) {
  check_options(in_channels, out_channels, options);
  if (x.rank() == 3) throw std::invalid_argument(formatted("expects [N, C, H, W], got {}: add a batch dimension", x.string()));
  if (x.rank() != 4) throw std::invalid_argument(formatted("expects [N, C, H, W], got {}", x.string()));
  if (x[1] != in_channels) throw std::invalid_argument(formatted("expects {} input channels, got {}", in_channels, x[1]));
  if (x[2] == 0 || x[3] == 0) throw std::invalid_argument(formatted("expects images of at least one pixel, got {}", x.string()));
  const Size2 kernel = options.kernel_size, stride = options.stride, dilation = options.dilation;
  const Padding2d padding = with_sides(options).padding;
  const std::int64_t rows = covered(kernel.height, dilation.height), columns = covered(kernel.width, dilation.width);
  const std::uint64_t height = window_count(x[2], rows, stride.height, std::int64_t{padding.top} + padding.bottom);
  const std::uint64_t width = window_count(x[3], columns, stride.width, std::int64_t{padding.left} + padding.right);
  if (height == 0 || width == 0) {
    throw std::invalid_argument(
        formatted("a window of {}x{} does not fit {} with padding {}", rows, columns, x.string(), words(padding)));
  }
  return {x[0], out_channels, height, width};
}

Conv2dPlan::Conv2dPlan(const Shape& x, std::int64_t out_channels, const Conv2dOptions& options, Device device, Precision precision)
    : x_(x),
      weight_(conv2d_weight_shape(x.rank() == 4 ? x[1] : 1, out_channels, options)),
      y_(conv2d_shape(x, x.rank() == 4 ? x[1] : 1, out_channels, options)),
      bias_(options.bias),
      device_(device),
      precision_(precision) {
  require_precision(precision, device);
  const Stream stream(device);
  if (!x.numel()) return;
  impl_ = dispatch(
      stream, [&] { return cpu::conv2d_cpu(x_, y_, with_sides(options)); },
      [&] { return cuda::conv2d_cudnn(x_, y_, with_sides(options), device, precision); });
}

Conv2dPlan::~Conv2dPlan() = default;
Conv2dPlan::Conv2dPlan(Conv2dPlan&&) noexcept = default;
Conv2dPlan& Conv2dPlan::operator=(Conv2dPlan&&) noexcept = default;

Conv2dPlan::Impl* Conv2dPlan::impl_for(const char* op) const {
  if (!impl_ && x_.numel()) throw std::logic_error(formatted("{}: the plan was moved from", op));
  return impl_.get();
}

void Conv2dPlan::check_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y,
                               const Stream& stream) const {
  check_tensor("conv2d", "x", x, x_, activation_dtype(precision_, device_), stream);
  check_tensor("conv2d", "weight", weight, weight_, activation_dtype(precision_, device_), stream);
  if (bias_) check_tensor("conv2d", "bias", bias, Shape{weight_[0]}, activation_dtype(precision_, device_), stream);
  check_tensor("conv2d", "y", y, y_, activation_dtype(precision_, device_), stream);
}

void Conv2dPlan::check_backward_data(const Tensor& dy, const Tensor& weight, const Tensor& dx, const Stream& stream) const {
  check_tensor("conv2d_backward_data", "dy", dy, y_, activation_dtype(precision_, device_), stream);
  check_tensor("conv2d_backward_data", "weight", weight, weight_, activation_dtype(precision_, device_), stream);
  check_tensor("conv2d_backward_data", "dx", dx, x_, activation_dtype(precision_, device_), stream);
}

void Conv2dPlan::forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
                         Stream& stream) {
  check_forward(x, weight, bias, y, stream);
  const FloatEnvironment standard;
  if (Impl* impl = impl_for("conv2d")) impl->forward(x, weight, bias, epilogue, y, stream);
}

bool Conv2dPlan::takes_sum() const noexcept { return !impl_ || impl_->takes_sum(); }

bool Conv2dPlan::forward_sum(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dSum& sum, Tensor& y,
                             Stream& stream) {
  check_tensor("conv2d", "addend", sum.addend, y_, activation_dtype(precision_, device_), stream);
  check_forward(x, weight, bias, y, stream);
  const FloatEnvironment standard;
  Impl* const impl = impl_for("conv2d");
  return !impl || impl->forward_sum(x, weight, bias, sum, y, stream);
}

void Conv2dPlan::backward_data(const Tensor& dy, const Tensor& weight, const Conv2dBefore& before, Tensor& dx, Stream& stream) {
  const bool differentiates = before.before.kind != Activation::none;
  if (differentiates) check_tensor("conv2d_backward_data", "x", before.x, x_, activation_dtype(precision_, device_), stream);
  if (before.addend.defined()) {
    check_tensor("conv2d_backward_data", "addend", before.addend, x_, activation_dtype(precision_, device_), stream);
  }
  check_backward_data(dy, weight, dx, stream);
  Impl* const impl = impl_for("conv2d_backward_data");
  const FloatEnvironment standard;
  if (impl && impl->backward_data_before(dy, weight, before, dx, stream)) return;
  backward_data(dy, weight, dx, stream);
  if (before.addend.defined()) add(dx, before.addend, dx, stream);
  if (differentiates) activation_backward(before.x, before.before, dx, dx, stream);
}

void Conv2dPlan::backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) {
  check_backward_data(dy, weight, dx, stream);
  const FloatEnvironment standard;
  if (Impl* impl = impl_for("conv2d_backward_data")) impl->backward_data(dy, weight, dx, stream);
}

void Conv2dPlan::backward_weights(const Tensor& x, const Tensor& dy, Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                                  Stream& stream) {
  check_tensor("conv2d_backward_weights", "x", x, x_, activation_dtype(precision_, device_), stream);
  check_tensor("conv2d_backward_weights", "dy", dy, y_, activation_dtype(precision_, device_), stream);
  check_tensor("conv2d_backward_weights", "dweight", dweight, weight_, DType::f32, stream);
  if (bias_) check_tensor("conv2d_backward_weights", "dbias", dbias, Shape{weight_[0]}, DType::f32, stream);
  const FloatEnvironment standard;
  if (Impl* impl = impl_for("conv2d_backward_weights")) return impl->backward_weights(x, dy, accumulate, dweight, dbias, stream);
  clear_gradient(dweight, accumulate.dweight);
  clear_gradient(dbias, accumulate.dbias);
}

}  // namespace gpucnn::kernels
