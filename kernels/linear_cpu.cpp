#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include <gpucnn/core/flush_subnormals.h>
#include <gpucnn/core/parallel.h>
#include <gpucnn/kernels/linear_impl.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/linear_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

// Linear layers on the CPU, operands as they lie. Each sum is made by one task, its terms in an order that depends on sizes only.
#ifndef GPUCNN_KERNELS_LINEAR_CPU
#define GPUCNN_KERNELS_LINEAR_CPU
namespace gpucnn::kernels {

/// y[n][o] = the dot product of rows x[n] and weight[o], of I floats each, + bias[o], for blocks of both rows.
struct DotProducts {
  std::int64_t N, O, I;
  const float *x, *weight, *bias;  // bias: null without one
  float* y;
  std::int64_t y_stride;
  bool relu;
};

/// c[m][i] = the sum over t of a[m][t] b[t][i]; added to c if `more`.
struct RowSums {
  std::int64_t M, T, I;
  const float* a;
  std::int64_t a_row, a_column;  // distances of a's elements in m and t
  const float* b;
  std::int64_t b_row;
  float* c;
  std::int64_t c_row;
  bool more;
};

/// c[i] = the sum over k of values[k] b[rows[k]][i], for i in [0, I); added to c if `more`.
struct SomeRowSums {
  std::int64_t count, I;
  const float* values;
  const std::int32_t* rows;
  const float* b;
  std::int64_t b_row;
  float* c;
  bool more;
};

}  // namespace gpucnn::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Floats>;
constexpr int kLanes = hn::MaxLanes(Floats());

// Registers decide: 24 sums of 32 vectors with AVX-512, 12 of 16 elsewhere.
constexpr bool kWide = kLanes == 16;
constexpr int kImages = kWide ? 4 : 2;
constexpr int kOutputs = 6;
constexpr int kRows = 6;
constexpr int kVectors = kWide ? 4 : 2;

/// The dot products of A images with B outputs, from (n, o) on.
template <int A, int B>
HWY_INLINE void dot_tile(const DotProducts& p, std::int64_t n, std::int64_t o) {
  const Floats d;
  const float* x = p.x + n * p.I;
  const float* weight = p.weight + o * p.I;
  Vector sums[A][B];
#pragma GCC unroll 4
  for (int a = 0; a < A; ++a) {
#pragma GCC unroll 6
    for (int b = 0; b < B; ++b) sums[a][b] = hn::Zero(d);
  }
  std::int64_t i = 0;
  for (; i + kLanes <= p.I; i += kLanes) {
    Vector xs[A];
#pragma GCC unroll 4
    for (int a = 0; a < A; ++a) xs[a] = hn::LoadU(d, x + a * p.I + i);
#pragma GCC unroll 6
    for (int b = 0; b < B; ++b) {
      const Vector w = hn::LoadU(d, weight + b * p.I + i);
#pragma GCC unroll 4
      for (int a = 0; a < A; ++a) sums[a][b] = hn::MulAdd(xs[a], w, sums[a][b]);
    }
  }
#pragma GCC unroll 4
  for (int a = 0; a < A; ++a) {
#pragma GCC unroll 6
    for (int b = 0; b < B; ++b) {
      float sum = hn::GetLane(hn::SumOfLanes(d, sums[a][b]));
      for (std::int64_t rest = i; rest < p.I; ++rest) sum += x[a * p.I + rest] * weight[b * p.I + rest];
      if (p.bias) sum += p.bias[o + b];
      p.y[(n + a) * p.y_stride + o + b] = p.relu && sum < 0.0F ? 0.0F : sum;  // keeps NaN
    }
  }
}

template <int A>
HWY_INLINE void dot_rows(const DotProducts& p, std::int64_t n) {
  std::int64_t o = 0;
  for (; o + kOutputs <= p.O; o += kOutputs) dot_tile<A, kOutputs>(p, n, o);
  for (; o + 2 <= p.O; o += 2) dot_tile<A, 2>(p, n, o);
  if (o < p.O) dot_tile<A, 1>(p, n, o);
}

void dot_products(const DotProducts& p) {
  std::int64_t n = 0;
  for (; n + kImages <= p.N; n += kImages) dot_rows<kImages>(p, n);
  for (; n < p.N; ++n) dot_rows<1>(p, n);
}

