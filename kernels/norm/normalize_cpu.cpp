#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/norm/normalize.h>
#include <gpucnn/kernels/norm/normalize_cpu.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/norm/normalize_cpu.cpp"
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

/// sums: [2, width]. Only whole rows are read by vectors; what is left of the last one comes to its columns behind them. The masked
/// dy to `dsum`, if there are a mask and a place for it.
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

/// dx = dy scale + (x - center) slope + offset, dy masked; columns: [4, width]. If kFixed x plays no part, not even where it is
/// infinite: dx = dy scale.
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

namespace cpu {
namespace {

constexpr std::int64_t kFold = 16, kMaxFolded = 64;
constexpr std::int64_t kGrain = 32 * 1024;  // elements a task
constexpr std::int64_t kMinRows = 16;       // of a task, so that its sums are few beside what it reads

/// How a segment is walked: by parts of whole rows.
struct Walk {
  explicit Walk(const NormSizes& s)
      : fold(s.C % kFold != 0 && s.C < kMaxFolded ? kFold : 1),
        width(fold * s.C),
        elements(s.R * s.C),
        part(width * std::max(kMinRows, kGrain / width)),
        parts((elements + part - 1) / part) {}
  std::int64_t length(std::int64_t p) const { return std::min(part, elements - p * part); }

  std::int64_t fold, width, elements, part, parts;
};

/// Calls `body(s, first, count)` for each part: a segment's elements from x[first] on.
template <class Body>
void for_parts(const NormSizes& sizes, const Walk& walk, const Body& body) {
  parallel_for(sizes.S * walk.parts, [=](std::int64_t task) {
    const std::int64_t s = task / walk.parts, p = task % walk.parts;
    body(s, s * walk.elements + p * walk.part, walk.length(p));
  });
}

/// Memory for doubles, of which tensors have none.
Tensor doubles(std::int64_t count) { return Tensor::empty({count * std::int64_t{sizeof(double)}}, DType::u8); }
double* doubles_of(Tensor& memory) { return reinterpret_cast<double*>(memory.bytes()); }

/// [S, rows, width]: `put(s, c, column)` writes a channel's `rows` numbers, `width` apart; the folded columns repeat them.
template <class Put>
Tensor columns_of(const NormSizes& sizes, const Walk& walk, std::int64_t rows, const Put& put) {
  Tensor columns = Tensor::empty({sizes.S, rows, walk.width});
  float* const to = columns.data<float>();
  parallel_ranges(sizes.S, std::max<std::int64_t>(1, 4096 / walk.width), [=, &put](std::int64_t first, std::int64_t last) {
    for (std::int64_t s = first; s < last; ++s) {
      float* const segment = to + s * rows * walk.width;
      for (std::int64_t c = 0; c < sizes.C; ++c) put(s, c, segment + c);
      for (std::int64_t r = 0; r < rows; ++r) {
        float* const row = segment + r * walk.width;
        for (std::int64_t c = sizes.C; c < walk.width; ++c) row[c] = row[c - sizes.C];
      }
    }
  });
  return columns;
}

/// `all` are those of the whole of x; the part of segment `s` from x[first] on.
NormRows rows_of(const NormRows& all, std::int64_t s, std::int64_t first, std::int64_t count) {
  return {.width = all.width,
          .count = count,
          .x = all.x + first,
          .dy = all.dy ? all.dy + first : nullptr,
          .forward = all.forward ? all.forward + s * 3 * all.width : nullptr,
          .y = all.y ? all.y + first : nullptr,
          .mask = all.mask};
}

/// The doubles [S, 2, C] of each segment's column sums; see `add_terms`.
Tensor column_sums(const NormRows& all, const NormSizes& sizes, const Walk& walk, const Tensor& centers, float* dsum) {
  Tensor partial = doubles(sizes.S * walk.parts * 2 * walk.width), total = doubles(sizes.S * 2 * sizes.C);
  const float* const columns = centers.data<float>();
  double *const from = doubles_of(partial), *const to = doubles_of(total);
  parallel_for(sizes.S * walk.parts, [=](std::int64_t task) {
    const std::int64_t s = task / walk.parts, p = task % walk.parts, first = s * walk.elements + p * walk.part;
    HWY_DYNAMIC_DISPATCH(sum_terms)
    (rows_of(all, s, first, walk.length(p)), columns + s * walk.width, dsum ? dsum + first : nullptr, from + task * 2 * walk.width);
  });
  const std::int64_t C = sizes.C;
  parallel_ranges(sizes.S * 2 * C, 1024, [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const double* sums = from + i / (2 * C) * walk.parts * 2 * walk.width + i / C % 2 * walk.width + i % C;
      double sum = 0;
      for (std::int64_t p = 0; p < walk.parts; ++p, sums += 2 * walk.width) {
        for (std::int64_t k = 0; k < walk.fold; ++k) sum += sums[k * C];
      }
      to[i] = sum;
    }
  });
  return total;
}

float value_or(const float* values, std::int64_t i, float other) { return values ? values[i] : other; }
const float* data_of(const Tensor& tensor) { return tensor.defined() ? tensor.data<float>() : nullptr; }

/// [S, 3, width]: center, scale and offset.
Tensor forward_columns(const NormSizes& sizes, const Walk& walk, const Tensor& statistics, const Tensor& weight,
                       const Tensor& bias) {
  const float *const known = statistics.data<float>(), *const weights = data_of(weight), *const biases = data_of(bias);
  const std::int64_t groups = sizes.S * sizes.G, width = sizes.group_channels();
  return columns_of(sizes, walk, 3, [=](std::int64_t s, std::int64_t c, float* column) {
    const float* const of = known + s * sizes.G + c / width;
    const float scale = of[kRstd * groups] * value_or(weights, c, 1);
    column[0] = of[kMean * groups];
    column[walk.width] = scale;
    column[2 * walk.width] = value_or(biases, c, 0) - of[kMeanRest * groups] * scale;
  });
}

}  // namespace
}  // namespace cpu

