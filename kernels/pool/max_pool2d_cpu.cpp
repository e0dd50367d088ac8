#include <algorithm>
#include <limits>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/pool/max_pool2d.h>
#include <gpucnn/kernels/pool/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/pool/max_pool2d_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/lanes-inl.h>
#include <gpucnn/kernels/simd/some_lanes-inl.h>
#include <gpucnn/kernels/simd/streamed-inl.h>

// Vectors run over the channels, which lie side by side. Rows are counted through the batch: image * height + row.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

template <class D>
using Indices = hn::Rebind<std::int32_t, D>;

/// `value`, with this index in the window, wins over `best` if it is larger or NaN.
template <class D>
HWY_INLINE void update_best(D, hn::Vec<D> value, std::int32_t index, hn::Vec<D>& best, hn::Vec<Indices<D>>& argmax) {
  const auto wins = hn::Or(hn::Gt(value, best), hn::IsNaN(value));
  best = hn::IfThenElse(wins, value, best);
  argmax = hn::IfThenElse(hn::RebindMask(Indices<D>(), wins), hn::Set(Indices<D>(), index), argmax);
}

template <class D>
HWY_INLINE void store_indices(D, hn::Vec<Indices<D>> indices, std::uint8_t* argmax) {
  const hn::Rebind<std::uint8_t, D> bytes;
  hn::StoreU(hn::DemoteTo(bytes, indices), bytes, argmax);
}

template <class D>
HWY_INLINE void store_indices(D, hn::Vec<Indices<D>> indices, std::int32_t* argmax) {
  hn::StoreU(indices, Indices<D>(), argmax);
}

template <class D, class Index>
HWY_INLINE void store(D d, hn::Vec<D> best, hn::Vec<Indices<D>> indices, float* y, Index* argmax) {
  hn::StoreU(best, d, y);
  if (argmax) store_indices(d, indices, argmax);
}

template <class D>
HWY_INLINE hn::Vec<Indices<D>> load_indices(D, const std::uint8_t* argmax) {
  return hn::PromoteTo(Indices<D>(), hn::LoadU(hn::Rebind<std::uint8_t, D>(), argmax));
}

template <class D>
HWY_INLINE hn::Vec<Indices<D>> load_indices(D, const std::int32_t* argmax) {
  return hn::LoadU(Indices<D>(), argmax);
}

