#pragma once

#include <algorithm>

#include <gpucnn/kernels/fused/unpooled_dy.h>

/// The gradient of the weight as dense products on tensor cores, from compute capability 8.0 on. In .cu files only.
///
/// dweight[k][tap][c] is the sum over pixels of dy[pixel][k] * x[pixel + tap][c]. Outputs are the rows of an mma, and it adds up
/// pixels whose columns in a tile are all even or all odd. Each sum stays in registers for all tiles of a slice; while a tile is
/// multiplied, the next one is on its way from memory.
namespace gpucnn::kernels::cuda {

/// What such a block does: o.sums[slice] = what the slice's tiles add to a block of dweight and dbias.
template <class Dweight, class T>
__device__ void compute_on_tensor_cores(const BackwardOperands<T>& o, int block, void* shared) {
  using Dy = typename Dweight::Dy;
  Chunk* const memory = static_cast<Chunk*>(shared);
  float* const floats = static_cast<float*>(shared);
  const auto slice = DweightSlice<Dweight::kOutputs, Dweight::kInputs>::of(o, block);
  const WindowTiles tiles = WindowTiles::of(o.s.Ho, o.s.Wo);
  typename Dweight::Sums sums = {};
  float bias = 0;
  auto x = Dweight::fetch_x(o, tiles[slice.first], slice.c_first);
  auto dy = Dy::fetch(o, tiles[slice.first], slice.k_first);
  GPUCNN_NO_UNROLL
  for (int i = slice.first; i < slice.last; ++i) {
    __syncthreads();  // before what others still read is written over
    Dweight::put_x(o, tiles[i], slice.c_first, x, memory);
    bias += Dy::put(o, tiles[i], slice.k_first, dy, memory + Dweight::kXChunks);
    __syncthreads();
    if (i + 1 < slice.last) {
      x = Dweight::fetch_x(o, tiles[i + 1], slice.c_first);
      dy = Dy::fetch(o, tiles[i + 1], slice.k_first);
    }
    Dweight::add_products(memory, memory + Dweight::kXChunks, sums);
  }
  GPUCNN_NO_UNROLL
  for (int team = 0; team < Dweight::kTeams; ++team) {  // in this order
    __syncthreads();
    if (Dweight::team() == team) Dweight::add_team(sums, team == 0, floats);
  }
  __syncthreads();
  const auto done = DweightSlice<Dweight::kOutputs, Dweight::kInputs>::of(o, computed_anew(block));
  done.write_weights(o, floats);
  if (!done.wants_bias(o)) return;
  __syncthreads();
  Dy::store_bias(bias, floats);
  __syncthreads();
  done.template write_bias<Dy::kBiasParts>(o, floats);
}

/// How a block of kTileThreads computes the gradient of 32 outputs and two chunks of inputs: 16 in bf16, 8 in tf32. A warp has 16
/// outputs, 8 inputs and nine taps. Teams of warps have rows of pixels each, and march over them: what a warp has read of a row of
/// x serves three rows of dy. Each sum gets eight mma a tile.
template <class T>
struct TensorDweight {
  using Dy = UnpooledDy<T, 32>;
  static constexpr int kOutputs = Dy::kOutputs, kInChunk = Dy::kInChunk, kInputs = 2 * kInChunk;
  static constexpr int kSteps = kTilePixels / kInputs;  // mma that sum over a row: as many pixels each as inputs
  static constexpr int kColumns = kInputs / 8;          // warps beside each other
  static constexpr int kTeams = kTileThreads / 32 / 2 / kColumns, kRows = kTilePixels / kTeams;
  static constexpr int kXChunks = kHaloPixels * kHaloPixels * 2, kBytes = (kXChunks + Dy::kChunks) * 16;
  static constexpr int kXRows = kTileThreads / (2 * kHaloPixels);  // that the threads bring at once, a chunk each
  static constexpr int kXItems = (kHaloPixels + kXRows - 1) / kXRows;
  static_assert(kOutputs * 9 * kInputs * 4 <= kBytes);

  using Sums = float[9][4];  // of each tap, as mma.h says
  struct FetchedX {
    Chunk at[kXItems];
  };
  /// The second operands of a row: 8 inputs at columns i, i + 2, … of the halo.
  struct XRow {
    std::uint32_t column[4][kSteps];
  };

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int output() { return warp() % 2 * 16; }
  __device__ static int input() { return warp() / 2 % kColumns * 8; }
  __device__ static int team() { return warp() / 2 / kColumns; }