void cpu::norm_statistics(const Tensor& x, const NormSizes& sizes, double eps, Tensor& statistics, Stream&) {
  const Walk walk(sizes);
  const float* const xs = x.data<float>();
  // Differences from one of the values do not cancel where the mean is far larger than the deviation.
  const Tensor centers = columns_of(sizes, walk, 1, [=](std::int64_t s, std::int64_t c, float* column) {
    const float value = xs[s * walk.elements + c];
    *column = std::isfinite(value) ? value : 0.0F;
  });
  Tensor total = column_sums({.width = walk.width, .count = 0, .x = xs}, sizes, walk, centers, nullptr);
  const double* const sums = doubles_of(total);
  const float* const columns = centers.data<float>();
  float* const to = statistics.data<float>();
  const std::int64_t groups = sizes.S * sizes.G, width = sizes.group_channels();
  const auto rows = static_cast<double>(sizes.R);
  parallel_ranges(groups, std::max<std::int64_t>(1, 1024 / width), [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t s = i / sizes.G, begin = i % sizes.G * width;
      const double *const a = sums + s * 2 * sizes.C + begin, *const b = a + sizes.C;
      const float* const center = columns + s * walk.width + begin;
      double mean = 0, squares = 0;
      for (std::int64_t c = 0; c < width; ++c) mean += static_cast<double>(center[c]) + a[c] / rows;
      mean /= static_cast<double>(width);
      // Chan et al., "Updating formulae" (1979): the columns' own deviations, and those of their means.
      for (std::int64_t c = 0; c < width; ++c) {
        const double own = a[c] / rows, apart = static_cast<double>(center[c]) + own - mean;
        squares += std::max(b[c] - own * a[c], 0 * b[c]) + rows * apart * apart;
      }
      const double variance = squares / static_cast<double>(sizes.group_values());
      to[kMean * groups + i] = static_cast<float>(mean);
      to[kMeanRest * groups + i] = static_cast<float>(mean - static_cast<double>(static_cast<float>(mean)));
      to[kRstd * groups + i] = static_cast<float>(1 / std::sqrt(variance + eps));
      to[kVariance * groups + i] = static_cast<float>(variance);
    }
  });
}

void cpu::normalize(const Tensor& x, const NormSizes& sizes, const Tensor& statistics, const Tensor& weight, const Tensor& bias,
                    const NormEpilogue& epilogue, Tensor& y, Stream&) {
  const Walk walk(sizes);
  const Tensor columns = forward_columns(sizes, walk, statistics, weight, bias);
  const NormRows all{.width = walk.width, .count = x.numel(), .x = x.data<float>(), .forward = columns.data<float>()};
  const float* const addend = data_of(epilogue.addend);
  const bool relu = epilogue.relu;
  float* const to = y.data<float>();
  const bool streamed = is_streamed(to, y.numel(), walk.width);
  for_parts(sizes, walk, [=](std::int64_t s, std::int64_t first, std::int64_t count) {
    HWY_DYNAMIC_DISPATCH(normalize_rows)
    (rows_of(all, s, first, count), addend ? addend + first : nullptr, relu, streamed, to + first);
  });
}

