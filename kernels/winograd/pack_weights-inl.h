// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_WINOGRAD_PACK_WEIGHTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_WINOGRAD_PACK_WEIGHTS_INL_H
#undef GPUCNN_KERNELS_WINOGRAD_PACK_WEIGHTS_INL_H
#else
#define GPUCNN_KERNELS_WINOGRAD_PACK_WEIGHTS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/copy/transpose.h>
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

/// Input channels that are packed at a time: rows of a panel lie far apart, and are not foreseen in shorter pieces.
constexpr std::int64_t kPackedInputs = 4 * cpu::kVector;

/// A tap of `inputs` input channels of a panel: to[c][k]. Output channel k lies at from[k * out], input channel c at from[c].
HWY_INLINE void gather_tap(const float* from, std::int64_t out, std::int64_t inputs, std::int64_t count, float* to) {
  float rows[cpu::kPanel * kPackedInputs];  // side by side: apart they would meet in few sets of the L1 cache
  for (std::int64_t k = 0; k < count; ++k) std::copy_n(from + k * out, inputs, rows + k * inputs);
  cpu::transpose(rows, count, inputs, to, cpu::kPanel);
}

/// One panel of output channels: transformed, [16][C][kPanel], or as it is, [C][9][kPanel]. weight: [K][3][3][C], exchanged
/// [C][3][3][K].
inline void pack_winograd_panel(const float* weight, std::int64_t C, std::int64_t K, bool exchanged, bool transformed,
                                std::int64_t panel, float* to) {
  const std::int64_t stride = cpu::tap_size(C), k0 = panel * cpu::kPanel, count = std::min(cpu::kPanel, K - k0);
  constexpr std::int64_t kTap = kPackedInputs * cpu::kPanel;
  float taps[9 * kTap] = {};
  for (std::int64_t c = 0; c < C; c += kPackedInputs, to += transformed ? kTap : 9 * kTap) {
    const std::int64_t inputs = std::min(kPackedInputs, C - c);
    for (std::int64_t t = 0; t < 9; ++t) {
      if (!exchanged) {
        gather_tap(weight + (k0 * 9 + t) * C + c, 9 * C, inputs, count, taps + t * kTap);
        continue;
      }
      for (std::int64_t i = 0; i < inputs; ++i) {
        std::copy_n(weight + ((c + i) * 9 + 8 - t) * K + k0, count, taps + t * kTap + i * cpu::kPanel);
      }
    }
    for (std::int64_t i = 0; i < inputs * cpu::kPanel; i += kLanes) {
      if (transformed) transform_taps(taps + i, kTap, to + i, stride);
    }
    for (std::int64_t i = 0; !transformed && i < 9 * inputs; ++i) {
      std::copy_n(taps + i % 9 * kTap + i / 9 * cpu::kPanel, cpu::kPanel, to + i * cpu::kPanel);
    }
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
