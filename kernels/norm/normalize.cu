#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/norm/norm_division.h>

namespace gpucnn::kernels::cuda {

using namespace norm;

namespace {

/// y = (x - mean) scale + offset, + addend if there is one, and the ReLU of that if it is wanted.
template <int kWidth, bool kAdds, class T>
__global__ void __launch_bounds__(kThreads) normalize_kernel(const T* x, const float* statistics, const float* weight,
                                                             const float* bias, const T* addend, bool relu, Division d, T* y) {
  const NormSizes& s = d.sizes;
  const std::int64_t blocks = s.S * d.slices * d.tiles;
  for (std::int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const Place at(d, block, kWidth);
    if (!at.works) continue;
    ColumnMap forward[kWidth];
    for (int k = 0; k < kWidth; ++k) forward[k] = ColumnMap(statistics, weight, bias, s, at.segment, at.column + k);
    const std::int64_t from = at.segment * s.R * s.C + at.column;
    for (std::int64_t r = at.slice * d.rows + at.line; r < at.end; r += d.lines) {
      const auto values = load<kWidth>(x + from + r * s.C);
      Lanes<T, kWidth> addends{}, results;
      if constexpr (kAdds) addends = load<kWidth>(addend + from + r * s.C);
      for (int k = 0; k < kWidth; ++k) {
        float result = forward[k](widen(values.at[k]));
        if constexpr (kAdds) result += widen(addends.at[k]);
        results.at[k] = narrow<T>(relu && result < 0 ? 0.0F : result);  // which leaves NaN
      }
      store(results, y + from + r * s.C);
    }
  }
}

/// dx = dy scale + (x - mean) slope + offset, dy masked. Without `terms` dx = dy scale.
template <int kWidth, ReluMask kMask, class T>
__global__ void __launch_bounds__(kThreads, 4)
    backward_kernel(const T* x, const T* dy, const T* y, const float* statistics, const float* weight, const float* bias,
                    const float* terms, Division d, T* dx) {
  const NormSizes& s = d.sizes;
  const std::int64_t groups = s.S * s.G, blocks = s.S * d.slices * d.tiles;
  for (std::int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const Place at(d, block, kWidth);
    if (!at.works) continue;
    ColumnMap forward[kWidth];
    float slopes[kWidth], offsets[kWidth];
    for (int k = 0; k < kWidth; ++k) {
      const std::int64_t c = at.column + k, group = at.segment * s.G + c / (s.C / s.G);
      forward[k] = ColumnMap(statistics, weight, bias, s, at.segment, c);
      slopes[k] = terms ? terms[group] : 0.0F;
      offsets[k] = terms ? terms[groups + group] : 0.0F;
    }
    const std::int64_t from = at.segment * s.R * s.C + at.column;
    for (std::int64_t r = at.slice * d.rows + at.line; r < at.end; r += d.lines) {
      const std::int64_t i = from + r * s.C;
      const auto gradients = load<kWidth>(dy + i);
      Lanes<T, kWidth> values{}, outputs{}, results;
      if (terms || kMask == ReluMask::of_x) values = load<kWidth>(x + i);
      if constexpr (kMask == ReluMask::of_y) outputs = load<kWidth>(y + i);
      for (int k = 0; k < kWidth; ++k) {
        const float value = widen(values.at[k]);
        const float gradient = masked<kMask>(widen(gradients.at[k]), value, outputs.at[k], forward[k]);
        const float rest = terms ? fmaf(value - forward[k].mean, slopes[k], offsets[k]) : 0.0F;
        results.at[k] = narrow<T>(fmaf(gradient, forward[k].scale, rest));
      }
      store(results, dx + i);
    }
  }
}

}  // namespace

void normalize(const Tensor& x, const NormSizes& sizes, const Tensor& statistics, const Tensor& weight, const Tensor& bias,
               const NormEpilogue& epilogue, Tensor& y, Stream& stream) {
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* const from = x.device_data<T>();
    const T* const addend = data_of<T>(epilogue.addend);
    T* const to = y.device_data<T>();
    with_width(
        sizes,
        [&]<int kWidth>(std::integral_constant<int, kWidth>) {
          const Division d = divide(sizes, kWidth);
          const auto kernel = addend ? normalize_kernel<kWidth, true, T> : normalize_kernel<kWidth, false, T>;
          launch(stream, "normalize", {d.blocks(), kThreads}, kernel, from, data_of(statistics), data_of(weight), data_of(bias),
                 addend, epilogue.relu, d, to);
        },
        from, addend, to);
  });
}

void normalize_backward(const Tensor& x, const NormSizes& sizes, const Tensor& statistics, const Tensor& weight, const Tensor& dy,
                        bool fixed, NormEpilogueBackward& epilogue, NormGradients& gradients, Tensor& dx, Stream& stream) {
  Operands operands{.dy = dy, .y = epilogue.relu ? epilogue.y : Tensor{}, .statistics = statistics, .weight = weight};
  if (operands.y.defined()) {
    operands.mask = ReluMask::of_y;
  } else if (epilogue.relu) {
    operands.mask = ReluMask::of_x;
    operands.bias = epilogue.bias;
  }
  const bool needs_terms = dx.defined() && !fixed;
  Tensor terms;
  if (needs_terms || epilogue.dsum.defined() || gradients.dweight.defined() || gradients.dbias.defined()) {
    SliceSums sums = slice_sums(x, operands, sizes, epilogue.dsum, stream);
    if (needs_terms) terms = Tensor::empty({2, sizes.S * sizes.G}, DType::f32, stream.device());
    put_terms(sums, operands, sizes, epilogue.part, gradients, terms, stream);
    if (epilogue.dsum.defined()) {  // has been masked
      operands.dy = epilogue.dsum;
      operands.y = {};
      operands.mask = ReluMask::none;
    }
  }
  if (!dx.defined()) return;
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* const xs = x.device_data<T>();
    const T *const dys = data_of<T>(operands.dy), *const ys = data_of<T>(operands.y);
    T* const to = dx.device_data<T>();
    with_width(
        sizes,
        [&]<int kWidth>(std::integral_constant<int, kWidth>) {
          const Division d = divide(sizes, kWidth);
          with_mask(operands.mask, [&]<ReluMask kMask>(std::integral_constant<ReluMask, kMask>) {
            launch(stream, "normalize_backward", {d.blocks(), kThreads}, backward_kernel<kWidth, kMask, T>, xs, dys, ys,
                   data_of(operands.statistics), data_of(operands.weight), data_of(operands.bias), data_of(terms), d, to);
          });
        },
        xs, dys, ys, to);
  });
}

}  // namespace gpucnn::kernels::cuda
