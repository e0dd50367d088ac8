#include <optional>
#include <utility>

#include <gpucnn/core/parallel.h>
#include <gpucnn/kernels/conv2d_impl.h>
#include <gpucnn/kernels/onednn.h>
#include <gpucnn/kernels/onednn_pass.h>
#include <gpucnn/kernels/relu_block.h>
#include <gpucnn/kernels/sampling.h>
#include <gpucnn/kernels/shard_sums.h>

// Convolution on the CPU by oneDNN, but for what it must not be given: windows of 1x1 with a stride or a padding, and padding that
// meets a number that is not finite. Then it is given images that we make of x, and neither stride nor padding.
namespace gpucnn::kernels::cpu {
namespace {

using dnnl::memory;
using onednn::Arguments;
using onednn::Layout;
using onednn::Pass;
using onednn::Primitive;

std::int64_t floats_of(const memory::desc& desc) { return static_cast<std::int64_t>(desc.get_size() / sizeof(float)); }

std::int64_t image_of(const Shape& shape) { return shape.with(0, 1).numel(); }

/// The gradients of a convolution's parameters as they come from oneDNN.
struct ParameterGradients {
  Tensor sums;   // the shards', of which the first is that of all: of the weights in oneDNN's layout, then of the bias
  Tensor plain;  // of the weights as they lie in a Tensor; undefined if that is oneDNN's layout
  std::int64_t weights;

  const float* dweight() const { return plain.defined() ? plain.data<float>() : sums.data<float>(); }
  const float* dbias() const { return sums.data<float>() + weights; }
};

/// A convolution as oneDNN is given it: of x, or of images that are sampled from x.
class Convolution {
 public:
  /// `x` and `options` are oneDNN's. `sampling`, if there is one, makes its images.
  Convolution(const Shape& x, const Shape& y, const Conv2dOptions& options, std::optional<Sampling> sampling)
      : x_(x), y_(y), options_(options), sampling_(sampling), weight_(onednn::weight_desc(x, y, options)) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu, Tensor& y) {
    if (!forward_) forward_.emplace(*this);
    const float* weights = forward_->weights.pack(weight, engine_);
    const float* biases = options_.bias ? bias.data<float>() : nullptr;
    forward_->pass.run(
        engine_,
        [&](Arguments& arguments, const Pass::Run& run) {
          arguments.set(0, images(x, run));
          arguments.set(1, weights);
          arguments.set(2, y.data<float>() + run.first * image_of(y_));
          if (biases) arguments.set(3, biases);
        },
        [&](const Pass::Run& run) {
          if (relu) relu_block(y.data<float>() + run.first * image_of(y_), run.images * image_of(y_));
        });
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx) {
    if (!backward_data_) backward_data_.emplace(*this);
    const float* weights = backward_data_->weights.pack(weight, engine_);
    float* const to = dx.data<float>();
    backward_data_->pass.run(
        engine_,
        [&](Arguments& arguments, const Pass::Run& run) {
          arguments.set(0, dy.data<float>() + run.first * image_of(y_));
          arguments.set(1, weights);
          arguments.set(2, sampling_ ? run.samples : to + run.first * image_of(x_));
        },
        [&](const Pass::Run& run) {
          if (!sampling_) return;
          const std::int64_t image = image_of(dx.shape());
          for (std::int64_t n = 0; n < run.images; ++n) {
            sampling_->scatter(run.samples + n * sampling_->floats(), to + (run.first + n) * image);
          }
        });
  }

  ParameterGradients backward_weights(const Tensor& x, const Tensor& dy, const Shape& weight) {
    if (!backward_weights_) backward_weights_.emplace(*this);
    const Shards& shards = backward_weights_->pass.shards();
    const std::int64_t weights = floats_of(backward_weights_->layout.get());
    const std::int64_t row = weights + y_[1];  // a shard's gradients: of the weights, then of the bias
    // A shard's later runs land beside its sum and are added to it.
    Tensor sums = Tensor::empty({shards.count(), row}), more = Tensor::empty({shards.count(), row});
    backward_weights_->pass.run(
        engine_,
        [&](Arguments& arguments, const Pass::Run& run) {
          float* to = (run.again ? more : sums).data<float>() + run.shard * row;
          arguments.set(0, images(x, run));
          arguments.set(1, dy.data<float>() + run.first * image_of(y_));
          arguments.set(2, to);
          if (options_.bias) arguments.set(3, to + weights);
        },
        [&](const Pass::Run& run) {
          if (run.again) add(more.data<float>() + run.shard * row, row, sums.data<float>() + run.shard * row);
        });
    add_shards(sums);
    Tensor plain;
    if (backward_weights_->unpack.needed()) {
      plain = Tensor::empty(weight);
      backward_weights_->unpack.run(sums.bytes(), plain.bytes(), engine_);
    }
    return {sums, plain, weights};
  }

 private:
  /// Weights in the layout that a pass wants, in memory of the plan's own.
  struct Packed {
    Packed(const memory::desc& from, const memory::desc& to, const onednn::Engine& engine) : reorder(from, to, engine) {
      if (reorder.needed()) memory = Tensor::empty({to.get_size()}, DType::u8);
    }
    const float* pack(const Tensor& weight, const onednn::Engine& engine) {
      if (!reorder.needed()) return weight.data<float>();
      reorder.run(weight.bytes(), memory.bytes(), engine);
      return reinterpret_cast<const float*>(memory.bytes());
    }
    onednn::Reorder reorder;
    Tensor memory;
  };

