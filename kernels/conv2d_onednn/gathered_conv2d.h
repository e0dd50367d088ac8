#pragma once

#include <cstdint>
#include <optional>

#include <gpucnn/kernels/activation/activation_block.h>
#include <gpucnn/kernels/common/shard_sums.h>
#include <gpucnn/kernels/conv/conv2d_options.h>
#include <gpucnn/kernels/conv2d_onednn/pixel_gather.h>
#include <gpucnn/kernels/conv2d_onednn/sharded_primitive.h>
#include <gpucnn/kernels/vendor/onednn.h>

namespace gpucnn::kernels::cpu {

/// The gradients of a convolution's parameters as they come from oneDNN.
struct ParameterGradients {
  Tensor sums;   // [shards, sums], of which the first row is the sum of all: of the weights in oneDNN's layout, then of the bias
  Tensor plain;  // of the weights as they lie in a Tensor; undefined if that is oneDNN's layout
  std::int64_t weights;

  const float* dweight() const { return plain.defined() ? plain.data<float>() : sums.data<float>(); }
  const float* dbias() const { return sums.data<float>() + weights; }
};

/// A convolution by oneDNN: of x, or of images whose pixels are gathered from x.
class GatheredConv2d {
 public:
  /// `x` and `options` are what oneDNN is given. `gather`, if there is one, makes its images.
  GatheredConv2d(const Shape& x, const Shape& y, const Conv2dOptions& options, std::optional<PixelGather> gather)
      : x_(x), y_(y), options_(options), gather_(gather), weight_(onednn::weight_desc(x, y, options)) {}

  /// `then(chunk)` is called for each chunk, before y goes through the epilogue.
  template <class Then>
  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y, Then then) {
    if (!forward_) forward_.emplace(*this);
    const float* weights = forward_->weights.pack(weight, engine_);
    const float* biases = options_.bias ? bias.data<float>() : nullptr;
    forward_->sharded.run(
        engine_,
        [&](onednn::Arguments& arguments, const onednn::ShardedPrimitive::Chunk& chunk) {
          arguments.set(0, images(x, chunk));
          arguments.set(1, weights);
          arguments.set(2, y.data<float>() + chunk.first * image_of(y_));
          if (biases) arguments.set(3, biases);
        },
        [&](const onednn::ShardedPrimitive::Chunk& chunk) {
          then(chunk);
          activation_block(epilogue, y.data<float>() + chunk.first * image_of(y_), chunk.images * image_of(y_));
        });
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx) {
    if (!backward_data_) backward_data_.emplace(*this);
    const float* weights = backward_data_->weights.pack(weight, engine_);
    float* const to = dx.data<float>();
    backward_data_->sharded.run(
        engine_,
        [&](onednn::Arguments& arguments, const onednn::ShardedPrimitive::Chunk& chunk) {
          arguments.set(0, dy.data<float>() + chunk.first * image_of(y_));
          arguments.set(1, weights);
          arguments.set(2, gather_ ? chunk.gathered : to + chunk.first * image_of(x_));
        },
        [&](const onednn::ShardedPrimitive::Chunk& chunk) {
          if (!gather_) return;
          const std::int64_t image = image_of(dx.shape());
          for (std::int64_t n = 0; n < chunk.images; ++n) {
            gather_->scatter(chunk.gathered + n * gather_->floats(), to + (chunk.first + n) * image);
          }
        });
  }

  ParameterGradients backward_weights(const Tensor& x, const Tensor& dy, const Shape& weight) {
    if (!backward_weights_) backward_weights_.emplace(*this);
    const Shards& shards = backward_weights_->sharded.shards();
    const std::int64_t weights = floats_of(backward_weights_->layout.get());
    const std::int64_t row = weights + y_[1];  // a shard's gradients: of the weights, then of the bias
    // A shard's later chunks write beside its sum and are added to it.
    Tensor sums = Tensor::empty({shards.count(), row}), more = Tensor::empty({shards.count(), row});
    backward_weights_->sharded.run(
        engine_,
        [&](onednn::Arguments& arguments, const onednn::ShardedPrimitive::Chunk& chunk) {
          float* to = (chunk.again ? more : sums).data<float>() + chunk.shard * row;
          arguments.set(0, images(x, chunk));
          arguments.set(1, dy.data<float>() + chunk.first * image_of(y_));
          arguments.set(2, to);
          if (options_.bias) arguments.set(3, to + weights);
        },
        [&](const onednn::ShardedPrimitive::Chunk& chunk) {
          if (chunk.again) add(more.data<float>() + chunk.shard * row, row, sums.data<float>() + chunk.shard * row);
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
  using Memory = dnnl::memory;
  using Layout = onednn::Layout;
  using Primitive = onednn::Primitive;

  /// Weights in the layout that a primitive wants, in memory of the plan's own.
  struct Packed {
    Packed(const Memory::desc& from, const Memory::desc& to, const onednn::Engine& engine) : reorder(from, to, engine) {
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
    explicit Forward(GatheredConv2d& conv)
        : sharded(conv.x_[0], conv.gathered_floats(), conv.engine_,
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
    onednn::ShardedPrimitive sharded;
    Packed weights;
  };

  struct BackwardData {
    explicit BackwardData(GatheredConv2d& conv)
        : sharded(conv.x_[0], conv.gathered_floats(), conv.engine_,
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
    onednn::ShardedPrimitive sharded;
    Packed weights;
  };

  struct BackwardWeights {
    explicit BackwardWeights(GatheredConv2d& conv)
        : sharded(conv.x_[0], conv.gathered_floats(), conv.engine_,
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
    onednn::ShardedPrimitive sharded;
    onednn::Reorder unpack;
  };

  onednn::Convolution describe(std::int64_t images, const Layout& layout) const {
    onednn::Convolution c = onednn::convolution(images, x_, y_, options_);
    layout.impose(c.weight);
    return c;
  }

  static std::int64_t floats_of(const Memory::desc& desc) { return static_cast<std::int64_t>(desc.get_size() / sizeof(float)); }
  static std::int64_t image_of(const Shape& shape) { return shape.with(0, 1).numel(); }
  std::int64_t gathered_floats() const { return gather_ ? gather_->floats() : 0; }

  /// The images of a chunk as oneDNN reads them.
  const float* images(const Tensor& x, const onednn::ShardedPrimitive::Chunk& chunk) const {
    const std::int64_t image = image_of(x.shape());
    const float* const from = x.data<float>() + chunk.first * image;
    if (!gather_) return from;
    for (std::int64_t n = 0; n < chunk.images; ++n) gather_->gather(from + n * image, chunk.gathered + n * gather_->floats());
    return chunk.gathered;
  }

  Shape x_, y_;
  Conv2dOptions options_;
  std::optional<PixelGather> gather_;
  onednn::Engine engine_;
  Memory::desc weight_;  // as it lies in a Tensor
  std::optional<Forward> forward_;
  std::optional<BackwardData> backward_data_;
  std::optional<BackwardWeights> backward_weights_;
};

}  // namespace gpucnn::kernels::cpu
