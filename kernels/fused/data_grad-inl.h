// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_DATA_GRAD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_DATA_GRAD_INL_H
#undef GPUCNN_KERNELS_DATA_GRAD_INL_H
#else
#define GPUCNN_KERNELS_DATA_GRAD_INL_H
#endif

#include <algorithm>
#include <bit>
#include <cstdint>

#include <gpucnn/kernels/fused/bands.h>
#include <gpucnn/kernels/fused/pooled_conv.h>
#include <gpucnn/kernels/simd/vectors-inl.h>

// The gradient of a band's input, from the gradients of its winners.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// For up to 64 channels: bit k of winners[p * stride] says whether argmax[k] == p, for p in [0, 4).
HWY_INLINE void find_winners(const std::uint8_t* argmax, std::int64_t count, std::uint64_t* winners, std::int64_t stride) {
#if HWY_TARGET == HWY_SCALAR
  for (std::uint8_t p = 0; p < 4; ++p) {
    std::uint64_t found = 0;
    for (std::int64_t k = 0; k < count; ++k) found |= std::uint64_t{argmax[k] == p} << k;
    winners[p * stride] = found;
  }
#else
  const hn::FixedTag<std::uint8_t, 16> d;
  std::uint64_t found[4] = {};
  for (std::int64_t k = 0; k < count; k += 16) {
    HWY_ALIGN std::uint8_t some[16];
    const std::uint8_t* from = argmax + k;
    if (count - k < 16) {
      std::fill_n(some, 16, cpu::kNoWinner);
      std::copy_n(from, count - k, some);
      from = some;
    }
    const auto index = hn::LoadU(d, from);
    for (std::uint8_t p = 0; p < 4; ++p) {
      std::uint8_t bits[8] = {};
      hn::StoreMaskBits(d, hn::Eq(index, hn::Set(d, p)), bits);
      found[p] |= (std::uint64_t{bits[0]} | std::uint64_t{bits[1]} << 8) << k;
    }
  }
  for (int p = 0; p < 4; ++p) winners[p * stride] = found[p];
#endif
}

/// Scatters the gradients of a pooled pixel's winners with argmax kIndex into the 4x4 input patch of its window, for kLanes
/// channels. winners: [K in words], gradient: [K], weights: [K][3][3][kLanes].
template <int kIndex>
HWY_INLINE void add_winners(const std::uint64_t* winners, std::int64_t words, const float* gradient, const float* weights,
                            Vector (&sums)[4][4]) {
  const Floats d;
  for (std::int64_t word = 0; word < words; ++word) {
    for (std::uint64_t left = winners[word]; left != 0; left &= left - 1) {
      const std::int64_t k = word * 64 + std::countr_zero(left);
      const Vector factor = hn::Set(d, gradient[k]);
      const float* w = weights + k * 9 * kLanes;
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
        for (int c = 0; c < 3; ++c) {
          Vector& sum = sums[kIndex / 2 + r][kIndex % 2 + c];
          sum = hn::MulAdd(factor, hn::Load(d, w + (r * 3 + c) * kLanes), sum);
        }
      }
    }
  }
}

/// The halo: the two pixels of a patch's row that the next window shares, with the sums so far.
struct SharedPixels {
  Vector left, right;
};