  // As of dy, but that in tf32 four slots fill all banks as they are.
  __device__ static int x_at(int row, int slot, int chunk) {
    return (row * kHaloPixels + slot) * 2 + (kInChunk == 8 ? chunk ^ slot / 4 % 2 : chunk);
  }
  __device__ static int x_slot(int column) { return column % 2 * (kHaloPixels / 2) + column / 2; }

  // As for dy, something is loaded outside of the image.
  __device__ static FetchedX fetch_x(const BackwardOperands<T>& o, const WindowTile& tile, int c_first) {
    const int thread = thread_anew(), row = thread / (2 * kHaloPixels);
    const int w = std::clamp(2 * tile.left - 1 + thread / 2 % kHaloPixels, 0, o.s.W - 1);
    const int chunk = c_first + thread % 2 * kInChunk, c = chunk < o.s.C ? chunk : c_first;
    FetchedX x;
    const auto for_rows = [&](const auto& load_chunk) {
      GPUCNN_UNROLL
      for (int i = 0; i < kXItems; ++i) {
        const int h = std::clamp(2 * tile.top - 1 + row + i * kXRows, 0, o.s.H - 1);
        load_chunk(o.x + ((std::int64_t{tile.n} * o.s.H + h) * o.s.W + w) * o.s.C + c, x.at[i]);
      }
    };
    if (o.plan.wide_x) {
      for_rows([](const T* from, Chunk& to) { to = unrounded_chunk(from); });
    } else {
      for_rows([&](const T* from, Chunk& to) {
        for (int word = 0; word < 4; ++word) {
          to.at[word] = 0;
          for (int e = 0; e < kInChunk / 4; ++e) {
            to.at[word] |= bits_of(from[std::min(word * (kInChunk / 4) + e, o.s.C - 1 - c)]) << e * 16;
          }
        }
      });
    }
    return x;
  }
  __device__ static void put_x(const BackwardOperands<T>& o, const WindowTile& tile, int c_first, const FetchedX& x,
                               Chunk* memory) {
    const int thread = thread_anew(), row = thread / (2 * kHaloPixels), column = thread / 2 % kHaloPixels;
    const int w = 2 * tile.left - 1 + column, channels = o.s.C - c_first - thread % 2 * kInChunk;
    GPUCNN_UNROLL
    for (int i = 0; i < kXItems; ++i) {
      const int r = row + i * kXRows, h = 2 * tile.top - 1 + r;
      if (row >= kXRows || r >= kHaloPixels) continue;
      const int count = h >= 0 && h < o.s.H && w >= 0 && w < o.s.W ? channels : 0;
      Chunk chunk = rounded_chunk<T>(x.at[i]);
      for (int word = 0; word < 4; ++word) {
        const int first = word * (kInChunk / 4);
        if (first >= count) chunk.at[word] = 0;
        if (kInChunk == 8 && first + 1 >= count) chunk.at[word] &= 0xFFFFU;
      }
      memory[x_at(r, x_slot(column), thread % 2)] = chunk;
    }
  }

  __device__ static XRow load_x(const Chunk* memory, int row) {
    XRow x;
    if constexpr (kInChunk == 8) {
      std::uint32_t columns[4];
      warp::ldmatrix_transposed(columns, &memory[x_at(row, x_slot(lane() / 8) + lane() % 8, input() / 8)]);
      for (int i = 0; i < 4; ++i) x.column[i][0] = columns[i];
    } else {
      const int c = lane() / 4;
      for (int i = 0; i < 4; ++i) {
        for (int half = 0; half < 2; ++half) {
          x.column[i][half] = memory[x_at(row, x_slot(i) + half * 4 + lane() % 4, c / 4)].at[c % 4];
        }
      }
    }
    return x;
  }

  /// Adds the products of a row of dy, in tf32 of its even or odd columns, with x at the tap `across`.
  __device__ static void multiply(float (&sums)[4], const typename Dy::Rows& dy, const XRow& x, int step, int across) {
    if constexpr (kInChunk == 8) {
      Operand<T>::multiply(sums, dy.step[step], {x.column[across][0], x.column[across + 1][0]});
    } else {
      Operand<T>::multiply(sums, dy.step[step], {x.column[step + across][0], x.column[step + across][1]});
    }
  }