/// M rows from m on, V vectors from i on.
template <int M, int V, class D>
HWY_INLINE void sum_tile(D d, const RowSums& p, std::int64_t m, std::int64_t i) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  hn::Vec<D> sums[M][V];
#pragma GCC unroll 6
  for (int r = 0; r < M; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[r][v] = hn::Zero(d);
  }
  const float* a = p.a + m * p.a_row;
  const float* b = p.b + i;
  for (std::int64_t t = 0; t < p.T; ++t, a += p.a_column, b += p.b_row) {
    hn::Vec<D> bs[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) bs[v] = hn::LoadU(d, b + v * lanes);
#pragma GCC unroll 6
    for (int r = 0; r < M; ++r) {
      const auto factor = hn::Set(d, a[r * p.a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] = hn::MulAdd(factor, bs[v], sums[r][v]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < M; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      float* c = p.c + (m + r) * p.c_row + i + v * lanes;
      hn::StoreU(p.more ? hn::Add(hn::LoadU(d, c), sums[r][v]) : sums[r][v], d, c);
    }
  }
}

template <int V, class D>
HWY_INLINE void sum_columns(D d, const RowSums& p, std::int64_t i) {
  std::int64_t m = 0;
  for (; m + kRows <= p.M; m += kRows) sum_tile<kRows, V>(d, p, m, i);
  for (; m + 2 <= p.M; m += 2) sum_tile<2, V>(d, p, m, i);
  if (m < p.M) sum_tile<1, V>(d, p, m, i);
}

void row_sums(const RowSums& p) {
  std::int64_t i = 0;
  for (; i + kVectors * kLanes <= p.I; i += kVectors * kLanes) sum_columns<kVectors>(Floats(), p, i);
  for (; i + kLanes <= p.I; i += kLanes) sum_columns<1>(Floats(), p, i);
  for (; i < p.I; ++i) sum_columns<1>(hn::CappedTag<float, 1>(), p, i);
}

template <int V, class D>
HWY_INLINE void sum_some(D d, const SomeRowSums& p, std::int64_t i) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  hn::Vec<D> even[V], odd[V];  // two sums, so that one need not wait for the other
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) even[v] = odd[v] = hn::Zero(d);
  const auto add = [&](std::int64_t k, hn::Vec<D>(&sums)[V]) HWY_ATTR {
    const auto factor = hn::Set(d, p.values[k]);
    const float* b = p.b + p.rows[k] * p.b_row + i;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[v] = hn::MulAdd(factor, hn::LoadU(d, b + v * lanes), sums[v]);
  };
  std::int64_t k = 0;
  for (; k + 2 <= p.count; k += 2) {
    add(k, even);
    add(k + 1, odd);
  }
  if (k < p.count) add(k, even);
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    float* c = p.c + i + v * lanes;
    const auto sum = hn::Add(even[v], odd[v]);
    hn::StoreU(p.more ? hn::Add(hn::LoadU(d, c), sum) : sum, d, c);
  }
}

void some_row_sums(const SomeRowSums& p) {
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= p.I; i += 4 * kLanes) sum_some<4>(Floats(), p, i);
  for (; i + kLanes <= p.I; i += kLanes) sum_some<1>(Floats(), p, i);
  for (; i < p.I; ++i) sum_some<1>(hn::CappedTag<float, 1>(), p, i);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(dot_products);
HWY_EXPORT(row_sums);
HWY_EXPORT(some_row_sums);

namespace cpu {
namespace {

/// [0, count) in parts of at least `least`, at most `most` parts.
struct Parts {
  Parts(std::int64_t of, std::int64_t least, std::int64_t most)
      : count(of), size(std::max({least, (of + most - 1) / most, std::int64_t{1}})) {}
  std::int64_t tasks() const { return (count + size - 1) / size; }
  std::int64_t first(std::int64_t task) const { return task * size; }
  std::int64_t length(std::int64_t task) const { return std::min(size, count - task * size); }

  std::int64_t count, size;
};

/// Strips of a matrix's columns, one a task, copied together where they are read often: rows of a wide matrix lie a page or more
/// apart, and would fall on the same few lines of the cache.
class Strips {
 public:
  Strips(std::int64_t columns, std::int64_t most_rows)
      : columns_(columns), most_rows_(most_rows), packed_(Tensor::empty({threads_, most_rows * kWidth})) {}

  std::int64_t count() const { return (columns_ + kWidth - 1) / kWidth; }
  /// The first column and the number of columns.
  std::pair<std::int64_t, std::int64_t> range(std::int64_t strip) const {
    return {strip * kWidth, std::min(kWidth, columns_ - strip * kWidth)};
  }
  int threads() const { return threads_; }
  /// Where a strip of `rows` rows of the matrix can be read `times` times by a thread.
  const float* pack(std::int64_t strip, const float* matrix, std::int64_t rows, std::int64_t times, int thread) {
    const auto [first, width] = range(strip);
    if (!pays(times)) return matrix + first;
    float* to = packed_.data<float>() + thread * most_rows_ * kWidth;
    for (std::int64_t r = 0; r < rows; ++r) std::copy_n(matrix + r * columns_ + first, width, to + r * kWidth);
    return to;
  }
  /// The distance of its rows there.
  std::int64_t row(std::int64_t times) const { return pays(times) ? kWidth : columns_; }

 private:
  static constexpr std::int64_t kWidth = 64;
  static bool pays(std::int64_t times) { return times > 12; }

