#include <algorithm>
#include <cstdint>
#include <utility>

#include <gpucnn/core/threads/flush_subnormals.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/linear/linear_impl.h>
#include <gpucnn/kernels/linear/packed_panels.h>
#include <gpucnn/kernels/linear/sparse_rows.h>
#include <gpucnn/kernels/simd/vector_size.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/linear/linear_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/linear/gemm-inl.h>

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(dot_products);
HWY_EXPORT(row_sums);
HWY_EXPORT(some_row_sums);

namespace cpu {
namespace {

/// [0, count) in at most `most` parts of at least `least` and a multiple of `unit`.
struct Parts {
  Parts(std::int64_t of, std::int64_t least, std::int64_t most, std::int64_t unit = 1)
      : count(of), size(round_up(std::max({least, (of + most - 1) / most, std::int64_t{1}}), unit)) {}
  std::int64_t tasks() const { return (count + size - 1) / size; }
  std::int64_t first(std::int64_t task) const { return task * size; }
  std::int64_t length(std::int64_t task) const { return std::min(size, count - task * size); }

  std::int64_t count, size;
};

class LinearCpu final : public LinearPlan::Impl {
 public:
  LinearCpu(std::int64_t N, std::int64_t I, std::int64_t O) : N_(N), I_(I), O_(O) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y, Stream&) override {
    // One task for each thread, if it is worth telling one; up to 16, so that they can be shared out anew, where each still has so
    // many terms that its beginning costs nothing; of outputs that fill the products' tiles.
    constexpr std::int64_t kTasks = 16, kLeastTerms = 1 << 15, kManyTerms = 1 << 19, kTile = 6;
    const Parts images(N_, 16, 64);
    const std::int64_t tasks = std::max<std::int64_t>(num_threads(), std::min(kTasks, N_ * I_ * O_ / kManyTerms));
    const Parts outputs(O_, kLeastTerms / std::max<std::int64_t>(1, images.length(0) * I_),
                        std::max<std::int64_t>(1, tasks / images.tasks()), kTile);
    const float *const from = x.data<float>(), *const weights = weight.data<float>();
    const float* const biases = bias.defined() ? bias.data<float>() : nullptr;
    float* const to = y.data<float>();
    const std::int64_t I = I_, O = O_;
    // Either a thread keeps to its images or, behind an update, as a backward tells, to its outputs, whose weights only it has in
    // cache.
    const bool by_outputs = std::exchange(backward_since_forward_, false);
    parallel_for(images.tasks() * outputs.tasks(), [=](std::int64_t task) {
      const std::int64_t image = by_outputs ? task % images.tasks() : task / outputs.tasks();
      const std::int64_t output = by_outputs ? task / images.tasks() : task % outputs.tasks();
      const std::int64_t n = images.first(image), o = outputs.first(output);
      HWY_DYNAMIC_DISPATCH(dot_products)
      ({images.length(image), outputs.length(output), I, from + n * I, weights + o * I, biases ? biases + o : nullptr,
        to + n * O + o, O, epilogue});
    });
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream&) override {
    if (N_ < kManyImages) return add_output_parts(dy.data<float>(), weight.data<float>(), dx.data<float>());
    const Nonzeros some(dy.data<float>(), N_, O_, O_, 1);
    Strips strips(I_, O_);
    parallel_for(strips.count(), strips.threads(), [&](std::int64_t strip, int thread) {
      const FlushSubnormals flush;
      const auto [i, width] = strips.range(strip);
      const float* weights = strips.pack(strip, weight.data<float>(), O_, N_, thread);
      sum_rows({N_, O_, width, dy.data<float>(), O_, 1, weights, strips.row(N_), dx.data<float>() + i, I_, false}, some, 0);
    });
  }

