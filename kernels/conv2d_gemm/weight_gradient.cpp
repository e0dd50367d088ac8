#include <gpucnn/kernels/conv2d_gemm/weight_gradient.h>

#include <algorithm>

#include <gpucnn/core/threads/flush_subnormals.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/common/shard_sums.h>
#include <gpucnn/kernels/copy/transpose.h>
#include <gpucnn/kernels/gemm/term_products.h>

namespace gpucnn::kernels::cpu {
namespace {

constexpr std::int64_t kTasks = 16;         // so that a preempted thread's share can be stolen
constexpr std::int64_t kChunkPixels = 256;  // whose x and dy stay in cache while all terms pass

/// Of sums, or of copies, beyond which memory would be the bound.
constexpr std::int64_t kMaxFloats = 1 << 22;

/// As many as there are tasks, if their sums take no more than kMaxFloats.
std::int64_t shards_of(std::int64_t chunks, std::int64_t sums) {
  return std::min(chunks, std::clamp<std::int64_t>(kMaxFloats / std::max<std::int64_t>(1, sums), 1, kTasks));
}

}  // namespace

/// What a task sums: panels and runs of a shard's chunks.
struct WeightGradient::Part {
  std::int64_t shard, first_panel, last_panel, first_run, last_run;

  std::int64_t calls() const { return (last_panel - first_panel) * (last_run - first_run); }
};

/// Floats of x and dy that a chunk reads.
struct WeightGradient::Read {
  const float* x;
  std::int64_t x_count;
  const float* dy;
  std::int64_t dy_count;

