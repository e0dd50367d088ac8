#include <algorithm>
#include <cmath>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/norm/normalize.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/norm/normalize_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/lanes-inl.h>

// Vectors run over the columns. Where these fill no vectors, kFold rows side by side make a row of `width` columns.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// first += f and second += f * (x - center), where f is dy, or without one x - center.
template <class D>
HWY_INLINE void add_terms(D d, const float* x, const float* dy, hn::Vec<D> center, hn::Vec<D>& first, hn::Vec<D>& second) {
  const hn::Rebind<float, D> floats;
  const auto difference = hn::Sub(hn::PromoteTo(d, hn::LoadU(floats, x)), center);
  const auto factor = dy ? hn::PromoteTo(d, hn::LoadU(floats, dy)) : difference;
  first = hn::Add(first, factor);
  second = hn::MulAdd(factor, difference, second);
}

/// The two sums of columns [column, column + 2 vectors) over `count` elements in rows of `width`, to sums[0] and sums[width] on.
template <class D>
HWY_INLINE void sum_columns(D d, const float* x, const float* dy, const float* centers, std::int64_t width, std::int64_t count,
                            std::int64_t column, double* sums) {
  const hn::Rebind<float, D> floats;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto center0 = hn::PromoteTo(d, hn::LoadU(floats, centers + column));
  const auto center1 = hn::PromoteTo(d, hn::LoadU(floats, centers + column + lanes));
  auto a0 = hn::Zero(d), a1 = hn::Zero(d), b0 = hn::Zero(d), b1 = hn::Zero(d);
  for (std::int64_t i = column; i < count; i += width) {
    add_terms(d, x + i, dy ? dy + i : nullptr, center0, a0, b0);
    add_terms(d, x + i + lanes, dy ? dy + i + lanes : nullptr, center1, a1, b1);
  }
  hn::StoreU(a0, d, sums + column);
  hn::StoreU(a1, d, sums + column + lanes);
  hn::StoreU(b0, d, sums + width + column);
  hn::StoreU(b1, d, sums + width + column + lanes);
}

/// sums: [2, width]. Only whole rows are read by vectors; what is left of the last one comes to its columns behind them.
void sum_terms(const float* x, const float* dy, const float* centers, std::int64_t width, std::int64_t count, double* sums) {
  const std::int64_t whole = count / width * width;
  const hn::ScalableTag<double> d;
  const auto pair = static_cast<std::int64_t>(2 * hn::Lanes(d));
  std::int64_t column = 0;
  for (; column + pair <= width; column += pair) sum_columns(d, x, dy, centers, width, whole, column, sums);
  const auto add_one = [=](std::int64_t i, double& first, double& second) {
    const double difference = static_cast<double>(x[i]) - static_cast<double>(centers[i % width]);
    const double factor = dy ? static_cast<double>(dy[i]) : difference;
    first += factor;
    second += factor * difference;
  };
  for (; column < width; ++column) {
    double first = 0, second = 0;
    for (std::int64_t i = column; i < whole; i += width) add_one(i, first, second);
    sums[column] = first;
    sums[width + column] = second;
  }
  for (std::int64_t i = whole; i < count; ++i) add_one(i, sums[i - whole], sums[width + i - whole]);
}

/// y = (x - center) scale + offset; columns: [3, width].
void normalize_rows(const float* x, const float* columns, std::int64_t width, std::int64_t count, float* y) {
  const float *centers = columns, *scales = columns + width, *offsets = columns + 2 * width;
  for (std::int64_t row = 0; row < count; row += width) {
    for_lanes(static_cast<std::size_t>(std::min(width, count - row)), [=](auto d, std::size_t c) HWY_ATTR {
      const auto difference = hn::Sub(hn::LoadU(d, x + row + c), hn::LoadU(d, centers + c));
      hn::StoreU(hn::MulAdd(difference, hn::LoadU(d, scales + c), hn::LoadU(d, offsets + c)), d, y + row + c);
    });
  }
}

