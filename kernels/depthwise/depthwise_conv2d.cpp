#include <algorithm>
#include <vector>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/activation/activation_block.h>
#include <gpucnn/kernels/common/all_finite.h>
#include <gpucnn/kernels/common/shard_sums.h>
#include <gpucnn/kernels/common/shards.h>
#include <gpucnn/kernels/conv/conv2d_impl.h>
#include <gpucnn/kernels/depthwise/packed_taps.h>
#include <gpucnn/kernels/depthwise/rows.h>

// Depthwise convolution on the CPU: every output channel reads one input channel. It moves more bytes than it multiplies, so it
// works row by row, each of which is finished while it is in the cache. Where a channel has several outputs, rows of x are first
// expanded to as many channels as y has.
namespace gpucnn::kernels {
namespace cpu {
namespace {

constexpr std::int64_t kTaskElements = 32 * 1024;
constexpr std::int64_t kMaxTerms = 1024;  // of a gradient's sum, before it is added to those of other rows

/// Calls `visit(output, tap of the rows, tap of the columns)` for each tap of row `row` that lies in the padding.
template <class Visit>
void for_each_outside(const Axis& rows, std::int64_t row, const Axis& columns, Visit visit) {
  const std::int64_t r_first = rows.first_tap(row), r_last = rows.last_tap(row);
  for (std::int64_t o = 0; o < columns.outputs; ++o) {
    const std::int64_t s_first = columns.first_tap(o), s_last = columns.last_tap(o);
    for (std::int64_t r = 0; r < rows.taps; ++r) {
      for (std::int64_t s = 0; s < columns.taps; ++s) {
        if (r < r_first || r >= r_last || s < s_first || s >= s_last) visit(o, r, s);
      }
    }
  }
}

/// Adds the padding's zeros by K factors to K sums: NaN where a factor is not finite.
void add_zeros(const float* factors, std::int64_t K, float* sums) {
  for (std::int64_t k = 0; k < K; ++k) sums[k] += 0.0F * factors[k];
}

class DepthwiseConv2d final : public Conv2dPlan::Impl {
 public:
  DepthwiseConv2d(const Shape& x, const Shape& y, const Conv2dOptions& options)
      : x_(x),
        y_(y),
        kernel_(options.kernel_size),
        has_padding_(options.padding != 0),
        has_bias_(options.bias),
        rows_(forward_axis(x[2], y[2], kernel_.height, options.stride.height, options.padding.top, options.dilation.height)),
        columns_(forward_axis(x[3], y[3], kernel_.width, options.stride.width, options.padding.left, options.dilation.width)),
        gradient_rows_(
            gradient_axes(x[2], y[2], kernel_.height, options.stride.height, options.padding.top, options.dilation.height)),
        gradient_columns_(
            gradient_axes(x[3], y[3], kernel_.width, options.stride.width, options.padding.left, options.dilation.width)) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y, Stream&) override {
    const float *in = x.data<float>(), *weights = packed_weight(weight), *start = has_bias_ ? bias.data<float>() : nullptr;
    float* const out = y.data<float>();
    const bool adds_zeros = has_padding_ && !packed_.are_finite(), rectifies = epilogue.kind == Activation::relu && !adds_zeros;
    const std::int64_t line = y_[3] * channels_out(), per_task = rows_per_task(y_[2], line),
                       bands = (y_[2] + per_task - 1) / per_task;
    Scratch scratch(expands() ? most_input_rows(per_task) * x_[3] * channels_out() : 0);
    parallel_for(y_[0] * bands, scratch.threads(), [&](std::int64_t task, int thread) {
      const std::int64_t image = task / bands, first = task % bands * per_task, last = std::min(y_[2], first + per_task);
      const InputRows from = input_rows(in + image * x_[1] * x_[2] * x_[3], first, last, scratch.of(thread));
      for (std::int64_t row = first; row < last; ++row) {
        float* const to = out + (image * y_[2] + row) * line;
        correlate_row({rows_, columns_, row, from.data, from.first, weights, kernel_.width, channels_out(), start, to, rectifies});
        if (adds_zeros) {
          for_each_outside(rows_, row, columns_, [&](std::int64_t o, std::int64_t r, std::int64_t s) {
            add_zeros(weights + (r * kernel_.width + s) * channels_out(), channels_out(), to + o * channels_out());
          });
        }
        if (!rectifies) activation_block(epilogue, to, line);
      }
    });
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) override {
    (void)backward_data_before(dy, weight, {}, dx, stream);
  }