  struct Forward {
    explicit Forward(Convolution& conv)
        : pass(conv.x_[0], conv.samples(), conv.engine_,
               [&](std::int64_t images, Primitive& primitive, auto&& argument) {
                 onednn::Convolution c = conv.describe(images, layout);
                 const auto pd = onednn::convolution_forward(c, conv.engine_);
                 layout.note(pd.weights_desc());
                 primitive = Primitive::make<dnnl::convolution_forward>(pd);
                 argument(DNNL_ARG_SRC, c.x);
                 argument(DNNL_ARG_WEIGHTS, pd.weights_desc());
                 argument(DNNL_ARG_DST, c.y);
                 if (conv.options_.bias) argument(DNNL_ARG_BIAS, c.bias);
               }),
          weights(conv.weight_, layout.get(), conv.engine_) {}
    Layout layout;
    Pass pass;
    Packed weights;
  };

  struct BackwardData {
    explicit BackwardData(Convolution& conv)
        : pass(conv.x_[0], conv.samples(), conv.engine_,
               [&](std::int64_t images, Primitive& primitive, auto&& argument) {
                 const onednn::Convolution c = conv.describe(images, layout);
                 const auto pd = onednn::convolution_backward_data(c, conv.engine_);
                 layout.note(pd.weights_desc());
                 primitive = Primitive::make<dnnl::convolution_backward_data>(pd);
                 argument(DNNL_ARG_DIFF_DST, c.y);
                 argument(DNNL_ARG_WEIGHTS, pd.weights_desc());
                 argument(DNNL_ARG_DIFF_SRC, c.x);
               }),
          weights(conv.weight_, layout.get(), conv.engine_) {}
    Layout layout;
    Pass pass;
    Packed weights;
  };

  struct BackwardWeights {
    explicit BackwardWeights(Convolution& conv)
        : pass(conv.x_[0], conv.samples(), conv.engine_,
               [&](std::int64_t images, Primitive& primitive, auto&& argument) {
                 const onednn::Convolution c = conv.describe(images, layout);
                 const auto pd = onednn::convolution_backward_weights(c, conv.engine_);
                 layout.note(pd.diff_weights_desc());
                 primitive = Primitive::make<dnnl::convolution_backward_weights>(pd);
                 argument(DNNL_ARG_SRC, c.x);
                 argument(DNNL_ARG_DIFF_DST, c.y);
                 argument(DNNL_ARG_DIFF_WEIGHTS, pd.diff_weights_desc());
                 if (conv.options_.bias) argument(DNNL_ARG_DIFF_BIAS, c.bias);
               }),
          unpack(layout.get(), conv.weight_, conv.engine_) {}
    Layout layout;
    Pass pass;
    onednn::Reorder unpack;
  };

  onednn::Convolution describe(std::int64_t images, const Layout& layout) const {
    onednn::Convolution c = onednn::convolution(images, x_, y_, options_);
    layout.impose(c.weight);
    return c;
  }

  std::int64_t samples() const { return sampling_ ? sampling_->floats() : 0; }

  /// The images of a run as oneDNN reads them.
  const float* images(const Tensor& x, const Pass::Run& run) const {
    const std::int64_t image = image_of(x.shape());
    const float* const from = x.data<float>() + run.first * image;
    if (!sampling_) return from;
    for (std::int64_t n = 0; n < run.images; ++n) sampling_->gather(from + n * image, run.samples + n * sampling_->floats());
    return run.samples;
  }

  Shape x_, y_;
  Conv2dOptions options_;
  std::optional<Sampling> sampling_;
  onednn::Engine engine_;
  memory::desc weight_;  // as it lies in a Tensor
  std::optional<Forward> forward_;
  std::optional<BackwardData> backward_data_;
  std::optional<BackwardWeights> backward_weights_;
};

/// The convolution that `sampling` leaves to oneDNN.
Convolution of_samples(const Shape& x, const Shape& y, Conv2dOptions options, const Sampling& sampling) {
  options.padding = 0;
  return {{x[0], x[1], sampling.height, sampling.width}, y, options, sampling};
}

/// With a window of 1x1 there is a pixel of x, or padding, for each of y: oneDNN gets these alone. Its own way of leaving pixels
/// out (2.6.3, gradient of weights, fewer input channels than floats in a vector) reads and writes beyond its memory.
Convolution direct(const Shape& x, const Shape& y, Conv2dOptions options) {
  if (options.kernel_size != 1) return {x, y, options, {}};
  options.dilation = 1;
  if (options.stride == 1 && options.padding == 0) return {x, y, options, {}};
  const Sampling sampling{.C = x[1],
                          .H = x[2],
                          .W = x[3],
                          .height = y[2],
                          .width = y[3],
                          .stride = std::exchange(options.stride, 1),
                          .padding = options.padding};
  return of_samples(x, y, options, sampling);
}

class Conv2dOnednn final : public Conv2dPlan::Impl {
 public:
  Conv2dOnednn(const Shape& x, const Shape& y, const Conv2dOptions& options)
      : bias_(options.bias), direct_(cpu::direct(x, y, options)) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu, Tensor& y, Stream&) override {
    direct_.forward(x, weight, bias, relu, y);
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream&) override {
    direct_.backward_data(dy, weight, dx);
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream&) override {
    const ParameterGradients gradients = direct_.backward_weights(x, dy, dweight.shape());
    finish(gradients.dweight(), dweight.numel(), accumulate.dweight, dweight.data<float>());
    if (bias_) finish(gradients.dbias(), dbias.numel(), accumulate.dbias, dbias.data<float>());
  }

 private:
  bool bias_;
  Convolution direct_;
};

}  // namespace

std::unique_ptr<Conv2dPlan::Impl> conv2d_onednn(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  return std::make_unique<Conv2dOnednn>(x, y, options);
}

}  // namespace gpucnn::kernels::cpu