/// dx = dy scale + (x - center) slope + offset; columns: [4, width].
void backward_rows(const float* x, const float* dy, const float* columns, std::int64_t width, std::int64_t count, float* dx) {
  const float *centers = columns, *scales = columns + width, *slopes = columns + 2 * width, *offsets = columns + 3 * width;
  for (std::int64_t row = 0; row < count; row += width) {
    for_lanes(static_cast<std::size_t>(std::min(width, count - row)), [=](auto d, std::size_t c) HWY_ATTR {
      const auto difference = hn::Sub(hn::LoadU(d, x + row + c), hn::LoadU(d, centers + c));
      const auto rest = hn::MulAdd(difference, hn::LoadU(d, slopes + c), hn::LoadU(d, offsets + c));
      hn::StoreU(hn::MulAdd(hn::LoadU(d, dy + row + c), hn::LoadU(d, scales + c), rest), d, dx + row + c);
    });
  }
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

/// The doubles [S, 2, C] of each segment's column sums; see `add_terms`.
Tensor column_sums(const Tensor& x, const float* dy, const NormSizes& sizes, const Walk& walk, const Tensor& centers) {
  Tensor partial = doubles(sizes.S * walk.parts * 2 * walk.width), total = doubles(sizes.S * 2 * sizes.C);
  const float *const xs = x.data<float>(), *const columns = centers.data<float>();
  double *const from = doubles_of(partial), *const to = doubles_of(total);
  parallel_for(sizes.S * walk.parts, [=](std::int64_t task) {
    const std::int64_t s = task / walk.parts, p = task % walk.parts, first = s * walk.elements + p * walk.part;
    HWY_DYNAMIC_DISPATCH(sum_terms)
    (xs + first, dy ? dy + first : nullptr, columns + s * walk.width, walk.width, walk.length(p), from + task * 2 * walk.width);
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
  Tensor total = column_sums(x, nullptr, sizes, walk, centers);
  const double* const sums = doubles_of(total);
  const float* const columns = centers.data<float>();
  float* const to = statistics.data<float>();
  const std::int64_t groups = sizes.S * sizes.G, width = sizes.group_channels();
  const auto R = static_cast<double>(sizes.R);
  parallel_ranges(groups, std::max<std::int64_t>(1, 1024 / width), [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t s = i / sizes.G, begin = i % sizes.G * width;
      const double *const a = sums + s * 2 * sizes.C + begin, *const b = a + sizes.C;
      const float* const center = columns + s * walk.width + begin;
      double mean = 0, squares = 0;
      for (std::int64_t c = 0; c < width; ++c) mean += static_cast<double>(center[c]) + a[c] / R;
      mean /= static_cast<double>(width);
      // Chan et al., "Updating formulae" (1979): the columns' own deviations, and those of their means.
      for (std::int64_t c = 0; c < width; ++c) {
        const double own = a[c] / R, apart = static_cast<double>(center[c]) + own - mean;
        squares += std::max(b[c] - own * a[c], 0 * b[c]) + R * apart * apart;
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
                    Tensor& y, Stream&) {
  const Walk walk(sizes);
  const float *const known = statistics.data<float>(), *const weights = data_of(weight), *const biases = data_of(bias);
  const std::int64_t groups = sizes.S * sizes.G, width = sizes.group_channels();
  const Tensor columns = columns_of(sizes, walk, 3, [=](std::int64_t s, std::int64_t c, float* column) {
    const float* const of = known + s * sizes.G + c / width;
    const float scale = of[kRstd * groups] * value_or(weights, c, 1);
    column[0] = of[kMean * groups];
    column[walk.width] = scale;
    column[2 * walk.width] = value_or(biases, c, 0) - of[kMeanRest * groups] * scale;
  });
  const float *const from = x.data<float>(), *const numbers = columns.data<float>();
  float* const to = y.data<float>();
  for_parts(sizes, walk, [=](std::int64_t s, std::int64_t first, std::int64_t count) {
    HWY_DYNAMIC_DISPATCH(normalize_rows)(from + first, numbers + s * 3 * walk.width, walk.width, count, to + first);
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
                             const Tensor& dy, bool fixed, NormGradients& gradients, Tensor& dx, Stream&) {
  const Walk walk(sizes);
  const float *const known = statistics.data<float>(), *const weights = data_of(weight);
  const std::int64_t groups = sizes.S * sizes.G, width = sizes.group_channels();
  Tensor terms;
  const bool needs_terms = dx.defined() && !fixed;
  if (needs_terms || gradients.dweight.defined() || gradients.dbias.defined()) {
    const Tensor centers = columns_of(sizes, walk, 1, [=](std::int64_t s, std::int64_t c, float* column) {
      *column = known[kMean * groups + s * sizes.G + c / width];
    });
    Tensor sums = column_sums(x, dy.data<float>(), sizes, walk, centers);
    put_gradients(sizes, known, doubles_of(sums), gradients);
    if (needs_terms) terms = group_terms(sizes, known, weights, doubles_of(sums));
  }
  if (!dx.defined()) return;
  const float *const xs = x.data<float>(), *const dys = dy.data<float>();
  float* const to = dx.data<float>();
  if (fixed) {  // x plays no part, not even where it is infinite: dx = dy scale
    const Tensor columns = columns_of(sizes, walk, 3, [=](std::int64_t s, std::int64_t c, float* column) {
      column[walk.width] = known[kRstd * groups + s * sizes.G + c / width] * value_or(weights, c, 1);
      column[0] = column[2 * walk.width] = 0;
    });
    const float* const numbers = columns.data<float>();
    return for_parts(sizes, walk, [=](std::int64_t s, std::int64_t first, std::int64_t count) {
      HWY_DYNAMIC_DISPATCH(normalize_rows)(dys + first, numbers + s * 3 * walk.width, walk.width, count, to + first);
    });
  }
  const float* const slopes = terms.data<float>();
  const Tensor columns = columns_of(sizes, walk, 4, [=](std::int64_t s, std::int64_t c, float* column) {
    const std::int64_t group = s * sizes.G + c / width;
    column[0] = known[kMean * groups + group];
    column[walk.width] = known[kRstd * groups + group] * value_or(weights, c, 1);
    column[2 * walk.width] = slopes[group];
    column[3 * walk.width] = slopes[groups + group];
  });
  const float* const numbers = columns.data<float>();
  for_parts(sizes, walk, [=](std::int64_t s, std::int64_t first, std::int64_t count) {
    HWY_DYNAMIC_DISPATCH(backward_rows)
    (xs + first, dys + first, numbers + s * 4 * walk.width, walk.width, count, to + first);
  });
}

}  // namespace gpucnn::kernels
#endif