  bool backward_data_before(const Tensor& dy, const Tensor& weight, const Conv2dBefore& before, Tensor& dx, Stream&) override {
    if (before.addend.defined()) return false;
    const float* const made = before.before.kind != Activation::none ? before.x.data<float>() : nullptr;
    const float *from = dy.data<float>(), *weights = packed_weight(weight);
    float* const out = dx.data<float>();
    const std::int64_t line = x_[3] * x_[1], per_task = rows_per_task(x_[2], x_[3] * channels_out());
    const std::int64_t bands = (x_[2] + per_task - 1) / per_task;
    Scratch scratch(expands() ? x_[3] * channels_out() : 0);
    parallel_for(x_[0] * bands, scratch.threads(), [&](std::int64_t task, int thread) {
      const std::int64_t image = task / bands, first = task % bands * per_task, last = std::min(x_[2], first + per_task);
      const auto phases = static_cast<std::int64_t>(gradient_rows_.size());
      for (std::int64_t row = first; row < last; ++row) {
        float* const to = out + (image * x_[2] + row) * line;
        for (const Axis& columns : gradient_columns_) {
          correlate_row({gradient_rows_[static_cast<std::size_t>(row % phases)], columns, row / phases,
                         from + image * y_[2] * y_[3] * channels_out(), 0, weights, kernel_.width, channels_out(), nullptr,
                         expands() ? scratch.of(thread) : to});
        }
        if (expands()) add_up(scratch.of(thread), line, to);
        if (made) activation_backward_block(before.before, made + (to - out), to, line);
      }
    });
    return true;
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream&) override {
    const Shards shards(x_[0]);
    const std::int64_t taps = this->taps(), count = (taps + 1) * channels_out();  // the last row is the bias's
    const std::int64_t band = std::clamp<std::int64_t>(kMaxTerms / y_[3], 1, y_[2]);
    Tensor sums = Tensor::zeros({shards.count(), count});
    float* const sum = sums.data<float>();
    Scratch scratch(count + (expands() ? most_input_rows(band) * x_[3] * channels_out() : 0));
    parallel_for(shards.count(), scratch.threads(), [&](std::int64_t shard, int thread) {
      for (std::int64_t image = shards.first(shard); image < shards.last(shard); ++image) {
        for (std::int64_t first = 0; first < y_[2]; first += band) {
          add_band(x, dy, image, first, std::min(y_[2], first + band), scratch.of(thread));
          add(scratch.of(thread), count, sum + shard * count);
        }
      }
    });
    add_shards(sums);
    float* const gradients = dweight.data<float>();
    for (std::int64_t k = 0; k < channels_out(); ++k) {
      for (std::int64_t tap = 0; tap < taps; ++tap)
        finish(sum + tap * channels_out() + k, 1, accumulate.dweight, gradients + k * taps + tap);
    }
    if (has_bias_) finish(sum + taps * channels_out(), channels_out(), accumulate.dbias, dbias.data<float>());
  }

 private:
  /// Memory for each thread, if any is needed.
  class Scratch {
   public:
    explicit Scratch(std::int64_t floats) : threads_(num_threads()), floats_(floats) {
      if (floats) memory_ = Tensor::empty({threads_ * floats});
      data_ = floats ? memory_.data<float>() : nullptr;
    }
    int threads() const { return threads_; }
    float* of(int thread) const { return data_ + thread * floats_; }

