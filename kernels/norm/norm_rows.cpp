#include <gpucnn/kernels/norm/norm_rows.h>

#include <algorithm>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/norm/norm_rows.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/lanes-inl.h>
#include <gpucnn/kernels/simd/streamed-inl.h>

// Vectors run over the columns. Where these fill no vectors, kFold rows side by side make a row of `width` columns.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

using cpu::NormRows;
using cpu::ReluMask;

/// What the forward made of x, without a ReLU; `forward` is that of x's column.
template <class D>
HWY_INLINE hn::Vec<D> normalized(D d, hn::Vec<D> x, const float* forward, std::int64_t width) {
  const auto difference = hn::Sub(x, hn::LoadU(d, forward));
  return hn::MulAdd(difference, hn::LoadU(d, forward + width), hn::LoadU(d, forward + 2 * width));
}

/// dy[i], element `i` of x being `x`, where a ReLU passed it on; else 0.
template <ReluMask kMask, class D>
HWY_INLINE hn::Vec<D> masked(D d, const NormRows& rows, std::int64_t i, std::int64_t column, hn::Vec<D> x) {
  const auto dy = hn::LoadU(d, rows.dy + i);
  if constexpr (kMask == ReluMask::of_x) {
    return hn::IfThenZeroElse(hn::Le(normalized(d, x, rows.forward + column, rows.width), hn::Zero(d)), dy);
  } else if constexpr (kMask == ReluMask::of_y) {
    return hn::IfThenZeroElse(hn::Le(hn::LoadU(d, rows.y + i), hn::Zero(d)), dy);
  } else {
    return dy;
  }
}

/// Calls `body` with the constant that `mask` is.
template <class Body>
HWY_INLINE void with_mask(ReluMask mask, const Body& body) {
  if (mask == ReluMask::of_x) {
    body(std::integral_constant<ReluMask, ReluMask::of_x>());
  } else if (mask == ReluMask::of_y) {
    body(std::integral_constant<ReluMask, ReluMask::of_y>());
  } else {
    body(std::integral_constant<ReluMask, ReluMask::none>());
  }
}

/// first += f and second += f * (x - center) at element `i`, where f is dy, masked, or without one x - center. f to dsum[i], if
/// any.
template <ReluMask kMask, class D>
HWY_INLINE void add_terms(D d, const NormRows& rows, std::int64_t i, std::int64_t column, hn::Vec<D> center, float* dsum,
                          hn::Vec<D>& first, hn::Vec<D>& second) {
  const hn::Rebind<float, D> floats;
  const auto x = hn::LoadU(floats, rows.x + i);
  const auto difference = hn::Sub(hn::PromoteTo(d, x), center);
  auto factor = difference;
  if (rows.dy) {
    const auto dy = masked<kMask>(floats, rows, i, column, x);
    if (kMask != ReluMask::none && dsum) hn::StoreU(dy, floats, dsum + i);
    factor = hn::PromoteTo(d, dy);
  }
  first = hn::Add(first, factor);
  second = hn::MulAdd(factor, difference, second);
}

