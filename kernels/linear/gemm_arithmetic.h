#pragma once

#include <cstdint>
#include <type_traits>

#include <gpucnn/core/gpu/warp/ldmatrix.h>
#include <gpucnn/core/gpu/warp/mma.h>
#include <gpucnn/core/gpu/warp/packed_bf16.h>
#include <gpucnn/core/precision.h>
#include <gpucnn/kernels/cuda/vector_access.h>

/// How a block of gemm_tile.h multiplies what lies in shared memory, and how it lies there. In .cu files only.
namespace gpucnn::kernels::cuda::gemm {

inline constexpr int kTile = 64;  // rows and columns of c that a block computes
inline constexpr int kBlockThreads = 128;
inline constexpr int kLineChunks = 8;                    // 16-byte chunks of a k-tile's depth, and what a row of 128 bytes holds
inline constexpr int kTileChunks = kTile * kLineChunks;  // of a k-tile of a or b
inline constexpr int kLoads = kTileChunks / kBlockThreads;
inline constexpr int kSharedChunks = 2 * 2 * kTileChunks;

/// 16 bytes of shared memory.
using Chunk = Lanes<std::uint32_t, 4>;

/// A chunk's elements in registers, on their way to shared memory, where they are rounded. Pairs of bf16 stay packed, two in a
/// register: to unpack them at once would stall on the load.
template <class T, int kInChunk>
struct Staged {
  Lanes<float, kInChunk> lanes;

  __device__ void read(const float* from) {
    for (int e = 0; e < kInChunk; e += 4) {
      const auto four = load<4>(from + e);
      for (int i = 0; i < 4; ++i) lanes.at[e + i] = four.at[i];
    }
  }
  __device__ void set(int e, float value) { lanes.at[e] = value; }
};
template <>
struct Staged<bf16, 8> {
  Chunk words;

  __device__ void read(const bf16* from) {
    const uint4 four = *reinterpret_cast<const uint4*>(from);
    words = {{four.x, four.y, four.z, four.w}};
  }
  __device__ void set(int e, bf16 value) { words.at[e / 2] |= std::uint32_t{value.bits} << 16 * (e % 2); }  // was 0
};

/// True fp32: each thread has 8 x 4 sums. A k-tile lies in shared memory by steps of K, each of which has the factor's 64 rows.
struct Ffma {
  static constexpr int kInChunk = 4, kDepth = kLineChunks * kInChunk;
  static constexpr int kRows = 8, kColumns = 4;
  static constexpr int kWidth = kColumns;  // neighbours among the sums
  static constexpr int kAtOnce = 8;        // steps whose loads may overlap; all of them take too many registers, and much code
  static constexpr bool kTensorCores = false;
  using Sums = float[kRows][kColumns];

  // A warp has 4 x 8 threads of the block's 8 x 16.
  __device__ static int row_lane() { return static_cast<int>(threadIdx.x) / 64 * 4 + static_cast<int>(threadIdx.x) % 32 / 8; }
  __device__ static int column_lane() { return static_cast<int>(threadIdx.x) / 32 % 2 * 8 + static_cast<int>(threadIdx.x) % 8; }

  /// Where a row lies. Fours of rows change places with every four steps of K. So eight threads that write eight fours of a row use
  /// different banks, and so do those that read.
  __device__ static int at(int k, int row) { return k * kTile + (row ^ k / 4 % 8 * 4); }

  template <bool, bool>
  __device__ static void multiply(const Chunk* a_chunks, const Chunk* b_chunks, Sums& sums) {
    const float *const a = reinterpret_cast<const float*>(a_chunks), *const b = reinterpret_cast<const float*>(b_chunks);
    const int row = 4 * row_lane(), column = 4 * column_lane();
    GPUCNN_NO_UNROLL
    for (int k_first = 0; k_first < kDepth; k_first += kAtOnce) {
      GPUCNN_UNROLL
      for (int k = k_first; k < k_first + kAtOnce; ++k) {
        const auto low = load<4>(a + at(k, row)), high = load<4>(a + at(k, row + kTile / 2)), four = load<4>(b + at(k, column));
        for (int m = 0; m < kRows; ++m) {
          const float factor = m < 4 ? low.at[m % 4] : high.at[m % 4];
          for (int n = 0; n < kColumns; ++n) sums[m][n] = fmaf(factor, four.at[n], sums[m][n]);
        }
      }
    }
  }

