#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/block_reduce.h>
#include <gpucnn/kernels/norm/norm_division.h>
#include <gpucnn/kernels/norm/statistics_formula.h>

// The sums over columns that statistics and gradients are made of.
namespace gpucnn::kernels::cuda {
namespace norm {
namespace {

constexpr int kWarps = kThreads / kWarp;

/// The doubles sums[segment, slice, 2, C]: of f and f * (x - center), where f is dy, masked, or without one x - center. f to
/// `dsum`, if it is masked and there is a place for it.
template <int kWidth, ReluMask kMask, class T>
__global__ void __launch_bounds__(kThreads) sums_kernel(const T* x, const T* dy, const T* y, const float* statistics,
                                                        const float* weight, const float* bias, Division d, T* dsum, double* sums) {
  GPUCNN_SHARED(double, shared, 2 * kWidth * kThreads);
  const NormSizes& s = d.sizes;
  const std::int64_t blocks = s.S * d.slices * d.tiles;
  for (std::int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const Place at(d, block, kWidth);
    double terms[2][kWidth] = {};
    if (at.works) {
      const std::int64_t from = at.segment * s.R * s.C + at.column;
      double centers[kWidth];
      ColumnMap forward[kWidth];
      for (int k = 0; k < kWidth; ++k) {
        const std::int64_t group = at.segment * s.G + (at.column + k) / (s.C / s.G);
        centers[k] = dy ? statistics[group] : center_of(widen(x[from + k]));
        if constexpr (kMask == ReluMask::of_x) {
          forward[k] = ColumnMap(statistics, weight, bias, s, at.segment, at.column + k);
        }
      }
      for (std::int64_t r = at.slice * d.rows + at.line; r < at.end; r += d.lines) {
        const std::int64_t i = from + r * s.C;
        const auto values = load<kWidth>(x + i);
        Lanes<T, kWidth> gradients{}, results{};
        if (dy) gradients = load<kWidth>(dy + i);
        if constexpr (kMask == ReluMask::of_y) results = load<kWidth>(y + i);
        for (int k = 0; k < kWidth; ++k) {
          const double difference = static_cast<double>(widen(values.at[k])) - centers[k];
          double factor = difference;
          if (dy) {
            const float gradient = masked<kMask>(widen(gradients.at[k]), widen(values.at[k]), results.at[k], forward[k]);
            if constexpr (kMask != ReluMask::none) gradients.at[k] = narrow<T>(gradient);
            factor = gradient;
          }
          terms[0][k] += factor;
          terms[1][k] += factor * difference;
        }
        if (kMask != ReluMask::none && dsum) store(gradients, dsum + i);
      }
    }
    for (int k = 0; k < 2 * kWidth; ++k) shared[k * kThreads + threadIdx.x] = terms[k / kWidth][k % kWidth];
    for (std::int64_t count = d.lines; count > 1;) {
      const std::int64_t half = (count + 1) / 2;
      __syncthreads();
      if (at.line + half < count) {
        for (int k = 0; k < 2 * kWidth; ++k) {
          shared[k * kThreads + threadIdx.x] += shared[k * kThreads + threadIdx.x + half * d.units];
        }
      }
      count = half;
    }
    if (at.works && at.line == 0) {
      double* const to = sums + (at.segment * d.slices + at.slice) * 2 * s.C + at.column;
      for (int k = 0; k < 2 * kWidth; ++k) to[k / kWidth * s.C + k % kWidth] = shared[k * kThreads + threadIdx.x];
    }
    __syncthreads();  // before the next block's sums are written
  }
}

/// A warp adds the slices of one column: totals[segment, 2, C].
__global__ void __launch_bounds__(kThreads)
    totals_kernel(const double* sums, std::int64_t S, std::int64_t slices, std::int64_t C, double* totals) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t count = S * 2 * C;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; i < count; i += std::int64_t{gridDim.x} * kWarps) {
    double sum = 0;
    for (std::int64_t slice = lane; slice < slices; slice += kWarp)
      sum += sums[(i / (2 * C) * slices + slice) * 2 * C + i % (2 * C)];
    sum = warp_sum(sum);
    if (lane == 0) totals[i] = sum;
  }
}

/// A warp makes a group's statistics from its columns' sums.
template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    statistics_kernel(const T* x, const double* totals, NormSizes s, double eps, float* statistics) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t groups = s.S * s.G, width = s.C / s.G;
  const auto R = static_cast<double>(s.R);
  for (std::int64_t i = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; i < groups;
       i += std::int64_t{gridDim.x} * kWarps) {
    const std::int64_t segment = i / s.G, first = i % s.G * width;
    const double *const a = totals + segment * 2 * s.C + first, *const b = a + s.C;
    const T* const row = x + segment * s.R * s.C + first;
    const auto mean_of = [=](std::int64_t c) { return static_cast<double>(center_of(widen(row[c]))) + a[c] / R; };
    double mean = 0, squares = 0;
    for (std::int64_t c = lane; c < width; c += kWarp) mean += mean_of(c);
    mean = warp_sum(mean) / static_cast<double>(width);
    // Chan et al., "Updating formulae" (1979): the columns' own deviations, and those of their means.
    for (std::int64_t c = lane; c < width; c += kWarp) {
      const double own = b[c] - a[c] / R * a[c], apart = mean_of(c) - mean;
      squares += (own < 0 ? 0 : own) + R * apart * apart;
    }
    const double variance = warp_sum(squares) / (R * static_cast<double>(width));
    if (lane != 0) continue;
    put_statistics(mean, variance, eps, groups, i, statistics);
  }
}

