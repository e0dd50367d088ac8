#include <algorithm>
#include <limits>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/pool/twins.h>
#include <gpucnn/kernels/pool_rows/for_rows.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/pool/window_pool_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/lanes-inl.h>
#include <gpucnn/kernels/simd/streamed-inl.h>

// Vectors run over the channels, which lie side by side. Forwards work on units: one row of y, and kUnitChannels of its channels,
// so that a global pooling of few images still has work for all threads. Backwards work on rows of dx, counted through the batch.
#ifndef GPUCNN_KERNELS_WINDOW_POOL_CPU
#define GPUCNN_KERNELS_WINDOW_POOL_CPU
namespace gpucnn::kernels {

constexpr std::int64_t kUnitChannels = 64;

}  // namespace gpucnn::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// The sum of `pixels` neighbours in one row of x, for the channels of one vector from `from` on.
template <class D>
HWY_INLINE hn::Vec<D> row_sum(D d, const float* from, std::int64_t pixels, std::int64_t C) {
  auto sum = hn::LoadU(d, from);
  for (std::int64_t p = 1; p < pixels; ++p) sum = hn::Add(sum, hn::LoadU(d, from + p * C));
  return sum;
}

/// y of one window, height x width pixels, for the channels of one vector from `from` on. Rows are added up by themselves, which
/// rounds the sum of a large window less than one running sum would.
template <class D>
HWY_INLINE void window_sum(D d, const float* from, std::int64_t height, std::int64_t width, std::int64_t line, std::int64_t C,
                           float divisor, float* to) {
  auto sum = row_sum(d, from, width, C);
  for (std::int64_t r = 1; r < height; ++r) sum = hn::Add(sum, row_sum(d, from + r * line, width, C));
  hn::StoreU(hn::Div(sum, hn::Set(d, divisor)), d, to);
}

/// The same, and the same bits, for four vectors side by side: each pixel's cache lines are read once.
template <class D>
HWY_INLINE void window_sum_of_four(D d, const float* from, std::int64_t height, std::int64_t width, std::int64_t line,
                                   std::int64_t C, float divisor, float* to) {
  const std::size_t lanes = hn::Lanes(d);
  auto sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  for (std::int64_t r = 0; r < height; ++r) {
    const float* at = from + r * line;
    auto row0 = hn::LoadU(d, at), row1 = hn::LoadU(d, at + lanes);
    auto row2 = hn::LoadU(d, at + 2 * lanes), row3 = hn::LoadU(d, at + 3 * lanes);
    for (std::int64_t p = 1; p < width; ++p) {
      at += C;
      row0 = hn::Add(row0, hn::LoadU(d, at));
      row1 = hn::Add(row1, hn::LoadU(d, at + lanes));
      row2 = hn::Add(row2, hn::LoadU(d, at + 2 * lanes));
      row3 = hn::Add(row3, hn::LoadU(d, at + 3 * lanes));
    }
    sum0 = r == 0 ? row0 : hn::Add(sum0, row0);
    sum1 = r == 0 ? row1 : hn::Add(sum1, row1);
    sum2 = r == 0 ? row2 : hn::Add(sum2, row2);
    sum3 = r == 0 ? row3 : hn::Add(sum3, row3);
  }
  const auto by = hn::Set(d, divisor);
  hn::StoreU(hn::Div(sum0, by), d, to);
  hn::StoreU(hn::Div(sum1, by), d, to + lanes);
  hn::StoreU(hn::Div(sum2, by), d, to + 2 * lanes);
  hn::StoreU(hn::Div(sum3, by), d, to + 3 * lanes);
}