  /// Calls `body(row, column, values)` for each four of the thread's sums, which lie side by side in a row of the tile.
  template <class Body>
  __device__ static void for_sums(const Sums& sums, const Body& body) {
    GPUCNN_UNROLL
    for (int m = 0; m < kRows; ++m) {
      const Lanes<float, kColumns> values{{sums[m][0], sums[m][1], sums[m][2], sums[m][3]}};
      body(4 * row_lane() + m / 4 * (kTile / 2) + m % 4, 4 * column_lane(), values);
    }
  }
};

/// Products in `T`: bf16, or float for tf32. Each of the four warps has 32 x 32 sums. A k-tile lies in shared memory in lines of
/// eight chunks: lines of rows, or if it is `transposed` of steps of K. In tf32, for which there is no ldmatrix_transposed, they
/// are always rows.
template <class T>
struct TensorCores {
  static constexpr bool kIsBf16 = std::is_same_v<T, bf16>;
  static constexpr int kInChunk = kIsBf16 ? 8 : 4, kDepth = kLineChunks * kInChunk;
  static constexpr bool kTensorCores = true;
  static constexpr int kSteps = kLineChunks / 2;  // an mma is two chunks deep
  static constexpr int kWidth = 2, kAtOnce = 2;   // as in Ffma
  using Sums = float[2][4][4];                    // by 16 rows and by 8 columns; the last as mma.h says

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int first_row() { return static_cast<int>(threadIdx.x) / 64 * 32; }
  __device__ static int first_column() { return static_cast<int>(threadIdx.x) / 32 % 2 * 32; }

  /// Where a line's chunk lies: such that the same chunk of eight lines, which ldmatrix reads at once, lies in all banks.
  __device__ static int at(int line, int chunk) { return line * kLineChunks + (chunk ^ line % kLineChunks); }

  __device__ static Chunk rounded(const Staged<float, kInChunk>& staged) {
    const float(&elements)[kInChunk] = staged.lanes.at;
    Chunk chunk;
    for (int w = 0; w < 4; ++w) {
      if constexpr (kIsBf16) {
        chunk.at[w] = warp::pack_bf16(elements[2 * w], elements[2 * w + 1]);
      } else {
        chunk.at[w] = warp::to_tf32(elements[w]);
      }
    }
    return chunk;
  }
  __device__ static Chunk rounded(const Staged<bf16, 8>& staged) { return staged.words; }

  /// Of 16 rows from `row` on and one step of two chunks: four matrices, 8 rows by one chunk each. The rows come first in the order
  /// of a's fragments, the chunks first in that of b's.
  template <bool kTransposed, bool kRowsFirst>
  __device__ static void fragments(const Chunk* chunks, int row, int step, std::uint32_t (&words)[4]) {
    const int low = lane() / 8 % 2, high = lane() / 16, in_eight = lane() % 8;
    const int row_half = kRowsFirst ? low : high, depth_half = kRowsFirst ? high : low;
    if constexpr (kTransposed && kIsBf16) {
      warp::ldmatrix_transposed(words, &chunks[at(16 * step + 8 * depth_half + in_eight, row / 8 + row_half)]);
    } else {
      warp::ldmatrix(words, &chunks[at(row + 8 * row_half + in_eight, 2 * step + depth_half)]);
    }
  }

  template <bool kATransposed, bool kBTransposed>
  __device__ static void multiply(const Chunk* a_chunks, const Chunk* b_chunks, Sums& sums) {
    GPUCNN_NO_UNROLL
    for (int first = 0; first < kSteps; first += kAtOnce) {
      GPUCNN_UNROLL
      for (int step = first; step < first + kAtOnce; ++step) {
        std::uint32_t a[2][4], b[2][4];
        for (int m = 0; m < 2; ++m) fragments<kATransposed, true>(a_chunks, first_row() + 16 * m, step, a[m]);
        for (int n = 0; n < 2; ++n) fragments<kBTransposed, false>(b_chunks, first_column() + 16 * n, step, b[n]);
        for (int m = 0; m < 2; ++m) {
          for (int n = 0; n < 4; ++n) {
            const std::uint32_t both[] = {b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]};
            if constexpr (kIsBf16) {
              warp::mma_bf16(sums[m][n], a[m], both);
            } else {
              warp::mma_tf32(sums[m][n], a[m], both);
            }
          }
        }
      }
    }
  }

  template <class Body>
  __device__ static void for_sums(const Sums& sums, const Body& body) {
    GPUCNN_UNROLL
    for (int m = 0; m < 2; ++m) {
      GPUCNN_UNROLL
      for (int n = 0; n < 4; ++n) {
        for (int half = 0; half < 2; ++half) {
          body(first_row() + 16 * m + 8 * half + lane() / 4, first_column() + 8 * n + lane() % 4 * 2,
               Lanes<float, 2>{{sums[m][n][2 * half], sums[m][n][2 * half + 1]}});
        }
      }
    }
  }
};

/// Calls `body(arithmetic, element)` for the precision: `[&]<class Arithmetic, class T>(Arithmetic, T) { … }`.
template <class Body>
void for_precision(Precision precision, const Body& body) {
  switch (precision) {
    case Precision::fp32: return body(Ffma{}, 0.0F);
    case Precision::tf32: return body(TensorCores<float>{}, 0.0F);
    case Precision::bf16: return body(TensorCores<bf16>{}, bf16{});
  }
}

}  // namespace gpucnn::kernels::cuda::gemm