/// A warp makes slope and offset of a group's dx, [2, S * G], from its columns' sums.
__global__ void __launch_bounds__(kThreads)
    terms_kernel(const double* totals, const float* statistics, const float* weight, NormSizes s, float* terms) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t groups = s.S * s.G, width = s.C / s.G;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; i < groups;
       i += std::int64_t{gridDim.x} * kWarps) {
    const double rest = statistics[kMeanRest * groups + i], rstd = statistics[kRstd * groups + i];
    const std::int64_t first = i % s.G * width;
    const double *const a = totals + i / s.G * 2 * s.C + first, *const b = a + s.C;
    double plain = 0, weighted = 0;
    for (std::int64_t c = lane; c < width; c += kWarp) {
      const double factor = weight ? weight[first + c] : 1.0F;
      plain += factor * a[c];
      weighted += factor * (b[c] - rest * a[c]);
    }
    const double values = static_cast<double>(s.R) * static_cast<double>(width);
    const double slope = -rstd * rstd * rstd * warp_sum(weighted) / values;
    const double offset = -rstd * warp_sum(plain) / values - slope * rest;
    if (lane != 0) continue;
    terms[i] = static_cast<float>(slope);
    terms[groups + i] = static_cast<float>(offset);
  }
}

/// A thread adds a column's sums over the segments.
__global__ void __launch_bounds__(kThreads) gradients_kernel(const double* totals, const float* statistics, NormSizes s,
                                                             bool add_weight, bool add_bias, float* dweight, float* dbias) {
  const std::int64_t groups = s.S * s.G, width = s.C / s.G;
  for (std::int64_t c = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; c < s.C; c += std::int64_t{gridDim.x} * kThreads) {
    double plain = 0, weighted = 0;
    for (std::int64_t segment = 0; segment < s.S; ++segment) {
      const double a = totals[segment * 2 * s.C + c], b = totals[(segment * 2 + 1) * s.C + c];
      const float* const of = statistics + segment * s.G + c / width;
      plain += a;
      weighted += static_cast<double>(of[kRstd * groups]) * (b - static_cast<double>(of[kMeanRest * groups]) * a);
    }
    if (dweight) put_sum(weighted, add_weight, dweight + c);
    if (dbias) put_sum(plain, add_bias, dbias + c);
  }
}