  void backward_weights(const Tensor& x, const Tensor& dy, LinearPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream&) override {
    backward_since_forward_ = true;
    if (dbias.defined()) add_bias_gradients(dy.data<float>(), accumulate.dbias, dbias);
    const Parts outputs = output_parts(N_ < kManyImages ? 8 : 2);
    // In parts, so that x stays in cache and long sums are exact enough.
    constexpr std::int64_t kImages = 128;
    for (std::int64_t n = 0; n < N_; n += kImages) {
      const std::int64_t count = std::min(kImages, N_ - n);
      const float* const gradients = dy.data<float>() + n * O_;
      const Nonzeros some(gradients, O_, count, 1, O_);
      Strips strips(I_, count);
      parallel_for(outputs.tasks() * strips.count(), strips.threads(), [&](std::int64_t task, int thread) {
        const FlushSubnormals flush;
        const std::int64_t part = task / strips.count(), strip = task % strips.count(), o = outputs.first(part);
        const auto [i, width] = strips.range(strip);
        const float* xs = strips.pack(strip, x.data<float>() + n * I_, count, O_, thread);
        sum_rows({outputs.length(part), count, width, gradients + o, 1, O_, xs, strips.row(O_), dweight.data<float>() + o * I_ + i,
                  I_, accumulate.dweight || n > 0},
                 some, o);
      });
    }
  }

 private:
  static constexpr std::int64_t kManyImages = 16;

  /// Rows of the weights and their gradients go to the same threads in backward, the optimizer's update and the forward behind it,
  /// so that each finds most of them in its own cache.
  Parts output_parts(std::int64_t most) const { return {O_, 6, most}; }

  /// dx for few images, each part of the outputs by a task, the parts added in order.
  void add_output_parts(const float* dy, const float* weight, float* dx) const {
    const Parts outputs = output_parts(4);
    const std::int64_t size = N_ * I_;
    Tensor parts = Tensor::empty({outputs.tasks() - 1, size});  // the first goes to dx
    const std::int64_t N = N_, I = I_, O = O_;
    float* const others = parts.data<float>();
    const auto place = [=](std::int64_t part) { return part == 0 ? dx : others + (part - 1) * size; };
    parallel_for(outputs.tasks(), [=](std::int64_t part) {
      const FlushSubnormals flush;
      const std::int64_t o = outputs.first(part);
      HWY_DYNAMIC_DISPATCH(row_sums)({N, outputs.length(part), I, dy + o, O, 1, weight + o * I, I, place(part), I, false});
    });
    parallel_ranges(size, 4096, [=](std::int64_t first, std::int64_t last) {
      for (std::int64_t part = 1; part < outputs.tasks(); ++part) {
        const float* more = place(part);
        for (std::int64_t e = first; e < last; ++e) dx[e] += more[e];
      }
    });
  }

  /// Terms whose gradient, an element of a, is 0 are left out where there are many. `first`: the row of `some` that is a's first.
  static void sum_rows(const RowSums& p, const Nonzeros& some, std::int64_t first) {
    if (!some.few()) return HWY_DYNAMIC_DISPATCH(row_sums)(p);
    HWY_DYNAMIC_DISPATCH(some_row_sums)
    ({.M = p.M,
      .I = p.I,
      .values = some.values(first),
      .values_row = some.values_row(),
      .places = some.places(first),
      .places_row = some.places_row(),
      .b = p.b,
      .b_row = p.b_row,
      .c = p.c,
      .c_row = p.c_row,
      .more = p.more});
  }

  /// In double: the sums are as long as the batch.
  void add_bias_gradients(const float* dy, bool more, Tensor& dbias) const {
    constexpr std::int64_t kColumns = 64;
    for (std::int64_t first = 0; first < O_; first += kColumns) {
      const std::int64_t count = std::min(kColumns, O_ - first);
      double sums[kColumns] = {};
      for (std::int64_t n = 0; n < N_; ++n) {
        for (std::int64_t o = 0; o < count; ++o) sums[o] += static_cast<double>(dy[n * O_ + first + o]);
      }
      float* to = dbias.data<float>() + first;
      for (std::int64_t o = 0; o < count; ++o) to[o] = static_cast<float>(sums[o] + (more ? static_cast<double>(to[o]) : 0.0));
    }
  }

  std::int64_t N_, I_, O_;
  bool backward_since_forward_ = false;
};

}  // namespace

std::unique_ptr<LinearPlan::Impl> linear(std::int64_t N, std::int64_t I, std::int64_t O) {
  return std::make_unique<LinearCpu>(N, I, O);
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
