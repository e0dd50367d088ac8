#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include <gpucnn/core/parallel.h>
#include <gpucnn/kernels/conv2d_impl.h>
#include <gpucnn/kernels/onednn.h>
#include <gpucnn/kernels/relu_block.h>
#include <gpucnn/kernels/shard_sums.h>
#include <gpucnn/kernels/shards.h>

// Convolution on the CPU by oneDNN. A batch is split into shards by its size only; each shard runs on one thread, a few images at
// a time so that they stay in cache, and the shards' weight gradients are added in order. So the bits do not depend on the number
// of threads, which oneDNN's own threading cannot promise.
namespace gpucnn::kernels::cpu {
namespace {

using dnnl::memory;
using onednn::Arguments;
using onednn::Primitive;

constexpr std::int64_t kChunk = 8;  // images of one run: what two SimpleCNN activations leave in a 2 MB cache

std::int64_t floats_of(const memory::desc& desc) { return static_cast<std::int64_t>(desc.get_size() / sizeof(float)); }

/// One direction of the convolution: a primitive for every number of images that a run can have, with arguments of its own for
/// every shard, since those are pointed at data while other shards run.
class Pass {
 public:
  /// `make(images, weights)` gives the primitive for so many images, with weights in the given layout, and `describe` its arguments
  /// in the order they are set, without the scratchpad.
  template <class Make>
  Pass(std::int64_t images, const onednn::Engine& engine, Make make) : shards_(images) {
    const onednn::OneThread one;
    std::set<std::int64_t, std::greater<>> sizes;
    for (std::int64_t shard = 0; shard < shards_.count(); ++shard) {
      const std::int64_t count = shards_.last(shard) - shards_.first(shard);
      if (count >= kChunk) sizes.insert(kChunk);
      if (count % kChunk) sizes.insert(count % kChunk);
    }
    for (std::int64_t size : sizes) {
      Variant& variant = variants_.emplace_back(Variant{size, {}, {}});
      variant.arguments.resize(static_cast<std::size_t>(shards_.count()));
      make(variant.images, variant.primitive, [&](int kind, const memory::desc& desc) {
        for (Arguments& arguments : variant.arguments) arguments.add(kind, desc, engine);
      });
      for (Arguments& arguments : variant.arguments) {
        arguments.add(DNNL_ARG_SCRATCHPAD, variant.primitive.scratch_desc(), engine);
      }
      scratch_bytes_ = std::max(scratch_bytes_, (variant.primitive.scratch_bytes() + 63) / 64 * 64);
    }
  }

  const Shards& shards() const noexcept { return shards_; }

  /// A part of a shard that runs at once: so many images from `first` on. `again`: not the shard's first.
  struct Run {
    std::int64_t shard, first, images;
    bool again;
  };

  /// Runs all shards: `point(arguments, run)` sets the arguments, `done(run)` follows.
  template <class Point, class Done>
  void run(const onednn::Engine& engine, Point point, Done done) {
    const Tensor scratch = Tensor::empty({shards_.count() * static_cast<std::int64_t>(scratch_bytes_)}, DType::u8);
    const std::byte* scratch_bytes = scratch.bytes();
    parallel_for(shards_.count(), [&](std::int64_t shard) {
      const onednn::OneThread one;
      const std::int64_t begin = shards_.first(shard), end = shards_.last(shard);
      for (std::int64_t first = begin; first < end;) {
        const Run run{shard, first, std::min(kChunk, end - first), first != begin};
        Variant& variant = *std::ranges::find(variants_, run.images, &Variant::images);
        Arguments& arguments = variant.arguments[static_cast<std::size_t>(shard)];
        point(arguments, run);
        arguments.set(arguments.size() - 1, scratch_bytes + static_cast<std::size_t>(shard) * scratch_bytes_);
        arguments.run(variant.primitive, engine);
        done(run);
        first += run.images;
      }
    });
  }

 private:
  struct Variant {
    std::int64_t images;
    Primitive primitive;
    std::vector<Arguments> arguments;  // one a shard
  };