/// What `sums_kernel` made of a channel of a batch, which is one segment, added over the slices by a warp, in the order of
/// `totals_kernel`. For a batch the kernels below are `totals_kernel` and those above in one.
struct ChannelSums {
  __device__ ChannelSums(const double* sums, std::int64_t slices, std::int64_t C, std::int64_t c) : plain(0), weighted(0) {
    for (std::int64_t slice = threadIdx.x % kWarp; slice < slices; slice += kWarp) {
      plain += sums[slice * 2 * C + c];
      weighted += sums[(slice * 2 + 1) * C + c];
    }
    plain = warp_sum(plain);
    weighted = warp_sum(weighted);
  }

  double plain, weighted;
};

/// A warp makes a channel's statistics.
template <class T>
__global__ void __launch_bounds__(kThreads)
    channel_statistics_kernel(const T* x, const double* sums, NormSizes s, std::int64_t slices, double eps, float* statistics) {
  const auto R = static_cast<double>(s.R);
  for (std::int64_t c = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; c < s.C; c += std::int64_t{gridDim.x} * kWarps) {
    const ChannelSums of(sums, slices, s.C, c);
    if (threadIdx.x % kWarp != 0) continue;
    const double mean = static_cast<double>(center_of(widen(x[c]))) + of.plain / R;
    const double own = of.weighted - of.plain / R * of.plain;
    const double variance = (own < 0 ? 0 : own) / R;
    put_statistics(mean, variance, eps, s.C, c, statistics);
  }
}

/// A warp makes a channel's gradients, and slope and offset of its dx; null: not wanted.
__global__ void __launch_bounds__(kThreads)
    channel_terms_kernel(const double* sums, const float* statistics, const float* weight, NormSizes s, std::int64_t slices,
                         bool add_weight, bool add_bias, float* dweight, float* dbias, float* terms) {
  const auto R = static_cast<double>(s.R);
  for (std::int64_t c = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; c < s.C; c += std::int64_t{gridDim.x} * kWarps) {
    const ChannelSums of(sums, slices, s.C, c);
    if (threadIdx.x % kWarp != 0) continue;
    const double rest = statistics[kMeanRest * s.C + c], rstd = statistics[kRstd * s.C + c];
    const double centered = of.weighted - rest * of.plain;
    if (dweight) put_sum(rstd * centered, add_weight, dweight + c);
    if (dbias) put_sum(of.plain, add_bias, dbias + c);
    if (!terms) continue;
    const double factor = weight ? weight[c] : 1.0F;
    const double slope = -rstd * rstd * rstd * (factor * centered) / R;
    terms[c] = static_cast<float>(slope);
    terms[s.C + c] = static_cast<float>(-rstd * (factor * of.plain) / R - slope * rest);
  }
}

/// A thread makes slope and offset of a channel's dx from the sums over a batch of which x is a part; 0 where that does not count.
__global__ void __launch_bounds__(kThreads)
    whole_terms_kernel(const double* totals, const float* statistics, const float* weight, std::int64_t C,
                       const std::int64_t* values, bool counts, float* terms) {
  const auto count = static_cast<double>(*values);
  for (std::int64_t c = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; c < C; c += std::int64_t{gridDim.x} * kThreads) {
    const double rest = statistics[kMeanRest * C + c], rstd = statistics[kRstd * C + c], factor = weight ? weight[c] : 1.0F;
    const double plain = factor * totals[c], weighted = factor * (totals[C + c] - rest * totals[c]);
    const double slope = -rstd * rstd * rstd * weighted / count;
    terms[c] = counts ? static_cast<float>(slope) : 0.0F;
    terms[C + c] = counts ? static_cast<float>(-rstd * plain / count - slope * rest) : 0.0F;
  }
}

/// The doubles [S, 2, C]: the same, added over the slices.
Tensor totals_of(SliceSums& of, const NormSizes& sizes, Stream& stream) {
  if (of.slices == 1) return of.sums;
  Tensor totals = doubles(sizes.S * 2 * sizes.C, stream.device());
  launch(stream, "norm_sums", {(sizes.S * 2 * sizes.C + kWarps - 1) / kWarps, kThreads}, totals_kernel, doubles_of(of.sums),
         sizes.S, of.slices, sizes.C, doubles_of(totals));
  return totals;
}

bool is_batch(const NormSizes& sizes) { return sizes.S == 1 && sizes.G == sizes.C; }

