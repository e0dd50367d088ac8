#include <algorithm>

#include <gpucnn/kernels/pool/max_pool2d.h>
#include <gpucnn/kernels/pool/twins.h>
#include <gpucnn/kernels/pool_rows/for_rows.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/pool/max_pool2d_backward_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/pool_rows/argmax-inl.h>
#include <gpucnn/kernels/simd/lanes-inl.h>
#include <gpucnn/kernels/simd/streamed-inl.h>

// Vectors run over the channels, which lie side by side. Rows are counted through the batch: image * height + row.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// `dy` where the window's argmax is `index`, 0 elsewhere.
template <class D>
HWY_INLINE hn::Vec<D> select(D d, hn::Vec<D> dy, hn::Vec<Indices<D>> argmax, std::int32_t index) {
  return hn::IfThenElseZero(hn::RebindMask(d, hn::Eq(argmax, hn::Set(Indices<D>(), index))), dy);
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

HWY_EXPORT(pool_backward_rows);
HWY_EXPORT(pool_backward_2x2_rows);

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
