#include <algorithm>
#include <cmath>
#include <utility>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/norm/norm_rows.h>
#include <gpucnn/kernels/norm/normalize.h>
#include <gpucnn/kernels/norm/statistics_formula.h>
#include <gpucnn/kernels/simd/streamed.h>

namespace gpucnn::kernels {

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

/// The doubles [S, 2, C] of each segment's column sums; see `sum_terms`.
Tensor column_sums(const NormRows& all, const NormSizes& sizes, const Walk& walk, const Tensor& centers, float* dsum) {
  Tensor partial = doubles(sizes.S * walk.parts * 2 * walk.width, Device::cpu()),
         total = doubles(sizes.S * 2 * sizes.C, Device::cpu());
  const float* const columns = centers.data<float>();
  double *const from = doubles_of(partial), *const to = doubles_of(total);
  parallel_for(sizes.S * walk.parts, [=](std::int64_t task) {
    const std::int64_t s = task / walk.parts, p = task % walk.parts, first = s * walk.elements + p * walk.part;
    sum_terms(rows_of(all, s, first, walk.length(p)), columns + s * walk.width, dsum ? dsum + first : nullptr,
              from + task * 2 * walk.width);
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
      put_statistics(mean, variance, eps, groups, i, to);
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
    normalize_rows(rows_of(all, s, first, count), addend ? addend + first : nullptr, relu, streamed, to + first);
  });
}

namespace cpu {
namespace {

/// Sums over a group of what the columns sum to: f32 [2, S * G], the slope and the offset of dx. `count`: values of a group.
Tensor group_terms(const NormSizes& sizes, std::int64_t count, const float* known, const float* weights, const double* sums) {
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
      const auto values = static_cast<double>(count);
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
                             Stream& stream) {
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
    if (needs_terms && epilogue.part) epilogue.part->sum({doubles_of(sums), static_cast<std::size_t>(2 * sizes.C)}, stream);
    const std::int64_t values = epilogue.part ? *std::as_const(epilogue.part->values).data<std::int64_t>() : sizes.group_values();
    if (needs_terms) terms = group_terms(sizes, values, known, weights, doubles_of(sums));
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
    backward_rows(rows_of(all, s, first, count), numbers + s * 4 * walk.width, fixed, streamed, to + first);
  });
}

}  // namespace gpucnn::kernels
