// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_WINOGRAD_PACK_WEIGHTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_WINOGRAD_PACK_WEIGHTS_INL_H
#undef GPUCNN_KERNELS_WINOGRAD_PACK_WEIGHTS_INL_H
#else
#define GPUCNN_KERNELS_WINOGRAD_PACK_WEIGHTS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/simd/vectors-inl.h>
#include <gpucnn/kernels/winograd/winograd_tiles.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// G g G^T of the 3x3 taps `step` apart: element e goes to to[e * stride].
HWY_INLINE void transform_taps(const float* taps, std::int64_t step, float* to, std::int64_t stride) {
  const Floats d;
  const Vector half = hn::Set(d, 0.5F);
  const auto line = [=](Vector g0, Vector g1, Vector g2, Vector(&result)[4]) HWY_ATTR {
    const Vector outer = hn::Mul(half, hn::Add(g0, g2)), inner = hn::Mul(half, g1);
    result[0] = g0;
    result[1] = hn::Add(outer, inner);
    result[2] = hn::Sub(outer, inner);
    result[3] = g2;
  };
  Vector columns[3][4];
  for (int s = 0; s < 3; ++s) {
    const auto tap = [&](int r) HWY_ATTR { return hn::LoadU(d, taps + (3 * r + s) * step); };
    line(tap(0), tap(1), tap(2), columns[s]);
  }
  for (int r = 0; r < 4; ++r) {
    Vector row[4];
    line(columns[0][r], columns[1][r], columns[2][r], row);
    for (int s = 0; s < 4; ++s) hn::StoreU(row[s], d, to + (4 * r + s) * stride);
  }
}

/// One panel of output channels, transformed or as it is. `weight` has the layout of WinogradWeights.
void pack_winograd_panel(const float* weight, std::int64_t C, std::int64_t K, bool exchanged, bool transformed, std::int64_t panel,
                         float* to) {
  const std::int64_t stride = cpu::tap_size(C), k0 = panel * cpu::kPanel;
  const std::int64_t count = std::min(cpu::kPanel, K - k0);
  const std::int64_t in = exchanged ? 9 * K : 1, out = exchanged ? 1 : 9 * C, tap_step = exchanged ? K : C;
  float taps[9][cpu::kPanel] = {};
  to += panel * (transformed ? 16 : 9) * stride;
  for (std::int64_t c = 0; c < C; ++c, to += cpu::kPanel) {
    for (std::int64_t t = 0; t < 9; ++t) {
      const float* const from = weight + c * in + k0 * out + (exchanged ? 8 - t : t) * tap_step;
      for (std::int64_t k = 0; k < count; ++k) taps[t][k] = from[k * out];
    }
    if (transformed) {
      for (std::int64_t k = 0; k < cpu::kPanel; k += kLanes) transform_taps(taps[0] + k, cpu::kPanel, to + k, stride);
    } else {
      for (std::int64_t t = 0; t < 9; ++t) std::copy_n(taps[t], cpu::kPanel, to + t * stride);
    }
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