  std::int64_t columns_, most_rows_;
  int threads_ = num_threads();
  Tensor packed_;
};

/// The elements of each row of a matrix that are not 0, if they are few: behind ReLU and dropout three of four gradients are.
class Nonzeros {
 public:
  /// `row` and `column`: the distances of elements. With few columns there is nothing to gain.
  Nonzeros(const float* matrix, std::int64_t rows, std::int64_t columns, std::int64_t row, std::int64_t column)
      : columns_(columns) {
    constexpr std::int64_t kFewColumns = 16;
    if (columns < kFewColumns) return;
    values_ = Tensor::empty({rows, columns + 1});
    places_ = Tensor::empty({rows, columns + 2}, DType::i32);
    std::atomic<std::int64_t> found{0};
    parallel_ranges(rows, 16, [&](std::int64_t first, std::int64_t last) {
      std::int64_t here = 0;
      for (std::int64_t r = first; r < last; ++r) here += list(matrix + r * row, r, column);
      found += here;
    });
    few_ = 2 * found < rows * columns;
  }

  bool few() const { return few_; }
  std::int64_t count(std::int64_t row) const { return *places(row); }
  const std::int32_t* columns(std::int64_t row) const { return places(row) + 1; }
  const float* values(std::int64_t row) const { return values_.data<float>() + row * (columns_ + 1); }

 private:
  const std::int32_t* places(std::int64_t row) const { return places_.data<std::int32_t>() + row * (columns_ + 2); }

  std::int64_t list(const float* from, std::int64_t row, std::int64_t column) {
    float* const values = values_.data<float>() + row * (columns_ + 1);
    std::int32_t* const places = places_.data<std::int32_t>() + row * (columns_ + 2);
    std::int32_t count = 0;
    for (std::int64_t c = 0; c < columns_; ++c) {  // without a branch, which nobody could predict
      const float value = from[c * column];
      values[count] = value;
      places[1 + count] = static_cast<std::int32_t>(c);
      count += value != 0.0F ? 1 : 0;
    }
    places[0] = count;
    return count;
  }

  std::int64_t columns_;
  bool few_ = false;
  Tensor values_;  // each row with room for one more
  Tensor places_;  // each row's count, then columns
};

class LinearCpu final : public LinearPlan::Impl {
 public:
  LinearCpu(std::int64_t N, std::int64_t I, std::int64_t O) : N_(N), I_(I), O_(O) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu, Tensor& y, Stream&) override {
    constexpr std::int64_t kTasks = 16;  // at least, where there is work for so many
    const Parts images(N_, 16, 64), outputs(O_, 6, std::max<std::int64_t>(1, kTasks / images.tasks()));
    const float* biases = bias.defined() ? bias.data<float>() : nullptr;
    parallel_for(images.tasks() * outputs.tasks(), [&](std::int64_t task) {
      const FlushSubnormals flush;
      const std::int64_t image = task / outputs.tasks(), output = task % outputs.tasks();
      const std::int64_t n = images.first(image), o = outputs.first(output);
      HWY_DYNAMIC_DISPATCH(dot_products)
      ({images.length(image), outputs.length(output), I_, x.data<float>() + n * I_, weight.data<float>() + o * I_,
        biases ? biases + o : nullptr, y.data<float>() + n * O_ + o, O_, relu});
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

  /// Rows of the weights and their gradients go to the same threads in forward, backward and the optimizer's update, so that each
  /// finds them in its own cache.
  Parts output_parts(std::int64_t most) const { return {O_, 6, most}; }

  /// dx for few images, each part of the outputs by a task, the parts added in order.
  void add_output_parts(const float* dy, const float* weight, float* dx) const {
    const Parts outputs = output_parts(4);
    const std::int64_t size = N_ * I_;
    Tensor parts = Tensor::empty({outputs.tasks() - 1, size});  // the first goes to dx
    const auto place = [&](std::int64_t part) { return part == 0 ? dx : parts.data<float>() + (part - 1) * size; };
    parallel_for(outputs.tasks(), [&](std::int64_t part) {
      const FlushSubnormals flush;
      const std::int64_t o = outputs.first(part);
      HWY_DYNAMIC_DISPATCH(row_sums)({N_, outputs.length(part), I_, dy + o, O_, 1, weight + o * I_, I_, place(part), I_, false});
    });
    parallel_ranges(size, 4096, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t part = 1; part < outputs.tasks(); ++part) {
        const float* more = place(part);
        for (std::int64_t e = first; e < last; ++e) dx[e] += more[e];
      }
    });
  }

  /// Terms whose gradient, an element of a, is 0 are left out where there are many. `first`: the row of `some` that is a's first.
  static void sum_rows(const RowSums& p, const Nonzeros& some, std::int64_t first) {
    if (!some.few()) return HWY_DYNAMIC_DISPATCH(row_sums)(p);
    for (std::int64_t m = 0; m < p.M; ++m) {
      HWY_DYNAMIC_DISPATCH(some_row_sums)
      ({some.count(first + m), p.I, some.values(first + m), some.columns(first + m), p.b, p.b_row, p.c + m * p.c_row, p.more});
    }
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
};

}  // namespace

std::unique_ptr<LinearPlan::Impl> linear(std::int64_t N, std::int64_t I, std::int64_t O) {
  return std::make_unique<LinearCpu>(N, I, O);
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
