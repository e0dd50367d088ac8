#include <algorithm>
#include <limits>

#include <gpucnn/kernels/pool/max_pool2d.h>
#include <gpucnn/kernels/pool/twins.h>
#include <gpucnn/kernels/pool_rows/for_rows.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/pool/max_pool2d_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/pool_rows/argmax-inl.h>
#include <gpucnn/kernels/pool_rows/pool_2x2_row-inl.h>
#include <gpucnn/kernels/simd/lanes-inl.h>

// Vectors run over the channels, which lie side by side. Rows are counted through the batch: image * height + row.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// `value`, with this index in the window, wins over `best` if it is larger or NaN.
template <class D>
HWY_INLINE void update_best(D, hn::Vec<D> value, std::int32_t index, hn::Vec<D>& best, hn::Vec<Indices<D>>& argmax) {
  const auto wins = hn::Or(hn::Gt(value, best), hn::IsNaN(value));
  best = hn::IfThenElse(wins, value, best);
  argmax = hn::IfThenElse(hn::RebindMask(Indices<D>(), wins), hn::Set(Indices<D>(), index), argmax);
}

template <class D, class Index>
HWY_INLINE void store(D d, hn::Vec<D> best, hn::Vec<Indices<D>> indices, float* y, Index* argmax) {
  hn::StoreU(best, d, y);
  if (argmax) store_indices(d, indices, argmax);
}

/// A window's part inside the image, `rows` x `columns` elements from `from` on; steps are in floats. Element (r, s) has the index
/// first_index + r * index_row + s in the window.
struct Window {
  const float* from;
  std::int64_t row_step, column_step;
  std::int64_t rows, columns;
  std::int32_t first_index, index_row;
};

/// The largest of a window, for the channels of one vector from c on. kColumns: the window's columns if it is known; 0 if not.
template <int kColumns, class Index, class D>
HWY_INLINE void pool_window(D d, const Window& window, std::size_t c, float* y, Index* argmax) {
  const std::int64_t columns = kColumns ? kColumns : window.columns;
  auto best = hn::Set(d, -std::numeric_limits<float>::infinity());
  // If no element beats it, the first that is not padding wins.
  auto best_indices = hn::Set(Indices<D>(), window.first_index);
  for (std::int64_t r = 0; r < window.rows; ++r) {
    const float* from = window.from + r * window.row_step + c;
    const std::int32_t index = window.first_index + static_cast<std::int32_t>(r) * window.index_row;
    for (std::int64_t s = 0; s < columns; ++s) {
      update_best(d, hn::LoadU(d, from + s * window.column_step), index + static_cast<std::int32_t>(s), best, best_indices);
    }
  }
  store(d, best, best_indices, y + c, argmax ? argmax + c : nullptr);
}

/// The windows of one row, for a number of channels.
template <int kColumns, class Index>
void pool_windows(Window window, std::int64_t count, std::int64_t stride, std::int64_t C, float* y, Index* argmax) {
  for (std::int64_t j = 0; j < count; ++j) {
    const auto channels = static_cast<std::size_t>(C);
    if (argmax) {
      for_lanes(channels, [=](auto d, std::size_t c) HWY_ATTR { pool_window<kColumns>(d, window, c, y, argmax); });
      argmax += C;
    } else {
      for_lanes(channels, [=](auto d, std::size_t c) HWY_ATTR { pool_window<kColumns, Index>(d, window, c, y, nullptr); });
    }
    window.from += stride;
    y += C;
  }
}

