#include <algorithm>
#include <limits>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/pool/max_pool2d.h>
#include <gpucnn/kernels/pool/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/pool/max_pool2d_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/lanes-inl.h>

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

/// Rows [first, last) of y, for any window. Index: argmax's type.
template <class Index>
void pool_any_rows(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, std::int64_t first, std::int64_t last) {
  const std::int64_t C = x.dim(1), H = x.dim(2), W = x.dim(3), Ho = y.dim(2), Wo = y.dim(3);
  const Size2 kernel = pool.kernel_size, stride = pool.stride, padding = pool.padding, dilation = pool.dilation;
  const float* from = x.data<float>();
  float* to = y.data<float>() + first * Wo * C;
  Index* indices = argmax.defined() ? argmax.data<Index>() + first * Wo * C : nullptr;
  const auto first_tap = [](std::int64_t begin, int step) { return (std::max<std::int64_t>(0, -begin) + step - 1) / step; };
  const auto last_tap = [](std::int64_t begin, std::int64_t size, int taps, int step) {
    return std::min<std::int64_t>(taps, (size - begin + step - 1) / step);
  };
  for (std::int64_t row = first; row < last; ++row) {
    const std::int64_t top = row % Ho * stride.height - padding.height;
    const std::int64_t r_first = first_tap(top, dilation.height), r_last = last_tap(top, H, kernel.height, dilation.height);
    for (std::int64_t j = 0; j < Wo; ++j) {
      const std::int64_t left = j * stride.width - padding.width;
      const std::int64_t s_first = first_tap(left, dilation.width), s_last = last_tap(left, W, kernel.width, dilation.width);
      for_lanes(static_cast<std::size_t>(C), [&](auto d, std::size_t c) HWY_ATTR {
        auto best = hn::Set(d, -std::numeric_limits<float>::infinity());
        // If no element beats it, the first that is not padding wins.
        auto best_indices = hn::Set(Indices<decltype(d)>(), static_cast<std::int32_t>(r_first * kernel.width + s_first));
        for (std::int64_t r = r_first; r < r_last; ++r) {
          for (std::int64_t s = s_first; s < s_last; ++s) {
            const std::int64_t pixel = (row / Ho * H + top + r * dilation.height) * W + left + s * dilation.width;
            update_best(d, hn::LoadU(d, from + pixel * C + c), static_cast<std::int32_t>(r * kernel.width + s), best, best_indices);
          }
        }
        store(d, best, best_indices, to + c, indices ? indices + c : nullptr);
      });
      to += C;
      if (indices) indices += C;
    }
  }
}

void pool_rows(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, std::int64_t first, std::int64_t last) {
  const bool bytes = max_pool2d_argmax_dtype(pool) == DType::u8;
  (bytes ? pool_any_rows<std::uint8_t> : pool_any_rows<std::int32_t>)(x, pool, y, argmax, first, last);
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
    for (std::int64_t j = 0; j < Wo; ++j) {
      for_lanes(static_cast<std::size_t>(C), [=](auto d, std::size_t c) HWY_ATTR {
        auto best = hn::LoadU(d, top + c);
        auto best_indices = hn::Zero(Indices<decltype(d)>());
        update_best(d, hn::LoadU(d, top + C + c), 1, best, best_indices);
        update_best(d, hn::LoadU(d, bottom + c), 2, best, best_indices);
        update_best(d, hn::LoadU(d, bottom + C + c), 3, best, best_indices);
        store(d, best, best_indices, to + c, indices ? indices + c : nullptr);
      });
      top += 2 * C;
      bottom += 2 * C;
      to += C;
      if (indices) indices += C;
    }
  }
}

/// Rows [first, last) of dx, for any window. Each element adds up the windows it lies in, so that no two tasks write to one
/// element.
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

void pool_backward_rows(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, std::int64_t first,
                        std::int64_t last) {
  const bool bytes = argmax.dtype() == DType::u8;
  (bytes ? pool_any_backward_rows<std::uint8_t> : pool_any_backward_rows<std::int32_t>)(dy, argmax, pool, dx, first, last);
}

/// The same for a window and a stride of 2 without padding: rows [first, last) of dy, each of which owns two rows of dx.
void pool_backward_2x2_rows(const Tensor& dy, const Tensor& argmax, Tensor& dx, std::int64_t first, std::int64_t last) {
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
        hn::StoreU(select(d, value, best_indices, 0), d, top + c);
        hn::StoreU(select(d, value, best_indices, 1), d, top + C + c);
        hn::StoreU(select(d, value, best_indices, 2), d, bottom + c);
        hn::StoreU(select(d, value, best_indices, 3), d, bottom + C + c);
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
  if (is_halving(pool)) {
    for_rows(dy, 1, [&](std::int64_t first, std::int64_t last) {
      HWY_DYNAMIC_DISPATCH(pool_backward_2x2_rows)(dy, argmax, dx, first, last);
    });
  } else {
    for_rows(dx, 1, [&](std::int64_t first, std::int64_t last) {
      HWY_DYNAMIC_DISPATCH(pool_backward_rows)(dy, argmax, pool, dx, first, last);
    });
  }
}

}  // namespace gpucnn::kernels
#endif
