#pragma once

#include <algorithm>

#include <gpucnn/kernels/fused/pooled_gradients.h>
#include <gpucnn/kernels/fused/winner.h>

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
  static constexpr int kGradients = kOutputs * 9 * kInputs, kFloats = std::max(kHaloPixels * kRow, kGradients);
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
};

/// o.sums[slice] = what the slice's tiles add to a block of dweight and dbias.
template <class Block, class T>
__device__ void compute_dweight_slice(const BackwardOperands<T>& o, int block, float* memory) {
  const PooledSizes& s = o.s;
  const int k_blocks = (s.K + Block::kOutputs - 1) / Block::kOutputs, c_blocks = (s.C + Block::kInputs - 1) / Block::kInputs;
  const int k_first = block % k_blocks * Block::kOutputs, c_first = block / k_blocks % c_blocks * Block::kInputs;
  const int slice = block / k_blocks / c_blocks;
  const WindowTiles tiles = WindowTiles::of(s.Ho, s.Wo);
  const int first = slice * o.plan.tiles_per_slice, last = std::min(first + o.plan.tiles_per_slice, tiles.count(s.N));
  float sums[9][4] = {}, bias = 0;
  for (int i = first; i < last; ++i) {
    const WindowTile tile = tiles[i];
    __syncthreads();  // before what others still read is written over
    Block::load_pixels(o, tile, c_first, memory);
    __syncthreads();
    Block::add_windows(o, tile, k_first + Block::output(), memory, sums, bias);
  }

  Block::add_teams(sums, memory);
  float* const to = o.sums + std::int64_t{slice} * o.plan.count.all;
  for (int e = static_cast<int>(threadIdx.x); e < Block::kGradients; e += kTileThreads) {
    const int c = c_first + e % Block::kInputs, tap = e / Block::kInputs % 9, k = k_first + e / (9 * Block::kInputs);
    if (c < s.C && k < s.K) to[(std::int64_t{k} * 9 + tap) * s.C + c] = memory[e];
  }
  if (c_first > 0 || o.plan.count.all == o.plan.count.weights) return;
  __syncthreads();
  if (Block::quad() == 0) memory[Block::team() * Block::kOutputs + Block::output()] = bias;
  __syncthreads();
  const int output = static_cast<int>(threadIdx.x);
  if (output >= Block::kOutputs || k_first + output >= s.K) return;
  float sum = 0;
  for (int team = 0; team < Block::kTeams; ++team) sum += memory[team * Block::kOutputs + output];
  to[o.plan.count.weights + k_first + output] = sum;
}

}  // namespace gpucnn::kernels::cuda