  /// Part `part` of `parts` of them, as if they lay side by side. It ends with x where it begins there.
  std::pair<const float*, const float*> range(std::int64_t part, std::int64_t parts) const {
    const std::int64_t all = x_count + dy_count, first = part * all / parts, last = (part + 1) * all / parts;
    if (first < x_count) return {x + first, x + std::min(last, x_count)};
    return {dy + first - x_count, dy + last - x_count};
  }
};

/// Memory for chunks with the padding as pixels, `floats` each: those of all chunks and groups, or one. None: 0 floats.
struct WeightGradient::Copies {
  float* memory;
  std::int64_t floats;
  bool all;
};

WeightGradient::WeightGradient(const Correlation& c)
    : c_(c),
      window_(c),
      chunks_(c, window_, kChunkPixels),
      panels_(c.groups * panels_of(c.K)),
      shards_(shards_of(chunks_.count(), c.groups * packed_group(c))),
      panel_splits_(std::min(panels_, (kTasks + shards_ - 1) / shards_)) {
  const std::int64_t tasks = shards_ * panel_splits_;
  run_splits_ = std::min(static_cast<std::int64_t>(window_.runs().size()), (kTasks + tasks - 1) / tasks);
}

WeightGradient::Part WeightGradient::part(std::int64_t task) const {
  const std::int64_t split = task % run_splits_, panels = task / run_splits_ % panel_splits_;
  const auto runs = static_cast<std::int64_t>(window_.runs().size());
  return {.shard = task / run_splits_ / panel_splits_,
          .first_panel = panels * panels_ / panel_splits_,
          .last_panel = (panels + 1) * panels_ / panel_splits_,
          .first_run = split * runs / run_splits_,
          .last_run = (split + 1) * runs / run_splits_};
}

WeightGradient::Read WeightGradient::read(std::int64_t chunk, const float* x, const float* dy) const {
  const PixelTasks::Task task = chunks_[chunk];
  const std::int64_t row = c_.columns.inputs * c_.groups * c_.C, out_row = c_.width * c_.groups * c_.K;
  const std::int64_t top = c_.rows.origin + task.row * c_.rows.stride, first = std::clamp<std::int64_t>(top, 0, c_.rows.inputs);
  const std::int64_t last = std::clamp(top + InputWindow::rows_read(c_, task.rows), first, c_.rows.inputs);
  const std::int64_t more = task.images - 1;  // whole images
  return {x + task.image * c_.input_image() + first * row, more * c_.input_image() + (last - first) * row,
          dy + task.image * c_.output_image() + task.row * out_row, more * c_.output_image() + task.rows * out_row};
}

void WeightGradient::copy_chunk(std::int64_t chunk, std::int64_t group, const float* x, float* to) const {
  const PixelTasks::Task task = chunks_[chunk];
  const float* from = x + task.image * c_.input_image() + group * c_.C;
  for (std::int64_t n = 0; n < task.images; ++n, from += c_.input_image(), to += window_.image(c_, chunks_.rows())) {
    window_.copy(c_, from, task.row, task.rows, to);
  }
}

void WeightGradient::add_chunk(const Part& part, std::int64_t chunk, const float* x, const float* dy, const Copies& copies,
                               float* sums, double* bias_sums) const {
  const PixelTasks::Task task = chunks_[chunk];
  const std::int64_t in_group = panels_of(c_.K);
  const std::int64_t pixels = task.images * task.rows * c_.columns.outputs;
  const float* const gradients = dy + task.image * c_.output_image() + task.row * c_.width * c_.groups * c_.K;
  const std::int64_t last = (part.shard + 1) * chunks_.count() / shards_ - 1;
  const Read next = chunk < last ? read(chunk + 1, x, dy) : Read{};
  std::int64_t call = 0;
  const float* from = nullptr;
  for (std::int64_t panel = part.first_panel; panel < part.last_panel; ++panel) {
    const std::int64_t group = panel / in_group, k = panel % in_group * kGemmPanel, outputs = std::min(kGemmPanel, c_.K - k);
    if (!from || k == 0) {
      if (!copies.floats) {
        from = window_.first_tap(c_, x + task.image * c_.input_image() + group * c_.C, task.row);
      } else if (copies.all) {
        from = copies.memory + (chunk * c_.groups + group) * copies.floats;
      } else {
        copy_chunk(chunk, group, x, copies.memory);
        from = copies.memory;
      }
    }
    const float* const of_panel = gradients + group * c_.K + k;
    const std::int64_t run_terms = c_.terms() / static_cast<std::int64_t>(window_.runs().size());
    for (std::int64_t run = part.first_run; run < part.last_run; ++run) {
      const auto [offset, length] = window_.runs()[static_cast<std::size_t>(run)];
      const auto [ahead, ahead_end] = next.range(call++, part.calls());
      multiply_terms({.x = from + offset,
                      .x_at = chunks_.x(),
                      .dy = of_panel,
                      .dy_at = chunks_.y(),
                      .pixels = pixels,
                      .terms = length,
                      .outputs = outputs,
                      .sums = sums + (panel * c_.terms() + run * run_terms) * kGemmPanel,
                      .adds = chunk > part.shard * chunks_.count() / shards_,
                      .ahead = ahead,
                      .ahead_end = ahead_end});
    }
    if (bias_sums && part.first_run == 0) add_gradients(of_panel, chunks_.y(), pixels, outputs, bias_sums + panel * kGemmPanel);
  }
}

void WeightGradient::run(const Tensor& x, const Tensor& dy, bool add_weights, float* dweight, bool add_bias, float* dbias) const {
  const std::int64_t panel_floats = c_.terms() * kGemmPanel, row = panels_ * panel_floats, bias_row = panels_ * kGemmPanel;
  const std::int64_t copied = window_.copied() ? chunks_.images() * window_.image(c_, chunks_.rows()) : 0;
  const std::int64_t tasks = shards_ * panel_splits_ * run_splits_, all_copies = chunks_.count() * c_.groups;
  // A chunk that several tasks read is copied once for all of them, if there is not too much to copy.
  const bool all = copied && tasks > shards_ && all_copies * copied <= kMaxFloats;
  const int threads = num_threads();
  Tensor sums = Tensor::empty({shards_, row}), memory = copied ? Tensor::empty({(all ? all_copies : threads) * copied}) : Tensor{};
  Tensor bias_memory = dbias ? Tensor::zeros({2 * shards_ * bias_row}) : Tensor{};
  float *const all_sums = sums.data<float>(), *const copies = copied ? memory.data<float>() : nullptr;
  auto* const bias_sums = dbias ? reinterpret_cast<double*>(bias_memory.bytes()) : nullptr;
  const float *const inputs = x.data<float>(), *const gradients = dy.data<float>();
  if (all) {
    parallel_for(all_copies,
                 [=, this](std::int64_t copy) { copy_chunk(copy / c_.groups, copy % c_.groups, inputs, copies + copy * copied); });
  }
  parallel_for(tasks, threads, [=, this](std::int64_t task, int thread) {
    const FlushSubnormals flush;
    const Part mine = part(task);
    for (std::int64_t chunk = mine.shard * chunks_.count() / shards_; chunk < (mine.shard + 1) * chunks_.count() / shards_;
         ++chunk) {
      add_chunk(mine, chunk, inputs, gradients, {all ? copies : copies + thread * copied, copied, all}, all_sums + mine.shard * row,
                bias_sums ? bias_sums + mine.shard * bias_row : nullptr);
    }
  });
  add_shards(sums);
  finish_weights(all_sums, add_weights, dweight);
  if (dbias) finish_bias(bias_sums, add_bias, dbias);
}

void WeightGradient::finish_weights(const float* sums, bool adds, float* dweight) const {
  constexpr std::int64_t kBlock = 128;  // terms of a task
  const std::int64_t in_group = panels_of(c_.K), terms = c_.terms(), blocks = (terms + kBlock - 1) / kBlock;
  parallel_for(panels_ * blocks, [=, this](std::int64_t task) {
    const std::int64_t panel = task / blocks, first = task % blocks * kBlock, count = std::min(kBlock, terms - first);
    const std::int64_t k = panel % in_group * kGemmPanel, outputs = std::min(kGemmPanel, c_.K - k);
    const float* const from = sums + (panel * terms + first) * kGemmPanel;
    float* const to = dweight + (panel / in_group * c_.K + k) * terms + first;
    if (!adds) return transpose(from, kGemmPanel, count, outputs, to, terms);
    for (std::int64_t o = 0; o < outputs; ++o) {
      for (std::int64_t t = 0; t < count; ++t) to[o * terms + t] += from[t * kGemmPanel + o];
    }
  });
}

void WeightGradient::finish_bias(const double* sums, bool adds, float* dbias) const {
  const std::int64_t in_group = panels_of(c_.K);
  for (std::int64_t output = 0; output < c_.groups * c_.K; ++output) {
    const std::int64_t k = output % c_.K, at = output / c_.K * in_group * kGemmPanel + k;
    double sum = adds ? double{dbias[output]} : 0.0;
    for (std::int64_t shard = 0; shard < shards_; ++shard) sum += sums[shard * panels_ * kGemmPanel + at];
    dbias[output] = static_cast<float>(sum);
  }
}

}  // namespace gpucnn::kernels::cpu
