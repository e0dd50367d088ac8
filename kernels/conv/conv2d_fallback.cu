#include <gpucnn/kernels/conv/conv2d_fallback.h>

#include <algorithm>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/activation/functors_cuda.h>
#include <gpucnn/kernels/conv/bias_grad.h>
#include <gpucnn/kernels/cuda/block_reduce.h>
#include <gpucnn/kernels/cuda/vector_access.h>

// A thread for every element of the result. Neighbouring threads have neighbouring channels, so that what they read is contiguous
// or the same.
namespace gpucnn::kernels {
namespace cuda {
namespace {

/// x: [N, H, W, C], y: [N, Ho, Wo, K], weight: [K, kH, kW, Cg], as they lie in memory.
struct Sizes {
  std::int64_t N, C, H, W, K, Ho, Wo;
  std::int64_t kH, kW, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  std::int64_t Cg, Kg;  // channels of one group

  std::int64_t x_numel() const { return N * H * W * C; }
  std::int64_t y_numel() const { return N * Ho * Wo * K; }
  __host__ __device__ std::int64_t weight_numel() const { return K * kH * kW * Cg; }
};

struct Pixel {
  std::int64_t n, row, column, channel;
};

__device__ Pixel pixel_of(std::int64_t e, std::int64_t height, std::int64_t width, std::int64_t channels) {
  const std::int64_t pixel = e / channels, line = pixel / width;
  return {line / height, line % height, pixel % width, e % channels};
}

__device__ std::int64_t first_element() { return std::int64_t{blockIdx.x} * kThreads + threadIdx.x; }

__device__ std::int64_t all_threads() { return std::int64_t{gridDim.x} * kThreads; }

/// The products of `count` numbers, `step` apart, with the padding's zeros, added up: NaN if one is infinite or NaN.
__device__ float times_padding(const float* values, std::int64_t step, std::int64_t count) {
  float sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum = fmaf(values[i * step], 0.0F, sum);
  return sum;
}

/// `bias` may be null.
__global__ void __launch_bounds__(kThreads) forward_kernel(const float* x, const float* weight, const float* bias,
                                                           Activation epilogue, float* y, std::int64_t count, Sizes s) {
  for (std::int64_t e = first_element(); e < count; e += all_threads()) {
    const auto [n, i, j, k] = pixel_of(e, s.Ho, s.Wo, s.K);
    const float* from = x + n * s.H * s.W * s.C + k / s.Kg * s.Cg;
    const float* w = weight + k * s.kH * s.kW * s.Cg;
    float sum = bias ? bias[k] : 0.0F;
    for (std::int64_t r = 0; r < s.kH; ++r) {
      const std::int64_t h = i * s.stride_h - s.padding_h + r * s.dilation_h;
      for (std::int64_t t = 0; t < s.kW; ++t) {
        const std::int64_t v = j * s.stride_w - s.padding_w + t * s.dilation_w;
        const bool inside = h >= 0 && h < s.H && v >= 0 && v < s.W;
        const float* tap = w + (r * s.kW + t) * s.Cg;
        sum += inside ? dot(from + (h * s.W + v) * s.C, tap, s.Cg) : times_padding(tap, 1, s.Cg);
      }
    }
    y[e] = activate(epilogue, sum);
  }
}

/// Whether some output row or column reads the input row or column `at` with tap `tap`; which one, to `out`.
__device__ bool reads(std::int64_t at, std::int64_t tap, std::int64_t stride, std::int64_t padding, std::int64_t dilation,
                      std::int64_t outputs, std::int64_t& out) {
  const std::int64_t start = at + padding - tap * dilation;
  out = start / stride;
  return start >= 0 && start % stride == 0 && out < outputs;
}

__global__ void __launch_bounds__(kThreads, 4)
    backward_data_kernel(const float* dy, const float* weight, float* dx, std::int64_t count, Sizes s) {
  for (std::int64_t e = first_element(); e < count; e += all_threads()) {
    const auto [n, h, v, c] = pixel_of(e, s.H, s.W, s.C);
    const std::int64_t group = c / s.Cg, step = s.kH * s.kW * s.Cg;
    const float* from = dy + n * s.Ho * s.Wo * s.K + group * s.Kg;
    const float* w = weight + group * s.Kg * step + c % s.Cg;
    float sum = 0;
    for (std::int64_t r = 0; r < s.kH; ++r) {
      std::int64_t i = 0, j = 0;
      if (!reads(h, r, s.stride_h, s.padding_h, s.dilation_h, s.Ho, i)) continue;
      for (std::int64_t t = 0; t < s.kW; ++t) {
        if (!reads(v, t, s.stride_w, s.padding_w, s.dilation_w, s.Wo, j)) continue;
        const float* gradient = from + (i * s.Wo + j) * s.K;
        const float* tap = w + (r * s.kW + t) * s.Cg;
        float part = 0;
        for (std::int64_t k = 0; k < s.Kg; ++k) part = fmaf(gradient[k], tap[k * step], part);
        sum += part;
      }
    }
    dx[e] = sum;
  }
}

/// The output columns in [0, Wo) whose tap `t` lies inside the image: from `first` to `last` - 1.
__device__ void columns_inside(const Sizes& s, std::int64_t t, std::int64_t& first, std::int64_t& last) {
  const std::int64_t before = s.padding_w - t * s.dilation_w, room = s.W - 1 + before;
  first = before > 0 ? (before + s.stride_w - 1) / s.stride_w : 0;
  last = room < 0 ? 0 : room / s.stride_w + 1 < s.Wo ? room / s.stride_w + 1 : s.Wo;
}

/// sums[slice, weight] = the gradient of one weight over `rows` output rows of the batch.
__global__ void __launch_bounds__(kThreads)
    backward_weights_kernel(const float* x, const float* dy, double* sums, std::int64_t slices, std::int64_t rows, Sizes s) {
  constexpr std::int64_t kRun = 32;  // products added in float: no more, because rounding grows with the sum
  const std::int64_t weights = s.weight_numel();
  for (std::int64_t e = first_element(); e < slices * weights; e += all_threads()) {
    const auto [k, r, t, c] = pixel_of(e % weights, s.kH, s.kW, s.Cg);
    const std::int64_t begin = e / weights * rows, end = begin + rows < s.N * s.Ho ? begin + rows : s.N * s.Ho;
    std::int64_t first = 0, last = 0;
    columns_inside(s, t, first, last);
    const std::int64_t channel = k / s.Kg * s.Cg + c, shift = t * s.dilation_w - s.padding_w;
    double sum = 0;
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t n = row / s.Ho, h = row % s.Ho * s.stride_h - s.padding_h + r * s.dilation_h;
      const float* gradient = dy + row * s.Wo * s.K + k;
      if (h < 0 || h >= s.H || first >= last) {
        sum += static_cast<double>(times_padding(gradient, s.K, s.Wo));
        continue;
      }
      sum += static_cast<double>(times_padding(gradient, s.K, first));
      sum += static_cast<double>(times_padding(gradient + last * s.K, s.K, s.Wo - last));
      const std::int64_t line = ((n * s.H + h) * s.W + shift) * s.C + channel;
      for (std::int64_t j = first; j < last;) {
        const std::int64_t stop = j + kRun < last ? j + kRun : last;
        float part = 0;
        for (; j < stop; ++j) part = fmaf(gradient[j * s.K], x[line + j * s.stride_w * s.C], part);
        sum += static_cast<double>(part);
      }
    }
    sums[e] = sum;
  }
}

__global__ void __launch_bounds__(kThreads)
    add_slices_kernel(const double* sums, std::int64_t slices, std::int64_t count, bool accumulate, float* dweight) {
  for (std::int64_t e = first_element(); e < count; e += all_threads()) {
    double sum = 0;
    for (std::int64_t slice = 0; slice < slices; ++slice) sum += sums[slice * count + e];
    put_sum(sum, accumulate, dweight + e);
  }
}

LaunchShape one_thread_each(std::int64_t count) { return {(count + kThreads - 1) / kThreads, kThreads}; }

class Conv2dFallback : public Conv2dPlan::Impl {
 public:
  Conv2dFallback(const Shape& x, const Shape& y, const Conv2dOptions& options) : bias_(options.bias) {
    s_.N = x[0], s_.C = x[1], s_.H = x[2], s_.W = x[3];
    s_.K = y[1], s_.Ho = y[2], s_.Wo = y[3];
    s_.kH = options.kernel_size.height, s_.kW = options.kernel_size.width;
    s_.stride_h = options.stride.height, s_.stride_w = options.stride.width;
    s_.padding_h = options.padding.top, s_.padding_w = options.padding.left;
    s_.dilation_h = options.dilation.height, s_.dilation_w = options.dilation.width;
    s_.Cg = s_.C / options.groups, s_.Kg = s_.K / options.groups;
    // Enough slices to fill a large GPU, and few enough for their sums to stay in its cache.
    constexpr std::int64_t kWork = 256 * 1024;
    const std::int64_t rows = s_.N * s_.Ho, max_slices = std::clamp<std::int64_t>(kWork / s_.weight_numel(), 1, rows);
    rows_ = (rows + max_slices - 1) / max_slices;
    slices_ = (rows + rows_ - 1) / rows_;
  }

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
               Stream& stream) override {
    launch(stream, "conv2d", one_thread_each(s_.y_numel()), forward_kernel, x.device_data<float>(), weight.device_data<float>(),
           bias_ ? bias.device_data<float>() : nullptr, epilogue, y.device_data<float>(), s_.y_numel(), s_);
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) override {
    launch(stream, "conv2d_backward_data", one_thread_each(s_.x_numel()), backward_data_kernel, dy.device_data<float>(),
           weight.device_data<float>(), dx.device_data<float>(), s_.x_numel(), s_);
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream& stream) override {
    const std::int64_t weights = s_.weight_numel();
    Tensor memory = Tensor::empty({slices_ * weights * std::int64_t{sizeof(double)}}, DType::u8, stream.device());
    auto* sums = reinterpret_cast<double*>(memory.bytes());
    launch(stream, "conv2d_backward_weights", one_thread_each(slices_ * weights), backward_weights_kernel, x.device_data<float>(),
           dy.device_data<float>(), sums, slices_, rows_, s_);
    launch(stream, "conv2d_backward_weights", one_thread_each(weights), add_slices_kernel, sums, slices_, weights,
           accumulate.dweight, dweight.device_data<float>());
    if (bias_) bias_grad(dy, accumulate.dbias, dbias, stream);
  }

 private:
  Sizes s_{};
  bool bias_;
  std::int64_t rows_, slices_;  // output rows of a slice of the weight gradient, and how many slices there are
};

}  // namespace
}  // namespace cuda

std::unique_ptr<Conv2dPlan::Impl> cuda::conv2d_fallback(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  return std::make_unique<Conv2dFallback>(x, y, options);
}

}  // namespace gpucnn::kernels
