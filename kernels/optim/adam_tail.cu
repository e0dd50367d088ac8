#include <gpucnn/kernels/optim/adam_tail.h>

#include <algorithm>
#include <vector>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/loss_parts.h>
#include <gpucnn/kernels/cuda/slice_total.h>
#include <gpucnn/kernels/cuda/step_end.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/optim/adam_update.h>

// The arena is cut into segments, in which gradients are made in one way. Blocks are dealt out to segments in their order. Each
// block finds out by itself whether the loss is finite. The last block to arrive writes the report and moves the state on, when
// nobody reads it any more.
namespace gpucnn::kernels::cuda {
namespace {

static_assert(kThreads == kAdders * kLines);

constexpr int kMaxSegments = 4 * static_cast<int>(StepTail::kMaxSums) + 1;
constexpr std::int64_t kElements = 4 * kThreads;  // of a block at least, where a thread makes gradients alone
constexpr std::int64_t kMaxBlocks = 4096;         // of such a segment

/// Neighbours in the arena.
struct Segment {
  std::int64_t first, count;  // elements of the arena
  std::int64_t element;       // its first, in a row of slices
  std::int64_t width;         // of a row
  int slices;                 // rows; 0: the gradients are there
  int source;                 // which slices
  bool accumulate;
  int first_block;

  __host__ __device__ bool has_many_slices() const { return slices > kLines; }
  /// Elements of a block.
  __host__ __device__ std::int64_t each() const {
    return has_many_slices() ? kAdders : kElements * ((count + kElements * kMaxBlocks - 1) / (kElements * kMaxBlocks));
  }
  std::int64_t blocks() const { return (count + each() - 1) / each(); }
};

struct Segments {
  Segment list[kMaxSegments];
  int count;
};

/// What the last block does; `parts` and `reports` are arguments of their own.
struct End {
  int parts;
  std::int64_t N, slots, images;
  bool counts_forward;
};

/// The block's elements [begin, end), whose gradients are there, four at a time where they are aligned.
__device__ void update_range(const AdamCoefficients& c, const float* dweight, float* weight, float* m, float* v, std::int64_t begin,
                             std::int64_t end) {
  const auto thread = static_cast<std::int64_t>(threadIdx.x);
  const std::int64_t fours = are_aligned<4>(dweight + begin, weight + begin, m + begin, v + begin) ? (end - begin) / 4 : 0;
  for (std::int64_t four = thread; four < fours; four += kThreads) {
    const std::int64_t i = begin + 4 * four;
    const auto gradient = load<4>(dweight + i);
    auto value = load<4>(weight + i), mean = load<4>(m + i), square = load<4>(v + i);
    for (int k = 0; k < 4; ++k) c.update(gradient.at[k], value.at[k], mean.at[k], square.at[k], nullptr);
    store(mean, m + i);
    store(square, v + i);
    store(value, weight + i);
  }
  for (std::int64_t i = begin + 4 * fours + thread; i < end; i += kThreads) c.update(dweight[i], weight[i], m[i], v[i], nullptr);
}

/// `parts` may be null: the loss is no part of it. Of the slices those that no segment names are null.
__global__ void __launch_bounds__(kThreads)
    adam_tail_kernel(AdamStep s, Segments segments, End end, StepState* state, const LossPart* parts, gpu::StepReport* reports,
                     const float* slices0, const float* slices1, const float* slices2, const float* slices3, const float* slices4,
                     const float* slices5, const float* slices6, const float* slices7, float* dweight, float* weight, float* m,
                     float* v) {
  static_assert(StepTail::kMaxSums == 8);
  GPUCNN_SHARED(AdamCoefficients, coefficients, 1);
  GPUCNN_SHARED(bool, fails, 1);
  LossTotal total{};
  if (parts) total = total_of<kThreads>(parts, end.parts, end.N);
  if (threadIdx.x == 0) {
    s.lr = state->lr[s.group];
    s.beta1 = state->momentum[s.group];
    s.step += state->updates;
    coefficients[0] = AdamCoefficients::of(s);
    fails[0] = state->failed != 0 || (parts && !is_finite(total.loss));
  }
  __syncthreads();

  if (!fails[0]) {
    int at = 0;
    while (at + 1 < segments.count && static_cast<int>(blockIdx.x) >= segments.list[at + 1].first_block) ++at;
    const Segment& segment = segments.list[at];
    const std::int64_t block = static_cast<int>(blockIdx.x) - segment.first_block;
    const AdamCoefficients& c = coefficients[0];
    const int from = segment.source;
    const float* const slices = from == 0   ? slices0
                                : from == 1 ? slices1
                                : from == 2 ? slices2
                                : from == 3 ? slices3
                                : from == 4 ? slices4
                                : from == 5 ? slices5
                                : from == 6 ? slices6
                                            : slices7;
    const auto update = [&](std::int64_t i) { c.update(dweight[i], weight[i], m[i], v[i], nullptr); };
    const std::int64_t shift = segment.first - segment.element;  // from an element of a row to the arena's
    if (segment.has_many_slices()) {
      const std::int64_t first = segment.element + block * kAdders;
      total_of_slices(slices, segment.slices, segment.width, first, segment.element + segment.count,
                      [&](std::int64_t e, double sum) {
                        put_sum(sum, segment.accumulate, dweight + e + shift);
                        update(e + shift);
                      });
    } else {
      const std::int64_t begin = segment.first + block * segment.each();
      const std::int64_t last = std::min(segment.first + segment.count, begin + segment.each());
      if (segment.slices == 0) {
        update_range(c, dweight, weight, m, v, begin, last);
      } else {
        for (std::int64_t i = begin + threadIdx.x; i < last; i += kThreads) {
          put_sum(total_of_few_slices(slices, segment.slices, segment.width, i - shift), segment.accumulate, dweight + i);
          update(i);
        }
      }
    }
  }

  if (threadIdx.x != 0) return;
  __threadfence();
  if (atomicAdd(&state->arrived, 1U) != gridDim.x - 1) return;
  __threadfence();
  state->arrived = 0;
  if (parts) write_report(total.loss, total.correct, end.N, total.ignored, state, reports, end.slots);
  advance_state(state, end.images, end.counts_forward);
}

/// The segments of an arena of `count` elements whose gradients begin at `gradients`; those of the sums first, in any order.
Segments segments_of(const std::vector<StepTail::Sums>& all, const float* gradients, std::int64_t count) {
  std::vector<Segment> made;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const StepTail::Sums& sums = all[i];
    const auto add = [&](const Tensor& gradient, std::int64_t element, std::int64_t elements, bool accumulate) {
      made.push_back({gradient.device_data<float>() - gradients, elements, element, sums.count.all,
                      static_cast<int>(sums.slices.dim(0)), static_cast<int>(i), accumulate, 0});
    };
    add(sums.dweight, 0, sums.count.weights, sums.add_weight);
    if (sums.count.all > sums.count.weights) {
      add(sums.dbias, sums.count.weights, sums.count.all - sums.count.weights, sums.add_bias);
    }
  }
  std::ranges::sort(made, {}, &Segment::first);
  Segments segments{};
  std::int64_t blocks = 0, next = 0;
  const auto put = [&](Segment segment) {
    segment.first_block = static_cast<int>(blocks);
    blocks += segment.blocks();
    segments.list[segments.count++] = segment;
    next = segment.first + segment.count;
  };
  const auto gap_until = [&](std::int64_t end) {
    if (next < end) put({next, end - next, 0, 0, 0, 0, false, 0});
  };
  for (const Segment& segment : made) {
    gap_until(segment.first);
    put(segment);
  }
  gap_until(count);
  return segments;
}

/// Whether all that they add up to lies within these gradients.
bool lie_within(const StepTail::Sums& sums, const float* gradients, std::int64_t count) {
  const auto lies = [&](const Tensor& gradient) {
    const float* const data = gradient.device_data<float>();
    return data >= gradients && data + gradient.numel() <= gradients + count;
  };
  return lies(sums.dweight) && (sums.count.all == sums.count.weights || lies(sums.dbias));
}

}  // namespace