/// `dy` where the window's argmax is `index`, 0 elsewhere.
template <class D>
HWY_INLINE hn::Vec<D> select(D d, hn::Vec<D> dy, hn::Vec<Indices<D>> argmax, std::int32_t index) {
  return hn::IfThenElseZero(hn::RebindMask(d, hn::Eq(argmax, hn::Set(Indices<D>(), index))), dy);
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

/// The larger of two, or one that is NaN.
HWY_INLINE Vector larger(Vector best, Vector value) {
  return hn::IfThenElse(hn::Or(hn::Gt(value, best), hn::IsNaN(value)), value, best);
}

/// A row of pixels of y, each the largest of two pixels of x from `top` and two from `bottom`.
HWY_INLINE void pool_2x2_row(const float* top, const float* bottom, std::int64_t pixels, std::int64_t C, float* to) {
  const Floats d;
  const auto largest = [&](const auto& load)
                           HWY_ATTR { return larger(larger(larger(load(top), load(top + C)), load(bottom)), load(bottom + C)); };
  for (std::int64_t j = 0; j < pixels; ++j, top += 2 * C, bottom += 2 * C, to += C) {
    std::int64_t c = 0;
    for (; c + kLanes <= C; c += kLanes)
      hn::StoreU(largest([=](const float* at) HWY_ATTR { return hn::LoadU(d, at + c); }), d, to + c);
    if (c < C) store_some(largest([=](const float* at) HWY_ATTR { return load_some(at + c, C - c); }), C - c, to + c);
  }
}

/// The same for a window and a stride of 2 without padding.
void pool_2x2_rows(const Tensor& x, Tensor& y, Tensor& argmax, std::int64_t first, std::int64_t last) {
  const std::int64_t C = x.dim(1), H = x.dim(2), W = x.dim(3), Ho = y.dim(2), Wo = y.dim(3);
  const float* from = x.data<float>();
  float* to = y.data<float>() + first * Wo * C;
  std::uint8_t* indices = argmax.defined() ? argmax.data<std::uint8_t>() + first * Wo * C : nullptr;
  for (std::int64_t row = first; row < last; ++row) {
    const float* top = from + (row / Ho * H + row % Ho * 2) * W * C;
    const float* bottom = top + W * C;
    if (!indices) {
      pool_2x2_row(top, bottom, Wo, C, to);
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

/// The windows that an element of x lies in, `rows` x `columns` from `dy` and `argmax` on; row_step is in elements. The element
/// has the index first_index - r * index_row - s * index_column in window (r, s).
template <class Index>
struct Covering {
  const float* dy;
  const Index* argmax;
  std::int64_t row_step;
  std::int64_t rows, columns;
  std::int32_t first_index, index_row, index_column;
};

/// The sums of the gradients that the windows of `count` elements have for them. From one element to the next it is a window
/// further, and `dx_step` floats. The counts of rows and columns are constants; 0: any.
template <int kRows, int kColumns, bool kStreamed, class Index>
void add_windows(Covering<Index> windows, std::int64_t count, std::int64_t C, float* dx, std::int64_t dx_step) {
  const std::int64_t rows = kRows ? kRows : windows.rows, columns = kColumns ? kColumns : windows.columns;
  for (std::int64_t t = 0; t < count; ++t, dx += dx_step) {
    for_lanes(static_cast<std::size_t>(C), [=](auto d, std::size_t c) HWY_ATTR {
      auto sum = hn::Zero(d);
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t s = 0; s < columns; ++s) {
          const std::int64_t e = r * windows.row_step + s * C + static_cast<std::int64_t>(c);
          const std::int32_t index = windows.first_index - static_cast<std::int32_t>(r) * windows.index_row -
                                     static_cast<std::int32_t>(s) * windows.index_column;
          sum = hn::Add(sum, select(d, hn::LoadU(d, windows.dy + e), load_indices(d, windows.argmax + e), index));
        }
      }
      store_result<kStreamed>(sum, d, dx + c);
    });
    windows.dy += C;
    windows.argmax += C;
  }
}

/// Windows that overlap their neighbours alone cover an element at most twice along each axis.
template <bool kStreamed, class Index>
void add_covering(const Covering<Index>& windows, std::int64_t count, std::int64_t C, float* dx, std::int64_t dx_step) {
  if (windows.rows == 1 && windows.columns == 1) return add_windows<1, 1, kStreamed>(windows, count, C, dx, dx_step);
  if (windows.rows == 1 && windows.columns == 2) return add_windows<1, 2, kStreamed>(windows, count, C, dx, dx_step);
  if (windows.rows == 2 && windows.columns == 1) return add_windows<2, 1, kStreamed>(windows, count, C, dx, dx_step);
  if (windows.rows == 2 && windows.columns == 2) return add_windows<2, 2, kStreamed>(windows, count, C, dx, dx_step);
  add_windows<0, 0, kStreamed>(windows, count, C, dx, dx_step);
}

/// Rows [first, last) of dx, for any window without dilation. Each element adds up the windows it lies in, so that no two tasks
/// write to one element. Elements a stride apart lie at the same place in as many windows, except at the ends of a row.
template <bool kStreamed, class Index>
void pool_dense_backward_rows(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, std::int64_t first,
                              std::int64_t last) {
  const std::int64_t C = dx.dim(1), H = dx.dim(2), W = dx.dim(3), Ho = dy.dim(2), Wo = dy.dim(3);
  const Size2 kernel = pool.kernel_size, padding = pool.padding;
  const std::int64_t row_stride = pool.stride.height, stride = pool.stride.width;
  for (std::int64_t row = first; row < last; ++row) {
    const std::int64_t h = row % H + padding.height;
    const std::int64_t i_first = h < kernel.height ? 0 : (h - kernel.height) / row_stride + 1;
    const std::int64_t i_last = std::min(h / row_stride, Ho - 1);
    for (std::int64_t phase = 0; phase < std::min(stride, W); ++phase) {
      const std::int64_t count = (W - phase + stride - 1) / stride;
      const std::int64_t position = phase + padding.width, last_window = position / stride, offset = position % stride;
      const std::int64_t windows = offset < kernel.width ? (kernel.width - 1 - offset) / stride + 1 : 0;
      const auto add = [&](std::int64_t begin, std::int64_t end) {
        if (begin == end) return;
        const std::int64_t j_first = std::max<std::int64_t>(0, last_window + begin - windows + 1);
        const std::int64_t j_last = std::min(last_window + begin, Wo - 1), e = ((row / H * Ho + i_first) * Wo + j_first) * C;
        const std::int64_t index = (h - i_first * row_stride) * kernel.width + position + (begin - j_first) * stride;
        add_covering<kStreamed>(Covering<Index>{.dy = dy.data<float>() + e,
                                                .argmax = argmax.data<Index>() + e,
                                                .row_step = Wo * C,
                                                .rows = i_last - i_first + 1,
                                                .columns = j_last - j_first + 1,
                                                .first_index = static_cast<std::int32_t>(index),
                                                .index_row = static_cast<std::int32_t>(row_stride * kernel.width),
                                                .index_column = static_cast<std::int32_t>(stride)},
                                end - begin, C, dx.data<float>() + (row * W + phase + begin * stride) * C, stride * C);
      };
      const std::int64_t whole = std::clamp<std::int64_t>(windows - 1 - last_window, 0, count);
      const std::int64_t whole_end = std::clamp(Wo - last_window, whole, count);
      for (std::int64_t t = 0; t < whole; ++t) add(t, t + 1);
      add(whole, whole_end);
      for (std::int64_t t = whole_end; t < count; ++t) add(t, t + 1);
    }
  }
}

/// Rows [first, last) of dx, for any window.
template <class Index>
void pool_any_backward_rows(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, std::int64_t first,
                            std::int64_t last) {
  const std::int64_t C = dx.dim(1), H = dx.dim(2), W = dx.dim(3), Ho = dy.dim(2), Wo = dy.dim(3);
  const Size2 kernel = pool.kernel_size, stride = pool.stride, padding = pool.padding, dilation = pool.dilation;
  const std::int64_t height = std::int64_t{kernel.height - 1} * dilation.height + 1;
  const std::int64_t width = std::int64_t{kernel.width - 1} * dilation.width + 1;
  const float* from = dy.data<float>();
  const Index* indices = argmax.data<Index>();
  float* to = dx.data<float>() + first * W * C;
  // The windows over padded position p are those from begin_window(p) to p / stride.
  const auto begin_window = [](std::int64_t p, std::int64_t size, std::int64_t by) {
    return p < size ? std::int64_t{0} : (p - size) / by + 1;
  };
  for (std::int64_t row = first; row < last; ++row) {
    const std::int64_t h = row % H + padding.height;
    const std::int64_t i_first = begin_window(h, height, stride.height), i_last = std::min(h / stride.height, Ho - 1);
    for (std::int64_t w = padding.width; w < W + padding.width; ++w) {
      const std::int64_t j_first = begin_window(w, width, stride.width), j_last = std::min(w / stride.width, Wo - 1);
      for_lanes(static_cast<std::size_t>(C), [&](auto d, std::size_t c) HWY_ATTR {
        auto sum = hn::Zero(d);
        for (std::int64_t i = i_first; i <= i_last; ++i) {
          const std::int64_t r = h - i * stride.height;
          if (dilation.height != 1 && r % dilation.height != 0) continue;
          for (std::int64_t j = j_first; j <= j_last; ++j) {
            const std::int64_t s = w - j * stride.width;
            if (dilation.width != 1 && s % dilation.width != 0) continue;
            const std::int64_t e = ((row / H * Ho + i) * Wo + j) * C + static_cast<std::int64_t>(c);
            const std::int64_t index = r / dilation.height * kernel.width + s / dilation.width;
            sum = hn::Add(sum, select(d, hn::LoadU(d, from + e), load_indices(d, indices + e), static_cast<std::int32_t>(index)));
          }
        }
        hn::StoreU(sum, d, to + c);
      });
      to += C;
    }
  }
}

void pool_backward_rows(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, bool streamed, Tensor& dx, std::int64_t first,
                        std::int64_t last) {
  const bool bytes = argmax.dtype() == DType::u8;
  if (pool.dilation == 1) {
    with_streamed(streamed, [&](auto past) HWY_ATTR {
      (bytes ? pool_dense_backward_rows<past(), std::uint8_t> : pool_dense_backward_rows<past(), std::int32_t>)(dy, argmax, pool,
                                                                                                                dx, first, last);
    });
    return;
  }
  (bytes ? pool_any_backward_rows<std::uint8_t> : pool_any_backward_rows<std::int32_t>)(dy, argmax, pool, dx, first, last);
}

/// The same for a window and a stride of 2 without padding: rows [first, last) of dy, each of which owns two rows of dx.
template <bool kStreamed>
HWY_INLINE void unpool_2x2_rows(const Tensor& dy, const Tensor& argmax, Tensor& dx, std::int64_t first, std::int64_t last) {
  const std::int64_t C = dx.dim(1), H = dx.dim(2), W = dx.dim(3), Ho = dy.dim(2), Wo = dy.dim(3);
  const float* from = dy.data<float>() + first * Wo * C;
  const std::uint8_t* indices = argmax.data<std::uint8_t>() + first * Wo * C;
  for (std::int64_t row = first; row < last; ++row) {
    float* top = dx.data<float>() + (row / Ho * H + row % Ho * 2) * W * C;
    float* bottom = top + W * C;
    for (std::int64_t j = 0; j < Wo; ++j) {
      for_lanes(static_cast<std::size_t>(C), [=](auto d, std::size_t c) HWY_ATTR {
        const auto value = hn::LoadU(d, from + c);
        const auto best_indices = load_indices(d, indices + c);
        store_result<kStreamed>(select(d, value, best_indices, 0), d, top + c);
        store_result<kStreamed>(select(d, value, best_indices, 1), d, top + C + c);
        store_result<kStreamed>(select(d, value, best_indices, 2), d, bottom + c);
        store_result<kStreamed>(select(d, value, best_indices, 3), d, bottom + C + c);
      });
      top += 2 * C;
      bottom += 2 * C;
      from += C;
      indices += C;
    }
    // No window covers the last column and row of an odd width and height.
    if (W % 2) {
      std::fill_n(top, C, 0.0F);
      std::fill_n(bottom, C, 0.0F);
    }
    if (H % 2 && row % Ho == Ho - 1) std::fill_n(bottom + W % 2 * C, W * C, 0.0F);
  }
}

void pool_backward_2x2_rows(const Tensor& dy, const Tensor& argmax, bool streamed, Tensor& dx, std::int64_t first,
                            std::int64_t last) {
  with_streamed(streamed, [&](auto past) HWY_ATTR { unpool_2x2_rows<past()>(dy, argmax, dx, first, last); });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(pool_rows);
HWY_EXPORT(pool_2x2_rows);
HWY_EXPORT(pool_backward_rows);
HWY_EXPORT(pool_backward_2x2_rows);

namespace {

/// Calls `body(first, last)` for the rows of `images`, in tasks that look at about 32 Ki elements, `window` for each of `images`.
template <class Body>
void for_rows(const Tensor& images, std::int64_t window, const Body& body) {
  if (images.numel() == 0) return;
  const std::int64_t row = images.dim(1) * images.dim(3) * window;
  parallel_ranges(images.dim(0) * images.dim(2), std::max<std::int64_t>(1, 32 * 1024 / row), body);
}

}  // namespace

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

void cpu::max_pool2d_backward(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, Stream&) {
  const bool streamed = is_streamed(dx.data<float>(), dx.numel(), dx.dim(1));
  if (is_halving(pool)) {
    for_rows(dy, 1, [&](std::int64_t first, std::int64_t last) {
      HWY_DYNAMIC_DISPATCH(pool_backward_2x2_rows)(dy, argmax, streamed, dx, first, last);
    });
  } else {
    for_rows(dx, 1, [&](std::int64_t first, std::int64_t last) {
      HWY_DYNAMIC_DISPATCH(pool_backward_rows)(dy, argmax, pool, streamed, dx, first, last);
    });
  }
}

}  // namespace gpucnn::kernels
#endif