/// Units [first, last) of y.
void mean_units(const Tensor& x, const PoolWindows& windows, Tensor& y, std::int64_t first, std::int64_t last) {
  const std::int64_t C = x.dim(1), H = x.dim(2), W = x.dim(3), Ho = y.dim(2), Wo = y.dim(3);
  const std::int64_t blocks = (C + kUnitChannels - 1) / kUnitChannels;
  const hn::ScalableTag<float> vector;
  const auto four = static_cast<std::int64_t>(4 * hn::Lanes(vector));
  for (std::int64_t unit = first; unit < last; ++unit) {
    const std::int64_t row = unit / blocks, i = row % Ho, c_first = unit % blocks * kUnitChannels;
    const std::int64_t c_last = std::min(C, c_first + kUnitChannels);
    const std::int64_t top = windows.rows.begin(i), height = windows.rows.end(i) - top;
    for (std::int64_t j = 0; j < Wo; ++j) {
      const std::int64_t left = windows.columns.begin(j), width = windows.columns.end(j) - left;
      const float* from = x.data<float>() + ((row / Ho * H + top) * W + left) * C;
      float* to = y.data<float>() + (row * Wo + j) * C;
      const float divisor = windows.divisor(i, j);
      std::int64_t c = c_first;
      for (; c + four <= c_last; c += four) window_sum_of_four(vector, from + c, height, width, W * C, C, divisor, to + c);
      for_lanes(static_cast<std::size_t>(c_last - c),
                [&](auto d, std::size_t k) HWY_ATTR { window_sum(d, from + c + k, height, width, W * C, C, divisor, to + c + k); });
    }
  }
}

/// sums[j] = what the windows (i, j), i in [i_first, i_last], of one image have for a pixel that they cover, for all j.
void sum_over_rows(const float* dy, const PoolWindows& windows, std::int64_t i_first, std::int64_t i_last, std::int64_t C,
                   float* sums) {
  const std::int64_t Wo = windows.columns.count;
  if (i_first > i_last) std::fill_n(sums, Wo * C, 0.0F);
  for (std::int64_t i = i_first; i <= i_last; ++i) {
    for (std::int64_t j = 0; j < Wo; ++j) {
      const float factor = 1 / windows.divisor(i, j);
      const float* from = dy + (i * Wo + j) * C;
      float* to = sums + j * C;
      for_lanes(static_cast<std::size_t>(C), [=](auto d, std::size_t c) HWY_ATTR {
        const auto before = i == i_first ? hn::Zero(d) : hn::LoadU(d, to + c);
        hn::StoreU(hn::MulAdd(hn::LoadU(d, from + c), hn::Set(d, factor), before), d, to + c);
      });
    }
  }
}

/// A row of dx from these sums. Neighbours in the same windows have the same gradient.
template <bool kStreamed>
HWY_INLINE void sum_over_columns(const float* sums, const WindowAxis& columns, std::int64_t C, float* dx) {
  std::int64_t j_first = 0, j_end = 0;  // the windows over a pixel
  for (std::int64_t w = 0; w < columns.size;) {
    while (j_first < columns.count && columns.end(j_first) <= w) ++j_first;
    while (j_end < columns.count && columns.begin(j_end) <= w) ++j_end;
    std::int64_t end = j_first < j_end ? columns.end(j_first) : columns.size;
    if (j_end < columns.count) end = std::min(end, columns.begin(j_end));
    const float* from = sums + j_first * C;
    const std::int64_t windows = (j_end - j_first) * C, pixels = (end - w) * C;
    const std::int64_t at_once = kStreamed ? C : pixels;  // stores past the caches want to be in order
    for (std::int64_t first = 0; first < pixels; first += at_once, dx += at_once) {
      for_lanes(static_cast<std::size_t>(C), [=](auto d, std::size_t c) HWY_ATTR {
        auto sum = windows > 0 ? hn::LoadU(d, from + c) : hn::Zero(d);
        for (std::int64_t j = C; j < windows; j += C) sum = hn::Add(sum, hn::LoadU(d, from + j + c));
        for (std::int64_t p = 0; p < at_once; p += C) store_result<kStreamed>(sum, d, dx + p + c);
      });
    }
    w = end;
  }
}