LaunchShape group_grid(const NormSizes& sizes) { return {(sizes.S * sizes.G + kWarps - 1) / kWarps, kThreads}; }

}  // namespace

SliceSums slice_sums(const Tensor& x, const Operands& operands, const NormSizes& sizes, Tensor& dsum, Stream& stream) {
  SliceSums made{};
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* const xs = x.device_data<T>();
    const T *const dys = data_of<T>(operands.dy), *const ys = data_of<T>(operands.y);
    T* const masked_dy = dsum.defined() ? dsum.device_data<T>() : nullptr;
    with_width(
        sizes,
        [&]<int kWidth>(std::integral_constant<int, kWidth>) {
          const Division d = divide(sizes, kWidth);
          made = {doubles(sizes.S * d.slices * 2 * sizes.C, stream.device()), d.slices};
          with_mask(operands.mask, [&]<ReluMask kMask>(std::integral_constant<ReluMask, kMask>) {
            launch(stream, "norm_sums", {d.blocks(), kThreads}, sums_kernel<kWidth, kMask, T>, xs, dys, ys,
                   data_of(operands.statistics), data_of(operands.weight), data_of(operands.bias), d, masked_dy,
                   doubles_of(made.sums));
          });
        },
        xs, dys, ys, masked_dy);
  });
  return made;
}

void put_terms(SliceSums& sums, const Operands& operands, const NormSizes& sizes, const PartOfBatch* part, NormGradients& gradients,
               Tensor& terms, Stream& stream) {
  float* const dweight = gradients.dweight.defined() ? gradients.dweight.device_data<float>() : nullptr;
  float* const dbias = gradients.dbias.defined() ? gradients.dbias.device_data<float>() : nullptr;
  float* const to_terms = terms.defined() ? terms.device_data<float>() : nullptr;
  const float *const statistics = data_of(operands.statistics), *const weight = data_of(operands.weight);
  if (!dweight && !dbias && !to_terms) return;
  const bool of_whole = part && to_terms;
  if (is_batch(sizes) && !of_whole) {
    launch(stream, "norm_terms", group_grid(sizes), channel_terms_kernel, doubles_of(sums.sums), statistics, weight, sizes,
           sums.slices, gradients.add_weight, gradients.add_bias, dweight, dbias, to_terms);
    return;
  }
  Tensor totals = totals_of(sums, sizes, stream);
  if (dweight || dbias) {
    launch(stream, "norm_gradients", grid(stream, sizes.C), gradients_kernel, doubles_of(totals), statistics, sizes,
           gradients.add_weight, gradients.add_bias, dweight, dbias);
  }
  if (of_whole) {
    part->sum({doubles_of(totals), static_cast<std::size_t>(2 * sizes.C)}, stream);
    launch(stream, "norm_terms", grid(stream, sizes.C), whole_terms_kernel, doubles_of(totals), statistics, weight, sizes.C,
           part->values.device_data<std::int64_t>(), part->counts, to_terms);
  } else if (to_terms) {
    launch(stream, "norm_terms", group_grid(sizes), terms_kernel, doubles_of(totals), statistics, weight, sizes, to_terms);
  }
}

}  // namespace norm

using namespace norm;

void norm_statistics(const Tensor& x, const NormSizes& sizes, double eps, Tensor& statistics, Stream& stream) {
  Tensor none;
  SliceSums sums = slice_sums(x, {}, sizes, none, stream);
  Tensor totals = is_batch(sizes) ? Tensor{} : totals_of(sums, sizes, stream);
  for_activation(x.dtype(), [&]<class T>(T) {
    if (is_batch(sizes)) {
      launch(stream, "norm_statistics", group_grid(sizes), channel_statistics_kernel<T>, x.device_data<T>(), doubles_of(sums.sums),
             sizes, sums.slices, eps, statistics.device_data<float>());
    } else {
      launch(stream, "norm_statistics", group_grid(sizes), statistics_kernel<T>, x.device_data<T>(), doubles_of(totals), sizes, eps,
             statistics.device_data<float>());
    }
  });
}

}  // namespace gpucnn::kernels::cuda
