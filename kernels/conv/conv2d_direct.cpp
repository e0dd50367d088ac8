#include <algorithm>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/activation/activation_block.h>
#include <gpucnn/kernels/common/shard_sums.h>
#include <gpucnn/kernels/conv/conv2d_impl.h>

// Convolution by its definition, in memory as tensors have it: x: [N, H, W, C], weight: [K, kH, kW, C / groups], y: [N, Ho, Wo, K].
// Slow, and without memory of its own: for padding that would fill too much as pixels.
namespace gpucnn::kernels {
namespace cpu {
namespace {

class Conv2dDirect final : public Conv2dPlan::Impl {
 public:
  Conv2dDirect(const Shape& x, const Shape& y, const Conv2dOptions& options) : x_(x), y_(y), options_(options) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y, Stream&) override {
    const float *in = x.data<float>(), *weights = weight.data<float>(), *biases = options_.bias ? bias.data<float>() : nullptr;
    float* const out = y.data<float>();
    parallel_for(y_[0] * y_[2], [=, this](std::int64_t row) {
      float* const begin = out + row * y_[3] * y_[1];
      for (std::int64_t at = row * y_[3] * y_[1]; at < (row + 1) * y_[3] * y_[1]; ++at) {
        double sum = biases ? biases[at % y_[1]] : 0;
        for_each_product(at, [&](std::int64_t x_at, std::int64_t weight_at) {
          sum += (x_at < 0 ? 0.0 : double{in[x_at]}) * double{weights[weight_at]};
        });
        out[at] = static_cast<float>(sum);
      }
      activation_block(epilogue, begin, y_[3] * y_[1]);
    });
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream&) override {
    const float *grads = dy.data<float>(), *weights = weight.data<float>();
    float* const out = dx.data<float>();
    const std::int64_t x_image = dx.numel() / x_[0], y_image = dy.numel() / x_[0];
    parallel_for(x_[0], [=, this](std::int64_t image) {
      std::fill_n(out + image * x_image, x_image, 0.0F);
      for (std::int64_t at = image * y_image; at < (image + 1) * y_image; ++at) {
        for_each_product(at, [&](std::int64_t x_at, std::int64_t weight_at) {
          if (x_at >= 0) out[x_at] += grads[at] * weights[weight_at];
        });
      }
    });
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream&) override {
    const float *in = x.data<float>(), *grads = dy.data<float>();
    Tensor weight_sums = Tensor::zeros(dweight.shape()), bias_sums = Tensor::zeros({y_[1]});
    float *const weight_sum = weight_sums.data<float>(), *const bias_sum = bias_sums.data<float>();
    const std::int64_t outputs = dy.numel();
    parallel_for(y_[1], [=, this](std::int64_t k) {
      for (std::int64_t at = k; at < outputs; at += y_[1]) {
        for_each_product(at, [&](std::int64_t x_at, std::int64_t weight_at) {
          weight_sum[weight_at] += (x_at < 0 ? 0.0F : in[x_at]) * grads[at];
        });
        bias_sum[k] += grads[at];
      }
    });
    finish(weight_sum, dweight.numel(), accumulate.dweight, dweight.data<float>());
    if (options_.bias) finish(bias_sum, dbias.numel(), accumulate.dbias, dbias.data<float>());
  }

 private:
  /// Calls `visit(x's index, weight's index)` for each product in the output with this index; x's is -1 in the padding.
  template <class Visit>
  void for_each_product(std::int64_t at, Visit visit) const {
    const std::int64_t K = y_[1], C = x_[1], H = x_[2], W = x_[3], inputs = C / options_.groups;
    const std::int64_t k = at % K, column = at / K % y_[3], row = at / K / y_[3] % y_[2], image = at / K / y_[3] / y_[2];
    const std::int64_t first = k / (K / options_.groups) * inputs;
    std::int64_t weight_at = k * options_.kernel_size.height * options_.kernel_size.width * inputs;
    for (std::int64_t r = 0; r < options_.kernel_size.height; ++r) {
      const std::int64_t h = row * options_.stride.height - options_.padding.top + r * options_.dilation.height;
      for (std::int64_t s = 0; s < options_.kernel_size.width; ++s) {
        const std::int64_t w = column * options_.stride.width - options_.padding.left + s * options_.dilation.width;
        const bool inside = h >= 0 && h < H && w >= 0 && w < W;
        const std::int64_t pixel = ((image * H + h) * W + w) * C + first;
        for (std::int64_t c = 0; c < inputs; ++c) visit(inside ? pixel + c : -1, weight_at++);
      }
    }
  }

  Shape x_, y_;
  Conv2dOptions options_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Conv2dPlan::Impl> cpu::conv2d_direct(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  return std::make_unique<Conv2dDirect>(x, y, options);
}

}  // namespace gpucnn::kernels