/// Rows [first, last) of y, for any window. Index: argmax's type.
template <class Index>
void pool_any_rows(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, std::int64_t first, std::int64_t last) {
  const std::int64_t C = x.dim(1), H = x.dim(2), W = x.dim(3), Ho = y.dim(2), Wo = y.dim(3);
  const Size2 kernel = pool.kernel_size, stride = pool.stride, padding = pool.padding, dilation = pool.dilation;
  const auto first_tap = [](std::int64_t begin, int step) { return (std::max<std::int64_t>(0, -begin) + step - 1) / step; };
  const auto last_tap = [](std::int64_t begin, std::int64_t size, int taps, int step) {
    return std::min<std::int64_t>(taps, (size - begin + step - 1) / step);
  };
  // The windows [whole_first, whole_last) of a row have all their columns inside.
  const std::int64_t width = std::int64_t{kernel.width - 1} * dilation.width + 1;
  const std::int64_t whole_first = std::min(Wo, (std::int64_t{padding.width} + stride.width - 1) / stride.width);
  const std::int64_t room = W + padding.width - width;
  const std::int64_t whole_last = std::max(whole_first, room < 0 ? 0 : std::min(Wo, room / stride.width + 1));
  for (std::int64_t row = first; row < last; ++row) {
    const std::int64_t top = row % Ho * stride.height - padding.height;
    const std::int64_t r_first = first_tap(top, dilation.height), r_last = last_tap(top, H, kernel.height, dilation.height);
    const float* from = x.data<float>() + (row / Ho * H + top + r_first * dilation.height) * W * C;
    float* to = y.data<float>() + row * Wo * C;
    Index* indices = argmax.defined() ? argmax.data<Index>() + row * Wo * C : nullptr;
    const auto window_of = [&](std::int64_t j, std::int64_t s_first, std::int64_t s_last) {
      return Window{.from = from + (j * stride.width - padding.width + s_first * dilation.width) * C,
                    .row_step = dilation.height * W * C,
                    .column_step = dilation.width * C,
                    .rows = r_last - r_first,
                    .columns = s_last - s_first,
                    .first_index = static_cast<std::int32_t>(r_first * kernel.width + s_first),
                    .index_row = kernel.width};
    };
    const auto clipped = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t j = begin; j < end; ++j) {
        const std::int64_t left = j * stride.width - padding.width;
        const Window window = window_of(j, first_tap(left, dilation.width), last_tap(left, W, kernel.width, dilation.width));
        pool_windows<0>(window, 1, 0, C, to + j * C, indices ? indices + j * C : nullptr);
      }
    };
    clipped(0, whole_first);
    (kernel.width == 3   ? pool_windows<3, Index>
     : kernel.width == 2 ? pool_windows<2, Index>
                         : pool_windows<0, Index>)(window_of(whole_first, 0, kernel.width), whole_last - whole_first,
                                                   stride.width * C, C, to + whole_first * C,
                                                   indices ? indices + whole_first * C : nullptr);
    clipped(whole_last, Wo);
  }
}

void pool_rows(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, std::int64_t first, std::int64_t last) {
  const bool bytes = max_pool2d_argmax_dtype(pool) == DType::u8;
  (bytes ? pool_any_rows<std::uint8_t> : pool_any_rows<std::int32_t>)(x, pool, y, argmax, first, last);
}

/// Rows [first, last) of y, for a window and a stride of 2 without padding.
void pool_2x2_rows(const Tensor& x, Tensor& y, Tensor& argmax, std::int64_t first, std::int64_t last) {
  const std::int64_t C = x.dim(1), H = x.dim(2), W = x.dim(3), Ho = y.dim(2), Wo = y.dim(3);
  const float* from = x.data<float>();
  float* to = y.data<float>() + first * Wo * C;
  std::uint8_t* indices = argmax.defined() ? argmax.data<std::uint8_t>() + first * Wo * C : nullptr;
  for (std::int64_t row = first; row < last; ++row) {
    const float* top = from + (row / Ho * H + row % Ho * 2) * W * C;
    const float* bottom = top + W * C;
    if (!indices) {
      largest_of_2x2_row({top, bottom, Wo, C, to});
      to += Wo * C;
      continue;
    }
    for (std::int64_t j = 0; j < Wo; ++j) {
      for_lanes(static_cast<std::size_t>(C), [=](auto d, std::size_t c) HWY_ATTR {
        auto best = hn::LoadU(d, top + c);
        auto best_indices = hn::Zero(Indices<decltype(d)>());
        update_best(d, hn::LoadU(d, top + C + c), 1, best, best_indices);
        update_best(d, hn::LoadU(d, bottom + c), 2, best, best_indices);
        update_best(d, hn::LoadU(d, bottom + C + c), 3, best, best_indices);
        store(d, best, best_indices, to + c, indices + c);
      });
      top += 2 * C;
      bottom += 2 * C;
      to += C;
      indices += C;
    }
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(pool_rows);
HWY_EXPORT(pool_2x2_rows);

void cpu::max_pool2d(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, Stream&) {
  if (is_halving(pool)) {
    for_rows(y, 1, [&](std::int64_t first, std::int64_t last) { HWY_DYNAMIC_DISPATCH(pool_2x2_rows)(x, y, argmax, first, last); });
  } else {
    // No more of a window than the image has.
    const std::int64_t height = std::min<std::int64_t>(pool.kernel_size.height, x.dim(2));
    const std::int64_t window = height * std::min<std::int64_t>(pool.kernel_size.width, x.dim(3));
    for_rows(y, window, [&](std::int64_t first, std::int64_t last) {
      HWY_DYNAMIC_DISPATCH(pool_rows)(x, pool, y, argmax, first, last);
    });
  }
}

}  // namespace gpucnn::kernels
#endif
