#include <algorithm>
#include <cstdint>
#include <utility>

#include <gpucnn/core/threads/flush_subnormals.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/linear/linear_impl.h>
#include <gpucnn/kernels/linear/output_panels.h>
#include <gpucnn/kernels/linear/packed_panels.h>
#include <gpucnn/kernels/linear/sparse_rows.h>
#include <gpucnn/kernels/simd/vector_size.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/linear/linear_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/linear/gemm-inl.h>

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(gemm_nt);
HWY_EXPORT(gemm);
HWY_EXPORT(add_columns);

namespace cpu {
namespace {

/// [0, count) for at most `max_tasks` tasks, each of at least `min_size` elements and of a multiple of `unit`.
struct TaskSplit {
  TaskSplit(std::int64_t of, std::int64_t min_size, std::int64_t max_tasks, std::int64_t unit = 1)
      : count(of), size(round_up(std::max({min_size, (of + max_tasks - 1) / max_tasks, std::int64_t{1}}), unit)) {}
  std::int64_t tasks() const { return (count + size - 1) / size; }
  std::int64_t first(std::int64_t task) const { return task * size; }
  std::int64_t length(std::int64_t task) const { return std::min(size, count - task * size); }

  std::int64_t count, size;
};

class LinearCpu final : public LinearPlan::Impl {
 public:
  LinearCpu(std::int64_t N, std::int64_t I, std::int64_t O) : N_(N), I_(I), O_(O) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y, Stream&) override {
    const float* const biases = bias.defined() ? bias.data<float>() : nullptr;
    const GemmNT p{.N = N_,
                   .O = O_,
                   .I = I_,
                   .x = x.data<float>(),
                   .weight = weight.data<float>(),
                   .bias = biases,
                   .y = y.data<float>(),
                   .y_stride = O_,
                   .epilogue = epilogue,
                   .far = I_ * O_ > kNearWeights};
    if (OutputPanels::pay(N_, I_, O_)) return panels_.multiply(p, weight.version());
    take_dot_products(p);
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream&) override {
    if (N_ < kMinImages) return split_outputs(dy.data<float>(), weight.data<float>(), dx.data<float>());
    const SparseRows sparse(dy.data<float>(), N_, O_, false);
    PackedPanels panels(I_, kTerms);
    parallel_for(panels.count(), panels.threads(), [&](std::int64_t panel, int thread) {
      const FlushSubnormals flush;
      const auto [i, width] = panels.range(panel);
      for (std::int64_t o = 0; o < O_; o += kTerms) {
        const std::int64_t terms = std::min(kTerms, O_ - o);
        const float* weights = panels.pack(panel, weight.data<float>() + o * I_, terms, N_, thread);
        multiply({N_, terms, width, dy.data<float>() + o, O_, 1, weights, panels.stride(N_), dx.data<float>() + i, I_, o > 0},
                 sparse, 0, o / kTerms);
      }
    });
  }

  void backward_weights(const Tensor& x, const Tensor& dy, LinearPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream&) override {
    backward_since_forward_ = true;
    if (dbias.defined()) add_bias_gradients(dy.data<float>(), accumulate.dbias, dbias);
    const TaskSplit outputs = output_split(N_ < kMinImages ? 8 : 2);
    // A block of images at a time, so that x stays in cache, and that long sums stay exact enough.
    constexpr std::int64_t kImages = kTerms;
    for (std::int64_t n = 0; n < N_; n += kImages) {
      const std::int64_t count = std::min(kImages, N_ - n);
      const float* const gradients = dy.data<float>() + n * O_;
      const SparseRows sparse(gradients, O_, count, true);
      PackedPanels panels(I_, count);
      parallel_for(outputs.tasks() * panels.count(), panels.threads(), [&](std::int64_t task, int thread) {
        const FlushSubnormals flush;
        const std::int64_t split = task / panels.count(), panel = task % panels.count(), o = outputs.first(split);
        const auto [i, width] = panels.range(panel);
        const float* xs = panels.pack(panel, x.data<float>() + n * I_, count, O_, thread);
        multiply({outputs.length(split), count, width, gradients + o, 1, O_, xs, panels.stride(O_),
                  dweight.data<float>() + o * I_ + i, I_, accumulate.dweight || n > 0},
                 sparse, o, 0);
      });
    }
  }

 private:
  static constexpr std::int64_t kMinImages = 16;  // of a batch whose images give work enough; a smaller one is split by outputs

  /// Terms of a product that are packed at a time: a panel of them fills most of the first-level cache.
  static constexpr std::int64_t kTerms = CompressedRows::kBlock;

