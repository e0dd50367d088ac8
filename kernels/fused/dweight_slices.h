#pragma once

#include <algorithm>

#include <gpucnn/kernels/fused/pooled_gradients.h>

/// The gradient of the weight from the winners alone: a quarter of the products of a dense one. On FFMA, in f32. In .cu files only.
namespace gpucnn::kernels::cuda {

/// How a block computes the gradient of kOutputs x 4 kQuads channels of the weight. A thread has 9 taps of one output and four
/// inputs; teams of threads share the windows of a tile among them.
template <int Outputs, int Quads>
struct DweightBlock {
  static constexpr int kOutputs = Outputs, kQuads = Quads, kInputs = 4 * kQuads;
  static constexpr int kTeam = kOutputs * kQuads, kTeams = kTileThreads / kTeam;
  // The second row of a window lies in other banks than the first.
  static constexpr int kRow = kHaloPixels * kInputs + 4 * kQuads;
  static constexpr int kFloats = std::max(kHaloPixels * kRow, kOutputs * 9 * kInputs);
  static constexpr int kBytes = kFloats * 4;
  static_assert(kTileThreads % kTeam == 0 && kTeams * kOutputs <= kFloats);

  __device__ static int quad() { return static_cast<int>(threadIdx.x) % kQuads; }
  __device__ static int output() { return static_cast<int>(threadIdx.x) / kQuads % kOutputs; }
  __device__ static int team() { return static_cast<int>(threadIdx.x) / kTeam; }

  /// A tile of x and its halo, with zeros around the image: rows of pixels with kInputs channels.
  template <class T>
  __device__ static void load_pixels(const BackwardOperands<T>& o, const WindowTile& tile, int c_first, float* pixels) {
    for (int item = static_cast<int>(threadIdx.x); item < kHaloPixels * kHaloPixels * kQuads; item += kTileThreads) {
      const int pixel = item / kQuads, c = c_first + item % kQuads * 4, r = pixel / kHaloPixels, q = pixel % kHaloPixels;
      const int h = 2 * tile.top - 1 + r, w = 2 * tile.left - 1 + q;
      Lanes<float, 4> values{};
      if (h >= 0 && h < o.s.H && w >= 0 && w < o.s.W) {
        const T* const from = o.x + ((std::int64_t{tile.n} * o.s.H + h) * o.s.W + w) * o.s.C + c;
        if (o.plan.wide_x && c + 4 <= o.s.C) {
          const auto four = load<4>(from);
          for (int e = 0; e < 4; ++e) values.at[e] = widen(four.at[e]);
        } else {
          for (int e = 0; e < 4 && c + e < o.s.C; ++e) values.at[e] = widen(from[e]);
        }
      }
      store(values, pixels + r * kRow + q * kInputs + c - c_first);
    }
  }

  /// Adds what the windows of a tile add to output `k`'s gradient and to its bias's.
  template <class T>
  __device__ static void add_windows(const BackwardOperands<T>& o, const WindowTile& tile, int k, const float* pixels,
                                     float (&sums)[9][4], float& bias) {
    constexpr int kAtOnce = 2, kWindows = kTileWindows * kTileWindows;  // windows whose dy is read ahead; of a tile
    GPUCNN_NO_UNROLL
    for (int w = team(); w < kWindows; w += kAtOnce * kTeams) {
      float gradients[kAtOnce];
      int winners[kAtOnce];
      for (int q = 0; q < kAtOnce; ++q) {
        const int at = w + q * kTeams, i = tile.top + at / kTileWindows, j = tile.left + at % kTileWindows;
        winners[q] = kNoWinner;
        gradients[q] = 0;
        if (at < kWindows && i < o.s.Ho && j < o.s.Wo && k < o.s.K) {
          winners[q] = o.argmax[o.winner_at(tile.n, i, j, k)];
          gradients[q] = widen(o.dy_at(tile.n, i, j, k));
        }
      }
      for (int q = 0; q < kAtOnce; ++q) {
        if (winners[q] == kNoWinner) continue;
        const int at = w + q * kTeams;
        const int r = at / kTileWindows * 2 + winners[q] / 2, column = at % kTileWindows * 2 + winners[q] % 2;
        const float* const patch = pixels + r * kRow + column * kInputs + 4 * quad();
        for (int tap = 0; tap < 9; ++tap) {
          const auto x = load<4>(patch + tap / 3 * kRow + tap % 3 * kInputs);
          for (int e = 0; e < 4; ++e) sums[tap][e] = fmaf(gradients[q], x.at[e], sums[tap][e]);
        }
        bias += gradients[q];
      }
    }
  }

  /// memory[kOutputs][9][kInputs] = the teams' sums, added in their order.
  __device__ static void add_teams(const float (&sums)[9][4], float* memory) {
    float* const mine = memory + output() * 9 * kInputs + 4 * quad();
    for (int t = 0; t < kTeams; ++t) {
      __syncthreads();
      if (team() != t) continue;
      for (int tap = 0; tap < 9; ++tap) {
        Lanes<float, 4> sum{{sums[tap][0], sums[tap][1], sums[tap][2], sums[tap][3]}};
        if (t > 0) {
          const auto before = load<4>(mine + tap * kInputs);
          for (int e = 0; e < 4; ++e) sum.at[e] = before.at[e] + sum.at[e];
        }
        store(sum, mine + tap * kInputs);
      }
    }
    __syncthreads();
  }

  /// o.sums[slice] = what the slice's tiles add to a block of dweight and dbias.
  template <class T>
  __device__ static void compute(const BackwardOperands<T>& o, int block, void* shared) {
    float* const memory = static_cast<float*>(shared);
    const auto slice = DweightSlice<kOutputs, kInputs>::of(o, block);
    const WindowTiles tiles = WindowTiles::of(o.s.Ho, o.s.Wo);
    float sums[9][4] = {}, bias = 0;
    for (int i = slice.first; i < slice.last; ++i) {
      const WindowTile tile = tiles[i];
      __syncthreads();  // before what others still read is written over
      load_pixels(o, tile, slice.c_first, memory);
      __syncthreads();
      add_windows(o, tile, slice.k_first + output(), memory, sums, bias);
    }
    add_teams(sums, memory);
    slice.write_weights(o, memory);
    if (!slice.wants_bias(o)) return;
    __syncthreads();
    if (quad() == 0) memory[team() * kOutputs + output()] = bias;
    __syncthreads();
    slice.template write_bias<kTeams>(o, memory);
  }
};

}  // namespace gpucnn::kernels::cuda