/// The two sums of columns [column, column + kVectors vectors) over whole rows, to sums[0] and sums[width] on.
template <ReluMask kMask, int kVectors, class D>
HWY_INLINE void sum_columns(D d, const NormRows& rows, const float* centers, std::int64_t whole, std::int64_t column, float* dsum,
                            double* sums) {
  const hn::Rebind<float, D> floats;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  hn::Vec<D> center[kVectors], first[kVectors], second[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    center[v] = hn::PromoteTo(d, hn::LoadU(floats, centers + column + v * lanes));
    first[v] = second[v] = hn::Zero(d);
  }
  for (std::int64_t i = column; i < whole; i += rows.width) {
    for (int v = 0; v < kVectors; ++v) {
      add_terms<kMask>(d, rows, i + v * lanes, column + v * lanes, center[v], dsum, first[v], second[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    hn::StoreU(first[v], d, sums + column + v * lanes);
    hn::StoreU(second[v], d, sums + rows.width + column + v * lanes);
  }
}

template <ReluMask kMask>
HWY_INLINE void sum_masked_terms(const NormRows& rows, const float* centers, float* dsum, double* sums) {
  const std::int64_t width = rows.width, whole = rows.count / width * width;
  const hn::ScalableTag<double> d;
  const auto pair = static_cast<std::int64_t>(2 * hn::Lanes(d));
  std::int64_t column = 0;
  if (hn::Lanes(d) == 8) {  // AVX-512, whose registers suffice: long runs are fetched faster
    for (; column + 4 * pair <= width; column += 4 * pair) sum_columns<kMask, 8>(d, rows, centers, whole, column, dsum, sums);
  }
  for (; column + 2 * pair <= width; column += 2 * pair) sum_columns<kMask, 4>(d, rows, centers, whole, column, dsum, sums);
  for (; column + pair <= width; column += pair) sum_columns<kMask, 2>(d, rows, centers, whole, column, dsum, sums);
  const auto add_one = [=, &rows](std::int64_t i, double& first, double& second) HWY_ATTR {
    const hn::CappedTag<float, 1> single;
    const double difference = static_cast<double>(rows.x[i]) - static_cast<double>(centers[i % width]);
    double factor = difference;
    if (rows.dy) {
      const float dy = hn::GetLane(masked<kMask>(single, rows, i, i % width, hn::LoadU(single, rows.x + i)));
      if (kMask != ReluMask::none && dsum) dsum[i] = dy;
      factor = static_cast<double>(dy);
    }
    first += factor;
    second += factor * difference;
  };
  for (; column < width; ++column) {
    double first = 0, second = 0;
    for (std::int64_t i = column; i < whole; i += width) add_one(i, first, second);
    sums[column] = first;
    sums[width + column] = second;
  }
  for (std::int64_t i = whole; i < rows.count; ++i) add_one(i, sums[i - whole], sums[width + i - whole]);
}

/// Only whole rows are read by vectors; what is left of the last one comes to its columns behind them.
void sum_terms(const NormRows& rows, const float* centers, float* dsum, double* sums) {
  with_mask(rows.mask, [&](auto mask) HWY_ATTR { sum_masked_terms<mask()>(rows, centers, dsum, sums); });
}

/// y = (x - center) scale + offset, + addend if there is one, and the ReLU of that if it is wanted.
template <bool kAdds, bool kRelu, bool kStreamed>
HWY_INLINE void normalize_some(const NormRows& rows, const float* addend, float* y) {
  for (std::int64_t row = 0; row < rows.count; row += rows.width) {
    for_lanes(static_cast<std::size_t>(std::min(rows.width, rows.count - row)), [=, &rows](auto d, std::size_t c) HWY_ATTR {
      auto result = normalized(d, hn::LoadU(d, rows.x + row + c), rows.forward + c, rows.width);
      if constexpr (kAdds) result = hn::Add(result, hn::LoadU(d, addend + row + c));
      if constexpr (kRelu) result = hn::IfThenZeroElse(hn::Lt(result, hn::Zero(d)), result);  // which leaves NaN
      store_result<kStreamed>(result, d, y + row + c);
    });
  }
}

void normalize_rows(const NormRows& rows, const float* addend, bool relu, bool streamed, float* y) {
  with_streamed(streamed, [&](auto past) HWY_ATTR {
    constexpr bool kStreamed = past();
    if (addend) {
      relu ? normalize_some<true, true, kStreamed>(rows, addend, y) : normalize_some<true, false, kStreamed>(rows, addend, y);
    } else {
      relu ? normalize_some<false, true, kStreamed>(rows, addend, y) : normalize_some<false, false, kStreamed>(rows, addend, y);
    }
  });
}

template <ReluMask kMask, bool kFixed, bool kStreamed>
HWY_INLINE void backward_some(const NormRows& rows, const float* columns, float* dx) {
  const std::int64_t width = rows.width;
  const float *centers = columns, *scales = columns + width, *slopes = columns + 2 * width, *offsets = columns + 3 * width;
  for (std::int64_t row = 0; row < rows.count; row += width) {
    for_lanes(static_cast<std::size_t>(std::min(width, rows.count - row)), [=, &rows](auto d, std::size_t c) HWY_ATTR {
      const auto column = static_cast<std::int64_t>(c);
      const auto x = hn::LoadU(d, rows.x + row + c), dy = masked<kMask>(d, rows, row + column, column, x);
      auto rest = hn::Zero(d);
      if constexpr (!kFixed) {
        rest = hn::MulAdd(hn::Sub(x, hn::LoadU(d, centers + c)), hn::LoadU(d, slopes + c), hn::LoadU(d, offsets + c));
      }
      store_result<kStreamed>(hn::MulAdd(dy, hn::LoadU(d, scales + c), rest), d, dx + row + c);
    });
  }
}

void backward_rows(const NormRows& rows, const float* columns, bool fixed, bool streamed, float* dx) {
  with_streamed(streamed, [&](auto past) HWY_ATTR {
    with_mask(rows.mask, [&](auto mask) HWY_ATTR {
      fixed ? backward_some<mask(), true, past()>(rows, columns, dx) : backward_some<mask(), false, past()>(rows, columns, dx);
    });
  });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(sum_terms);
HWY_EXPORT(normalize_rows);
HWY_EXPORT(backward_rows);

void cpu::sum_terms(const NormRows& rows, const float* centers, float* dsum, double* sums) {
  HWY_DYNAMIC_DISPATCH(sum_terms)(rows, centers, dsum, sums);
}

void cpu::normalize_rows(const NormRows& rows, const float* addend, bool relu, bool streamed, float* y) {
  HWY_DYNAMIC_DISPATCH(normalize_rows)(rows, addend, relu, streamed, y);
}

void cpu::backward_rows(const NormRows& rows, const float* columns, bool fixed, bool streamed, float* dx) {
  HWY_DYNAMIC_DISPATCH(backward_rows)(rows, columns, fixed, streamed, dx);
}

}  // namespace gpucnn::kernels
#endif