  /// Rows of the weights and their gradients go to the same threads in backward, in the update and in the forward behind it. So
  /// each finds most of them in its own cache.
  TaskSplit output_split(std::int64_t max_tasks) const { return {O_, 6, max_tasks}; }

  /// dx for few images: split-K GEMM over the outputs, one partial sum a task. They are added in order.
  void split_outputs(const float* dy, const float* weight, float* dx) const {
    const TaskSplit outputs = output_split(4);
    const std::int64_t size = N_ * I_;
    Tensor partial = Tensor::empty({outputs.tasks() - 1, size});  // the first goes to dx
    const std::int64_t N = N_, I = I_, O = O_;
    float* const others = partial.data<float>();
    const auto partial_of = [=](std::int64_t task) { return task == 0 ? dx : others + (task - 1) * size; };
    parallel_for(outputs.tasks(), [=](std::int64_t task) {
      const FlushSubnormals flush;
      const std::int64_t o = outputs.first(task);
      HWY_DYNAMIC_DISPATCH(gemm)({N, outputs.length(task), I, dy + o, O, 1, weight + o * I, I, partial_of(task), I, false});
    });
    parallel_ranges(size, 4096, [=](std::int64_t first, std::int64_t last) {
      for (std::int64_t task = 1; task < outputs.tasks(); ++task) {
        const float* more = partial_of(task);
        for (std::int64_t e = first; e < last; ++e) dx[e] += more[e];
      }
    });
  }

  void take_dot_products(const GemmNT& p) {
    // The number of tasks weighs the cost of waking a thread against the balance of load. A task has at least kMinTerms products:
    // fewer are done before a thread wakes. Large layers get up to kMaxTasks, so that a preempted thread's share can be stolen, as
    // long as each has kTermsToSteal. A task's outputs are a multiple of the GEMM's tile.
    constexpr std::int64_t kMaxTasks = 16, kMinTerms = 1 << 15, kTermsToSteal = 1 << 19, kTile = 6;
    const TaskSplit images(N_, 16, 64);
    const std::int64_t tasks = std::max<std::int64_t>(num_threads(), std::min(kMaxTasks, N_ * I_ * O_ / kTermsToSteal));
    const TaskSplit outputs(O_, kMinTerms / std::max<std::int64_t>(1, images.length(0) * I_),
                            std::max<std::int64_t>(1, tasks / images.tasks()), kTile);
    // As a rule a thread keeps to its images. Behind a backward, and so an update, it keeps to its outputs: their weights lie in
    // its cache alone.
    const bool by_outputs = std::exchange(backward_since_forward_, false);
    parallel_for(images.tasks() * outputs.tasks(), [=](std::int64_t task) {
      const std::int64_t image = by_outputs ? task % images.tasks() : task / outputs.tasks();
      const std::int64_t output = by_outputs ? task / images.tasks() : task % outputs.tasks();
      const std::int64_t n = images.first(image), o = outputs.first(output);
      GemmNT part = p;
      part.N = images.length(image);
      part.O = outputs.length(output);
      part.x += n * p.I;
      part.weight += o * p.I;
      if (part.bias) part.bias += o;
      part.y += n * p.y_stride + o;
      HWY_DYNAMIC_DISPATCH(gemm_nt)(part);
    });
  }

  /// By the sparse product where that pays. `first`: the row of `sparse` that is a's first.
  static void multiply(const Gemm& p, const SparseRows& sparse, std::int64_t first, std::int64_t block) {
    if (sparse.pays()) return sparse.multiply(p, first, block);
    HWY_DYNAMIC_DISPATCH(gemm)(p);
  }

  void add_bias_gradients(const float* dy, bool accumulate, Tensor& dbias) const {
    constexpr std::int64_t kGrain = 32 * 1024, kColumns = 16;
    float* const to = dbias.data<float>();
    const std::int64_t N = N_, O = O_;
    parallel_ranges(O, round_up(std::max<std::int64_t>(1, kGrain / N), kColumns), [=](std::int64_t first, std::int64_t last) {
      HWY_DYNAMIC_DISPATCH(add_columns)(dy + first, O, N, last - first, accumulate, to + first);
    });
  }

  std::int64_t N_, I_, O_;
  OutputPanels panels_;
  bool backward_since_forward_ = false;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<LinearPlan::Impl> cpu::linear(std::int64_t N, std::int64_t I, std::int64_t O) {
  return std::make_unique<LinearCpu>(N, I, O);
}

}  // namespace gpucnn::kernels
#endif