   private:
    int threads_;
    std::int64_t floats_;
    Tensor memory_;
    float* data_;
  };

  /// Rows of an image from `first` on, with K channels.
  struct InputRows {
    const float* data;
    std::int64_t first;
  };

  std::int64_t channels_out() const { return y_[1]; }
  std::int64_t taps() const { return std::int64_t{kernel_.height} * kernel_.width; }
  bool expands() const { return x_[1] != channels_out(); }

  static std::int64_t rows_per_task(std::int64_t rows, std::int64_t line) {
    return std::clamp<std::int64_t>(kTaskElements / line, 1, rows);
  }

  /// At most so many rows of x meet `count` rows of y.
  std::int64_t most_input_rows(std::int64_t count) const {
    return std::min(x_[2], (count - 1) * rows_.stride + (rows_.taps - 1) * rows_.step + 1);
  }

  /// What rows [first, last) of y read of an image of x.
  InputRows input_rows(const float* image, std::int64_t first, std::int64_t last, float* scratch) const {
    if (!expands()) return {image, 0};
    const std::int64_t begin = rows_.origin + first * rows_.stride, count = most_input_rows(last - first);
    const std::int64_t from = std::clamp<std::int64_t>(begin, 0, x_[2] - count), each = channels_out() / x_[1];
    const float* input = image + from * x_[3] * x_[1];
    for (std::int64_t i = 0; i < count * x_[3] * x_[1]; ++i) std::fill_n(scratch + i * each, each, input[i]);
    return {scratch, from};
  }

  /// The gradients of the outputs of each of `count` inputs, added up.
  void add_up(const float* from, std::int64_t count, float* to) const {
    const std::int64_t each = channels_out() / x_[1];
    for (std::int64_t i = 0; i < count; ++i) {
      float sum = 0;
      for (std::int64_t j = 0; j < each; ++j) sum += from[i * each + j];
      to[i] = sum;
    }
  }

  /// sums = the gradients of weight and bias from rows [first, last) of an image. Expanded rows of x come behind the sums.
  void add_band(const Tensor& x, const Tensor& dy, std::int64_t image, std::int64_t first, std::int64_t last, float* sums) const {
    float* const bias_sums = sums + taps() * channels_out();
    std::fill_n(sums, (taps() + 1) * channels_out(), 0.0F);
    const InputRows from = input_rows(x.data<float>() + image * x_[1] * x_[2] * x_[3], first, last, bias_sums + channels_out());
    const std::int64_t line = y_[3] * channels_out();
    const float* const gradients = dy.data<float>() + image * y_[2] * line;
    for (std::int64_t row = first; row < last; ++row) {
      add_weight_products({rows_, columns_, row, from.data, from.first, gradients + row * line, channels_out(), sums});
      add_pixels(gradients + row * line, y_[3], channels_out(), bias_sums);
    }
    if (!has_padding_ || all_finite(bias_sums, channels_out())) return;
    for (std::int64_t row = first; row < last; ++row) {
      for_each_outside(rows_, row, columns_, [&](std::int64_t o, std::int64_t r, std::int64_t s) {
        add_zeros(gradients + row * line + o * channels_out(), channels_out(), sums + (r * kernel_.width + s) * channels_out());
      });
    }
  }

  const float* packed_weight(const Tensor& weight) { return packed_.of(weight, taps(), channels_out()); }

  Shape x_, y_;
  Size2 kernel_;
  bool has_padding_, has_bias_;
  Axis rows_, columns_;
  std::vector<Axis> gradient_rows_, gradient_columns_;  // for each remainder by the stride
  PackedTaps packed_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Conv2dPlan::Impl> cpu::depthwise_conv2d(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  return std::make_unique<DepthwiseConv2d>(x, y, options);
}

}  // namespace gpucnn::kernels