  /// Adds the products of the tile in shared memory.
  __device__ static void add_products(const Chunk* memory, const Chunk* unpooled, Sums& sums) {
    const int first = team() * kRows;
    typename Dy::Rows dy[3];
    GPUCNN_UNROLL
    for (int r = 0; r < kRows + 2; ++r) {
      if (r < kRows) dy[r % 3] = Dy::load_rows(unpooled, output(), first + r, 0, first + r, kTileWindows);
      const XRow x = load_x(memory, first + r);
      for (int column = 0; column < 4; ++column) {  // of which each is read once, and not kept
        for (int step = 0; step < kSteps; ++step) {
          const int across = column - step;
          if (across < 0 || across > 2) continue;
          for (int down = 0; down < 3; ++down) {
            if (r >= down && r - down < kRows) multiply(sums[3 * down + across], dy[(r - down) % 3], x, step, across);
          }
        }
      }
    }
  }

  /// gradients[kOutputs][9][kInputs] += the sums of a team; the first one's are written.
  __device__ static void add_team(const Sums& sums, bool first, float* gradients) {
    for (int tap = 0; tap < 9; ++tap) {
      for (int half = 0; half < 2; ++half) {
        float* const mine = gradients + ((output() + Dy::output_of(half)) * 9 + tap) * kInputs + input() + 2 * (lane() % 4);
        Lanes<float, 2> sum{{sums[tap][2 * half], sums[tap][2 * half + 1]}};
        if (!first) {
          const auto before = load<2>(mine);
          for (int e = 0; e < 2; ++e) sum.at[e] = before.at[e] + sum.at[e];
        }
        store(sum, mine);
      }
    }
  }

  __device__ static void compute(const BackwardOperands<T>& o, int block, void* shared) {
    compute_on_tensor_cores<TensorDweight>(o, block, shared);
  }
};

/// How a block of kTileThreads computes the gradient of 16 outputs and up to 4 channels of an image. The columns of an mma are two
/// neighbouring pixels of x with four channels each, of which the first has an even column of the halo: as `ldmatrix` can read
/// them. So the pairs of columns of a window's patch have sums each, and a warp has the windows' left pixels or the right ones. In
/// a tile it has two rows of windows. Each sum gets two mma a tile, in tf32 four.
template <class T>
struct FewChannelsDweight {
  using Dy = UnpooledDy<T, 16>;
  static constexpr int kOutputs = Dy::kOutputs, kInChunk = Dy::kInChunk, kInputs = 4;
  static constexpr int kSteps = 8 / kInChunk;
  static constexpr int kTeams = kTileThreads / 32;  // a warp each
  static constexpr int kRowChunks = kHaloPixels * kInputs / kInChunk;
  static constexpr int kXChunks = kHaloPixels * kRowChunks, kBytes = (kXChunks + Dy::kChunks) * 16;
  static constexpr int kXRows = kTileThreads / kHaloPixels;  // that the threads bring at once, a pixel each
  static constexpr int kXItems = (kHaloPixels + kXRows - 1) / kXRows;
  static_assert(kOutputs * 9 * kInputs * 4 <= kBytes && 2 * kTileWindows / 4 * 2 == kTeams);

  using Sums = float[3][2][4];  // [row of taps][pair of columns], as mma.h says
  struct FetchedX {
    std::uint32_t at[kXItems][kInputs];  // an element each
  };

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int team() { return static_cast<int>(threadIdx.x) / 32; }
  /// Whether the warp has left or right pixels, 0 or 1; the first row of pixels of its windows.
  __device__ static int side() { return team() % 2; }
  __device__ static int row() { return team() / 2 * 4; }