namespace cpu {
namespace {

/// Sums over a group of what the columns sum to: f32 [2, S * G], the slope and the offset of dx.
Tensor group_terms(const NormSizes& sizes, const float* known, const float* weights, const double* sums) {
  const std::int64_t groups = sizes.S * sizes.G, width = sizes.group_channels();
  Tensor terms = Tensor::empty({2, groups});
  float* const to = terms.data<float>();
  parallel_ranges(groups, std::max<std::int64_t>(1, 1024 / width), [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const double rest = known[kMeanRest * groups + i], rstd = known[kRstd * groups + i];
      const double *const a = sums + i / sizes.G * 2 * sizes.C + i % sizes.G * width, *const b = a + sizes.C;
      double plain = 0, weighted = 0;
      for (std::int64_t c = 0; c < width; ++c) {
        const double weight = value_or(weights, i % sizes.G * width + c, 1);
        plain += weight * a[c];
        weighted += weight * (b[c] - rest * a[c]);
      }
      const double values = static_cast<double>(sizes.group_values());
      const double slope = -rstd * rstd * rstd * weighted / values;
      to[i] = static_cast<float>(slope);
      to[groups + i] = static_cast<float>(-rstd * plain / values - slope * rest);
    }
  });
  return terms;
}

/// dweight and dbias from the column sums, added over the segments.
void put_gradients(const NormSizes& sizes, const float* known, const double* sums, NormGradients& gradients) {
  const std::int64_t groups = sizes.S * sizes.G, width = sizes.group_channels();
  float* const dweight = gradients.dweight.defined() ? gradients.dweight.data<float>() : nullptr;
  float* const dbias = gradients.dbias.defined() ? gradients.dbias.data<float>() : nullptr;
  const bool add_weight = gradients.add_weight, add_bias = gradients.add_bias;
  const auto put = [](double sum, bool add, float& to) { to = add ? to + static_cast<float>(sum) : static_cast<float>(sum); };
  parallel_ranges(sizes.C, std::max<std::int64_t>(16, 4096 / sizes.S), [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t c = first; c < last; ++c) {
      double plain = 0, weighted = 0;
      for (std::int64_t s = 0; s < sizes.S; ++s) {
        const double a = sums[s * 2 * sizes.C + c], b = sums[(s * 2 + 1) * sizes.C + c];
        const float* const of = known + s * sizes.G + c / width;
        plain += a;
        weighted += static_cast<double>(of[kRstd * groups]) * (b - static_cast<double>(of[kMeanRest * groups]) * a);
      }
      if (dweight) put(weighted, add_weight, dweight[c]);
      if (dbias) put(plain, add_bias, dbias[c]);
    }
  });
}

}  // namespace
}  // namespace cpu

void cpu::normalize_backward(const Tensor& x, const NormSizes& sizes, const Tensor& statistics, const Tensor& weight,
                             const Tensor& dy, bool fixed, NormEpilogueBackward& epilogue, NormGradients& gradients, Tensor& dx,
                             Stream&) {
  const Walk walk(sizes);
  const float *const known = statistics.data<float>(), *const weights = data_of(weight);
  const std::int64_t groups = sizes.S * sizes.G, width = sizes.group_channels();
  NormRows all{.width = walk.width, .count = x.numel(), .x = x.data<float>(), .dy = dy.data<float>()};
  Tensor forward, terms;
  if (epilogue.relu && epilogue.y.defined()) {
    all.mask = ReluMask::of_y;
    all.y = epilogue.y.data<float>();
  } else if (epilogue.relu) {
    all.mask = ReluMask::of_x;
    forward = forward_columns(sizes, walk, statistics, weight, epilogue.bias);
    all.forward = std::as_const(forward).data<float>();
  }
  float* const dsum = epilogue.dsum.defined() ? epilogue.dsum.data<float>() : nullptr;
  const bool needs_terms = dx.defined() && !fixed;
  if (needs_terms || dsum || gradients.dweight.defined() || gradients.dbias.defined()) {
    const Tensor centers = columns_of(sizes, walk, 1, [=](std::int64_t s, std::int64_t c, float* column) {
      *column = known[kMean * groups + s * sizes.G + c / width];
    });
    Tensor sums = column_sums(all, sizes, walk, centers, dsum);
    put_gradients(sizes, known, doubles_of(sums), gradients);
    if (needs_terms) terms = group_terms(sizes, known, weights, doubles_of(sums));
    if (dsum) {  // has been masked
      all.dy = dsum;
      all.mask = ReluMask::none;
    }
  }
  if (!dx.defined()) return;
  const float* const slopes = data_of(terms);
  const Tensor columns = columns_of(sizes, walk, 4, [=](std::int64_t s, std::int64_t c, float* column) {
    const std::int64_t group = s * sizes.G + c / width;
    column[0] = known[kMean * groups + group];
    column[walk.width] = known[kRstd * groups + group] * value_or(weights, c, 1);
    column[2 * walk.width] = value_or(slopes, group, 0);
    column[3 * walk.width] = value_or(slopes, groups + group, 0);
  });
  const float* const numbers = columns.data<float>();
  float* const to = dx.data<float>();
  const bool streamed = is_streamed(to, dx.numel(), walk.width);
  for_parts(sizes, walk, [=](std::int64_t s, std::int64_t first, std::int64_t count) {
    HWY_DYNAMIC_DISPATCH(backward_rows)
    (rows_of(all, s, first, count), numbers + s * 4 * walk.width, fixed, streamed, to + first);
  });
}

}  // namespace gpucnn::kernels
#endif