/// Rows [first, last) of dx. Each element adds up the windows that it lies in, so that no two tasks write to one element: first
/// those in a column, which the rows' neighbours share, then these sums. `sums`: memory for a row of dy.
template <bool kStreamed>
HWY_INLINE void add_mean_windows(const Tensor& dy, const PoolWindows& windows, float* sums, Tensor& dx, std::int64_t first,
                                 std::int64_t last) {
  const std::int64_t C = dx.dim(1), H = dx.dim(2), W = dx.dim(3), Ho = dy.dim(2), Wo = dy.dim(3);
  std::int64_t first_before = -1, last_before = -1;
  for (std::int64_t row = first; row < last; ++row) {
    const std::int64_t h = row % H, i_first = windows.rows.first_over(h), i_last = windows.rows.last_over(h);
    float* const to = dx.data<float>() + row * W * C;
    const bool as_before = row > first && h > 0 && i_first == first_before && i_last == last_before;
    if (as_before && !kStreamed) {
      std::copy_n(to - W * C, W * C, to);
      continue;
    }
    if (!as_before) sum_over_rows(dy.data<float>() + row / H * Ho * Wo * C, windows, i_first, i_last, C, sums);
    first_before = i_first;
    last_before = i_last;
    sum_over_columns<kStreamed>(sums, windows.columns, C, to);
  }
}

void mean_backward_rows(const Tensor& dy, const PoolWindows& windows, bool streamed, float* sums, Tensor& dx, std::int64_t first,
                        std::int64_t last) {
  with_streamed(streamed, [&](auto past) HWY_ATTR { add_mean_windows<past()>(dy, windows, sums, dx, first, last); });
}

/// Units [first, last) of y and argmax.
void max_units(const Tensor& x, const PoolWindows& windows, Tensor& y, Tensor& argmax, std::int64_t first, std::int64_t last) {
  const std::int64_t C = x.dim(1), H = x.dim(2), W = x.dim(3), Ho = y.dim(2), Wo = y.dim(3);
  const std::int64_t blocks = (C + kUnitChannels - 1) / kUnitChannels;
  for (std::int64_t unit = first; unit < last; ++unit) {
    const std::int64_t row = unit / blocks, i = row % Ho, c_first = unit % blocks * kUnitChannels;
    const std::int64_t top = windows.rows.begin(i), bottom = windows.rows.end(i);
    for (std::int64_t j = 0; j < Wo; ++j) {
      const std::int64_t left = windows.columns.begin(j), right = windows.columns.end(j), e = (row * Wo + j) * C + c_first;
      const float* from = x.data<float>() + row / Ho * H * W * C + c_first;
      float* to = y.data<float>() + e;
      std::int32_t* winners = argmax.defined() ? argmax.data<std::int32_t>() + e : nullptr;
      for_lanes(static_cast<std::size_t>(std::min(kUnitChannels, C - c_first)), [&](auto d, std::size_t c) HWY_ATTR {
        const hn::Rebind<std::int32_t, decltype(d)> indices;
        auto best = hn::Set(d, -std::numeric_limits<float>::infinity());
        // If no element beats it, the first wins.
        auto winner = hn::Set(indices, static_cast<std::int32_t>(top * W + left));
        for (std::int64_t h = top; h < bottom; ++h) {
          for (std::int64_t w = left; w < right; ++w) {
            const auto value = hn::LoadU(d, from + (h * W + w) * C + c);
            const auto wins = hn::Or(hn::Gt(value, best), hn::IsNaN(value));
            best = hn::IfThenElse(wins, value, best);
            winner = hn::IfThenElse(hn::RebindMask(indices, wins), hn::Set(indices, static_cast<std::int32_t>(h * W + w)), winner);
          }
        }
        hn::StoreU(best, d, to + c);
        if (winners) hn::StoreU(winner, indices, winners + c);
      });
    }
  }
}