  __device__ static FetchedX fetch_x(const BackwardOperands<T>& o, const WindowTile& tile, int) {
    const int thread = thread_anew(), first = thread / kHaloPixels;
    const int w = std::clamp(2 * tile.left - 1 + thread % kHaloPixels, 0, o.s.W - 1);
    FetchedX x;
    GPUCNN_UNROLL
    for (int i = 0; i < kXItems; ++i) {
      const int h = std::clamp(2 * tile.top - 1 + first + i * kXRows, 0, o.s.H - 1);
      const T* const from = o.x + ((std::int64_t{tile.n} * o.s.H + h) * o.s.W + w) * o.s.C;
      for (int c = 0; c < kInputs; ++c) x.at[i][c] = bits_of(from[std::min(c, o.s.C - 1)]);
    }
    return x;
  }
  __device__ static void put_x(const BackwardOperands<T>& o, const WindowTile& tile, int, const FetchedX& x, Chunk* memory) {
    const int thread = thread_anew(), first = thread / kHaloPixels, column = thread % kHaloPixels;
    const int w = 2 * tile.left - 1 + column;
    GPUCNN_UNROLL
    for (int i = 0; i < kXItems; ++i) {
      const int r = first + i * kXRows, h = 2 * tile.top - 1 + r;
      if (first >= kXRows || r >= kHaloPixels) continue;
      const int count = h >= 0 && h < o.s.H && w >= 0 && w < o.s.W ? o.s.C : 0;
      std::uint32_t channels[kInputs];
      for (int c = 0; c < kInputs; ++c) channels[c] = c < count ? x.at[i][c] : 0;
      Chunk* const to = memory + r * kRowChunks + column * kInputs / kInChunk;
      if constexpr (kInChunk == 4) {
        *to = rounded_chunk<T>(Chunk{{channels[0], channels[1], channels[2], channels[3]}});
      } else {
        store(Lanes<std::uint32_t, 2>{{channels[0] | channels[1] << 16, channels[2] | channels[3] << 16}}, to->at + column % 2 * 2);
      }
    }
  }

  /// Adds the products of the tile in shared memory.
  __device__ static void add_products(const Chunk* memory, const Chunk* unpooled, Sums& sums) {
    typename Dy::Rows dy[2];  // of the upper and the lower pixels of both rows of windows
    for (int p = 0; p < 2; ++p) {
      dy[p] = Dy::load_rows(unpooled, 0, row() + p, side() * kTileWindows, row() + 2 + p, side() * kTileWindows);
    }
    GPUCNN_UNROLL
    for (int r = 0; r < 4; ++r) {  // the rows of a window's patch
      std::uint32_t x[2][kSteps][2];
      load_x(memory, row() + r, x);
      for (int p = 0; p < 2; ++p) {
        if (r < p || r - p > 2) continue;
        for (int pair = 0; pair < 2; ++pair) {
          for (int step = 0; step < kSteps; ++step) Operand<T>::multiply(sums[r - p][pair], dy[p].step[step], x[pair][step]);
        }
      }
    }
  }

  /// The second operands of the upper windows' row of the halo, and of the lower windows' one two further.
  __device__ static void load_x(const Chunk* memory, int halo_row, std::uint32_t (&x)[2][kSteps][2]) {
    if constexpr (kInChunk == 8) {
      std::uint32_t words[4];
      const int from = halo_row + lane() / 8 % 2 * 2;
      warp::ldmatrix_transposed(words, &memory[from * kRowChunks + lane() % 8 + lane() / 16]);
      for (int i = 0; i < 4; ++i) x[i / 2][0][i % 2] = words[i];
    } else {
      const int within = lane() / 4;  // the pair's pixels
      for (int pair = 0; pair < 2; ++pair) {
        for (int step = 0; step < kSteps; ++step) {
          for (int half = 0; half < 2; ++half) {
            const int column = 2 * (half * 4 + lane() % 4 + pair) + within / 4;
            x[pair][step][half] = memory[(halo_row + 2 * step) * kRowChunks + column].at[within % 4];
          }
        }
      }
    }
  }

  /// gradients[kOutputs][9][kInputs] += the sums of a team; the first one's are written. It has left pixels, and so all taps.
  __device__ static void add_team(const Sums& sums, bool first, float* gradients) {
    for (int down = 0; down < 3; ++down) {
      for (int pair = 0; pair < 2; ++pair) {
        const int across = 2 * pair + lane() % 4 / 2 - side();
        if (across < 0 || across > 2) continue;
        for (int half = 0; half < 2; ++half) {
          float* const mine = gradients + (Dy::output_of(half) * 9 + 3 * down + across) * kInputs + lane() % 2 * 2;
          for (int e = 0; e < 2; ++e) mine[e] = first ? sums[down][pair][2 * half + e] : mine[e] + sums[down][pair][2 * half + e];
        }
      }
    }
  }

  __device__ static void compute(const BackwardOperands<T>& o, int block, void* shared) {
    compute_on_tensor_cores<FewChannelsDweight>(o, block, shared);
  }
};

}  // namespace gpucnn::kernels::cuda