  Shards shards_;
  std::vector<Variant> variants_;
  std::size_t scratch_bytes_ = 0;
};

/// The layout of weights that the first primitive made chooses and the others follow.
class Layout {
 public:
  void impose(memory::desc& weight) const {
    if (chosen_) weight = *chosen_;
  }
  void note(const memory::desc& weight) {
    if (!chosen_) chosen_ = weight;
  }
  const memory::desc& get() const { return *chosen_; }

 private:
  std::optional<memory::desc> chosen_;
};

class Conv2dOnednn final : public Conv2dPlan::Impl {
 public:
  Conv2dOnednn(const Shape& x, const Shape& y, const Conv2dOptions& options)
      : x_(x), y_(y), options_(options), weight_(onednn::weight_desc(x, y, options)) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu, Tensor& y, Stream&) override {
    if (!forward_) forward_.emplace(*this);
    const float* weights = forward_->weights.pack(weight, engine_);
    const float* biases = options_.bias ? bias.data<float>() : nullptr;
    forward_->pass.run(
        engine_,
        [&](Arguments& arguments, const Pass::Run& run) {
          arguments.set(0, x.data<float>() + run.first * x_image());
          arguments.set(1, weights);
          arguments.set(2, y.data<float>() + run.first * y_image());
          if (biases) arguments.set(3, biases);
        },
        [&](const Pass::Run& run) {
          if (relu) relu_block(y.data<float>() + run.first * y_image(), run.images * y_image());
        });
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream&) override {
    if (!backward_data_) backward_data_.emplace(*this);
    const float* weights = backward_data_->weights.pack(weight, engine_);
    backward_data_->pass.run(
        engine_,
        [&](Arguments& arguments, const Pass::Run& run) {
          arguments.set(0, dy.data<float>() + run.first * y_image());
          arguments.set(1, weights);
          arguments.set(2, dx.data<float>() + run.first * x_image());
        },
        [](const Pass::Run&) {});
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream&) override {
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
          arguments.set(0, x.data<float>() + run.first * x_image());
          arguments.set(1, dy.data<float>() + run.first * y_image());
          arguments.set(2, to);
          if (options_.bias) arguments.set(3, to + weights);
        },
        [&](const Pass::Run& run) {
          if (run.again) add(more.data<float>() + run.shard * row, row, sums.data<float>() + run.shard * row);
        });
    add_shards(sums);
    float* sum = sums.data<float>();
    if (backward_weights_->unpack.needed()) {
      Tensor plain = Tensor::empty(dweight.shape());
      backward_weights_->unpack.run(sum, plain.bytes(), engine_);
      finish(plain.data<float>(), dweight.numel(), accumulate.dweight, dweight.data<float>());
    } else {
      finish(sum, dweight.numel(), accumulate.dweight, dweight.data<float>());
    }
    if (options_.bias) finish(sum + weights, dbias.numel(), accumulate.dbias, dbias.data<float>());
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
    explicit Forward(Conv2dOnednn& conv)
        : pass(conv.x_[0], conv.engine_,
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
    explicit BackwardData(Conv2dOnednn& conv)
        : pass(conv.x_[0], conv.engine_,
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
    explicit BackwardWeights(Conv2dOnednn& conv)
        : pass(conv.x_[0], conv.engine_,
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

  std::int64_t x_image() const { return x_.with(0, 1).numel(); }
  std::int64_t y_image() const { return y_.with(0, 1).numel(); }

  Shape x_, y_;
  Conv2dOptions options_;
  onednn::Engine engine_;
  memory::desc weight_;  // as it lies in a Tensor
  std::optional<Forward> forward_;
  std::optional<BackwardData> backward_data_;
  std::optional<BackwardWeights> backward_weights_;
};

}  // namespace

std::unique_ptr<Conv2dPlan::Impl> conv2d_onednn(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  return std::make_unique<Conv2dOnednn>(x, y, options);
}

}  // namespace gpucnn::kernels::cpu