/// Rows [first, last) of dx, each element the sum of the windows that it won.
void max_backward_rows(const Tensor& dy, const Tensor& argmax, const PoolWindows& windows, Tensor& dx, std::int64_t first,
                       std::int64_t last) {
  const std::int64_t C = dx.dim(1), H = dx.dim(2), W = dx.dim(3), Ho = dy.dim(2), Wo = dy.dim(3);
  for (std::int64_t row = first; row < last; ++row) {
    const std::int64_t i_first = windows.rows.first_over(row % H), i_last = windows.rows.last_over(row % H);
    for (std::int64_t w = 0; w < W; ++w) {
      const std::int64_t j_first = windows.columns.first_over(w), j_last = windows.columns.last_over(w);
      float* to = dx.data<float>() + (row * W + w) * C;
      for_lanes(static_cast<std::size_t>(C), [&](auto d, std::size_t c) HWY_ATTR {
        const hn::Rebind<std::int32_t, decltype(d)> indices;
        const auto here = hn::Set(indices, static_cast<std::int32_t>(row % H * W + w));
        auto sum = hn::Zero(d);
        for (std::int64_t i = i_first; i <= i_last; ++i) {
          for (std::int64_t j = j_first; j <= j_last; ++j) {
            const std::int64_t e = ((row / H * Ho + i) * Wo + j) * C + static_cast<std::int64_t>(c);
            const auto won = hn::Eq(hn::LoadU(indices, argmax.data<std::int32_t>() + e), here);
            sum = hn::Add(sum, hn::IfThenElseZero(hn::RebindMask(d, won), hn::LoadU(d, dy.data<float>() + e)));
          }
        }
        hn::StoreU(sum, d, to + c);
      });
    }
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(mean_units);
HWY_EXPORT(mean_backward_rows);
HWY_EXPORT(max_units);
HWY_EXPORT(max_backward_rows);

namespace {

constexpr std::int64_t kTaskElements = 32 * 1024;

/// Calls `body(first, last)` for the units of y, in tasks that read about kTaskElements elements of x.
template <class Body>
void for_units(const Tensor& x, const Tensor& y, const Body& body) {
  const std::int64_t units = y.dim(0) * y.dim(2) * ((y.dim(1) + kUnitChannels - 1) / kUnitChannels);
  parallel_ranges(units, std::clamp<std::int64_t>(units * kTaskElements / std::max(x.numel(), y.numel()), 1, units), body);
}

}  // namespace

void cpu::window_mean(const Tensor& x, const PoolWindows& windows, Tensor& y, Stream&) {
  for_units(x, y, [&](std::int64_t first, std::int64_t last) { HWY_DYNAMIC_DISPATCH(mean_units)(x, windows, y, first, last); });
}

void cpu::window_mean_backward(const Tensor& dy, const PoolWindows& windows, Tensor& dx, Stream&) {
  if (dx.numel() == 0) return;
  const bool streamed = is_streamed(dx.data<float>(), dx.numel(), dx.dim(1));
  const std::int64_t rows = dx.dim(0) * dx.dim(2), sums_of_row = dy.dim(1) * dy.dim(3);
  const std::int64_t at_once = std::max<std::int64_t>(1, kTaskElements / (dx.dim(1) * dx.dim(3)));
  const int threads = num_threads();
  Tensor sums = Tensor::empty({threads, sums_of_row});
  parallel_for((rows + at_once - 1) / at_once, threads, [&](std::int64_t task, int thread) {
    HWY_DYNAMIC_DISPATCH(mean_backward_rows)
    (dy, windows, streamed, sums.data<float>() + thread * sums_of_row, dx, task * at_once, std::min(rows, (task + 1) * at_once));
  });
}

void cpu::window_max(const Tensor& x, const PoolWindows& windows, Tensor& y, Tensor& argmax, Stream&) {
  for_units(x, y, [&](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(max_units)(x, windows, y, argmax, first, last);
  });
}

void cpu::window_max_backward(const Tensor& dy, const Tensor& argmax, const PoolWindows& windows, Tensor& dx, Stream&) {
  for_rows(dx, 1, [&](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(max_backward_rows)(dy, argmax, windows, dx, first, last);
  });
}

}  // namespace gpucnn::kernels
#endif