void adam_tail(const Tensor& dweight, const AdamStep& step, Tensor& weight, Tensor& m, Tensor& v, StepTail& tail, Stream& stream) {
  float* const gradients = Tensor(dweight).device_data<float>();
  const std::int64_t count = weight.numel();
  tail.add_where([&](const StepTail::Sums& sums) { return !lie_within(sums, gradients, count); }, stream);
  const std::vector<StepTail::Sums>& sums = tail.sums();
  const Segments segments = segments_of(sums, gradients, count);
  const Segment& last = segments.list[segments.count - 1];
  const auto slices = [&](std::size_t i) { return i < sums.size() ? sums[i].slices.device_data<float>() : nullptr; };
  const auto& report = tail.report();
  const End end{report ? static_cast<int>(report->parts.dim(0)) : 0, report ? report->N : 0, report ? report->slots : 1,
                tail.advance().images, tail.advance().counts_forward};
  launch(stream, "adam_tail", {last.first_block + last.blocks(), kThreads}, adam_tail_kernel, step, segments, end, tail.state(),
         report ? reinterpret_cast<const LossPart*>(report->parts.bytes()) : nullptr, report ? report->reports : nullptr, slices(0),
         slices(1), slices(2), slices(3), slices(4), slices(5), slices(6), slices(7), gradients, weight.device_data<float>(),
         m.device_data<float>(), v.device_data<float>());
  tail.close();
}

}  // namespace gpucnn::kernels::cuda