/// Adds the band's gradients to dx, a whole window at a time. For C that fills vectors, where registers hold 24 sums.
void add_window_gradients(const BackwardBand& b) {
  const Floats d;
  const std::int64_t C = b.C, columns = b.columns, channels = b.channels, words = cpu::mask_words(b.K);
  const std::int64_t row = cpu::padded_row(columns, C);
  const auto load = [=](const float* at) HWY_ATTR { return SharedPixels{hn::LoadU(d, at), hn::LoadU(d, at + C)}; };
  const auto store = [=](const SharedPixels& pixels, float* at) HWY_ATTR {
    hn::StoreU(pixels.left, d, at);
    hn::StoreU(pixels.right, d, at + C);
  };
  const auto add = [](const SharedPixels& pixels, Vector left, Vector right) HWY_ATTR {
    return SharedPixels{hn::Add(pixels.left, left), hn::Add(pixels.right, right)};
  };
  const SharedPixels none{hn::Zero(d), hn::Zero(d)};
  for (std::int64_t channel = 0; channel < C; channel += kLanes) {
    const float* weights = b.weight + channel * 9 * b.K;
    const std::uint64_t* winners = b.winners;
    const float* gradient = b.gradient;
    for (std::int64_t i = 0; i < b.rows; ++i) {
      // The windows above have added to rows 0 and 1 of the patch already; rows 2 and 3 are new.
      float *at0 = b.dx + 2 * i * row + channel, *at1 = at0 + row, *at2 = at1 + row, *at3 = at2 + row;
      // Scalars, not an array: GCC spills loop-carried arrays.
      SharedPixels row0 = load(at0), row1 = load(at1), row2 = none, row3 = none;
      for (std::int64_t j = 0; j < columns; ++j, winners += 4 * words, gradient += channels) {
        Vector sums[4][4];
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
#pragma GCC unroll 4
          for (int c = 0; c < 4; ++c) sums[r][c] = hn::Zero(d);
        }
        add_winners<0>(winners, words, gradient, weights, sums);
        add_winners<1>(winners + words, words, gradient, weights, sums);
        add_winners<2>(winners + 2 * words, words, gradient, weights, sums);
        add_winners<3>(winners + 3 * words, words, gradient, weights, sums);
        store(add(row0, sums[0][0], sums[0][1]), at0);
        store(add(row1, sums[1][0], sums[1][1]), at1);
        store(add(row2, sums[2][0], sums[2][1]), at2);
        store(add(row3, sums[3][0], sums[3][1]), at3);
        at0 += 2 * C;
        at1 += 2 * C;
        at2 += 2 * C;
        at3 += 2 * C;
        row0 = add(load(at0), sums[0][2], sums[0][3]);
        row1 = add(load(at1), sums[1][2], sums[1][3]);
        row2 = {sums[2][2], sums[2][3]};
        row3 = {sums[3][2], sums[3][3]};
      }
      store(row0, at0);
      store(row1, at1);
      store(row2, at2);
      store(row3, at3);
    }
  }
}

/// Sets the part of dx to 0 to which no earlier band has added, from the third row to the end of the last window's spans.
void clear_data_gradients(const BackwardBand& b) {
  const std::int64_t row = cpu::padded_row(b.columns, b.C);
  std::fill_n(b.dx + 2 * row, 2 * b.rows * row + cpu::kVector, 0.0F);
}

/// Adds the band's gradients to V vectors of the spans of dx from s on. Lanes behind 3 C get 0.
template <int V>
HWY_INLINE void add_data_gradients(const BackwardBand& b, std::int64_t s) {
  const Floats d;
  const std::int64_t row = cpu::padded_row(b.columns, b.C), words = cpu::mask_words(b.K);
  const std::int64_t in_span = 3 * b.C - s;
  const float* weight = b.weight + 3 * s * b.K;
  for (std::int64_t pixel = 0; pixel < b.rows * b.columns; ++pixel) {
    float* window = b.dx + pixel / b.columns * 2 * row + pixel % b.columns * 2 * b.C + s;
    for (std::int64_t p = 0; p < 4; ++p) {
      Vector sums[3][V];
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) sums[r][v] = hn::Zero(d);
      }
      for (std::int64_t word = 0; word < words; ++word) {
        const float* gradient = b.gradient + pixel * b.channels + word * 64;
        const float* weights = weight + word * 64 * 3 * V * kLanes;
        for (std::uint64_t left = b.winners[(pixel * 4 + p) * words + word]; left != 0; left &= left - 1) {
          const int k = std::countr_zero(left);
          const Vector factor = hn::Set(d, gradient[k]);
          const float* w = weights + k * 3 * V * kLanes;
#pragma GCC unroll 3
          for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
            for (int v = 0; v < V; ++v) sums[r][v] = hn::MulAdd(factor, hn::Load(d, w + (r * V + v) * kLanes), sums[r][v]);
          }
        }
      }
      float* to = window + p / 2 * row + p % 2 * b.C;
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) {
          if (in_span < (v + 1) * kLanes) {
            const auto count = static_cast<std::size_t>(std::max<std::int64_t>(0, in_span - v * kLanes));
            sums[r][v] = hn::IfThenElseZero(hn::FirstN(d, count), sums[r][v]);
          }
          float* at = to + r * row + v * kLanes;
          hn::StoreU(hn::Add(hn::LoadU(d, at), sums[r][v]), d, at);
        }
      }
    }
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
