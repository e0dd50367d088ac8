#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include <gpucnn/core/gpu/warp/ldmatrix.h>
#include <gpucnn/core/gpu/warp/mma.h>
#include <gpucnn/core/gpu/warp/packed_bf16.h>
#include <gpucnn/core/precision.h>
#include <gpucnn/kernels/cuda/vector_access.h>

/// How a block computes a tile of a product c = a b^T, where a has a row for each row of c and b one for each column of c; both are
/// K long. K-tiles of both go through shared memory, in two buffers; while one is multiplied, the next is on its way to registers.
/// In .cu files only.
namespace gpucnn::kernels::cuda::gemm {

inline constexpr int kTile = 64;  // rows and columns of c that a block computes
inline constexpr int kBlockThreads = 128;
inline constexpr int kLineChunks = 8;                    // 16-byte chunks of a k-tile's depth, and what a row of 128 bytes holds
inline constexpr int kTileChunks = kTile * kLineChunks;  // of a k-tile of a or b
inline constexpr int kLoads = kTileChunks / kBlockThreads;
inline constexpr int kSharedChunks = 2 * 2 * kTileChunks;
/// A slice of K is a multiple of this: the deepest k-tile.
inline constexpr std::int64_t kMinSlice = 64;

/// 16 bytes of shared memory.
using Chunk = Lanes<std::uint32_t, 4>;

/// A dense row-major matrix in global memory. Each line holds one row of the factor, with neighbours in K side by side; or
/// `transposed` one step of K, with neighbouring rows side by side.
template <class T, bool Transposed>
struct Factor {
  static constexpr bool kTransposed = Transposed;
  const T* at;
  std::int64_t lines, columns;

  /// Whether `kWidth` elements may be loaded at once where they begin at a multiple of kWidth of a line.
  template <int kWidth>
  __device__ bool wide() const {
    return columns % kWidth == 0 && are_aligned<kWidth>(at);
  }
};

/// `kCount` elements by loads of 16 bytes. As words: the compiler splits a structure whose members are used one by one.
template <int kCount, class T>
__device__ Lanes<T, kCount> load_wide(const T* from) {
  if constexpr (std::is_same_v<T, bf16>) {
    static_assert(kCount == 8);
    return std::bit_cast<Lanes<T, kCount>>(*reinterpret_cast<const uint4*>(from));
  } else if constexpr (kCount == 8) {
    const auto low = load<4>(from), high = load<4>(from + 4);
    return {{low.at[0], low.at[1], low.at[2], low.at[3], high.at[0], high.at[1], high.at[2], high.at[3]}};
  } else {
    return load<kCount>(from);
  }
}

/// The first `count` elements, which may be none or more than kCount, and zeros behind.
template <int kCount, class T>
__device__ Lanes<T, kCount> load_some(const T* from, std::int64_t count, bool wide) {
  if (wide && count >= kCount) return load_wide<kCount>(from);
  Lanes<T, kCount> elements{};
  for (int e = 0; e < kCount; ++e) {
    if (e < count) elements.at[e] = from[e];
  }
  return elements;
}

// ---- arithmetic ------------------------------------------------------------------------------------------------------

/// True fp32: each thread has 8 x 4 sums. A k-tile lies in shared memory by steps of K, each of which has the factor's 64 rows.
struct Ffma {
  static constexpr int kInChunk = 4, kDepth = kLineChunks * kInChunk;
  static constexpr int kRows = 8, kColumns = 4;
  static constexpr bool kTensorCores = false;
  using Sums = float[kRows][kColumns];

  // A warp has 4 x 8 threads of the block's 8 x 16.
  __device__ static int row_lane() { return static_cast<int>(threadIdx.x) / 64 * 4 + static_cast<int>(threadIdx.x) % 32 / 8; }
  __device__ static int column_lane() { return static_cast<int>(threadIdx.x) / 32 % 2 * 8 + static_cast<int>(threadIdx.x) % 8; }

  /// Where a row lies. Fours of rows change places with every four steps of K: so what eight threads write, of eight fours of a
  /// row, and what others read, lies in different banks.
  __device__ static int at(int k, int row) { return k * kTile + (row ^ k / 4 % 8 * 4); }

  template <bool, bool>
  __device__ static void multiply(const Chunk* a_chunks, const Chunk* b_chunks, Sums& sums) {
    const float *const a = reinterpret_cast<const float*>(a_chunks), *const b = reinterpret_cast<const float*>(b_chunks);
    const int row = 4 * row_lane(), column = 4 * column_lane();
    GPUCNN_UNROLL
    for (int k = 0; k < kDepth; ++k) {
      const auto low = load<4>(a + at(k, row)), high = load<4>(a + at(k, row + kTile / 2)), four = load<4>(b + at(k, column));
      for (int m = 0; m < kRows; ++m) {
        const float factor = m < 4 ? low.at[m % 4] : high.at[m % 4];
        for (int n = 0; n < kColumns; ++n) sums[m][n] = fmaf(factor, four.at[n], sums[m][n]);
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
  using Sums = float[2][4][4];                    // by 16 rows and by 8 columns; the last as mma.h says

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int first_row() { return static_cast<int>(threadIdx.x) / 64 * 32; }
  __device__ static int first_column() { return static_cast<int>(threadIdx.x) / 32 % 2 * 32; }

  /// Where a line's chunk lies: such that the same chunk of eight lines, which ldmatrix reads at once, lies in all banks.
  __device__ static int at(int line, int chunk) { return line * kLineChunks + (chunk ^ line % kLineChunks); }

  template <class Source>
  __device__ static Chunk rounded(const Lanes<Source, kInChunk>& elements) {
    Chunk chunk;
    if constexpr (std::is_same_v<Source, bf16>) {
      for (int w = 0; w < 4; ++w) chunk.at[w] = elements.at[2 * w].bits | std::uint32_t{elements.at[2 * w + 1].bits} << 16;
    } else if constexpr (kIsBf16) {
      for (int w = 0; w < 4; ++w) chunk.at[w] = warp::pack_bf16(elements.at[2 * w], elements.at[2 * w + 1]);
    } else {
      for (int w = 0; w < 4; ++w) chunk.at[w] = warp::to_tf32(elements.at[w]);
    }
    return chunk;
  }

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
    GPUCNN_UNROLL
    for (int step = 0; step < kSteps; ++step) {
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

// ---- from global to shared memory --------------------------------------------------------------------------------------

/// How a block's threads bring k-tiles of a factor to shared memory: each has kLoads chunks, which wait in registers in between.
template <class Arithmetic, class T, bool kTransposed>
class KTile {
 public:
  /// Loads the k-tile of the 64 rows from `row` on; outside the matrix are zeros.
  __device__ void read(const Factor<T, kTransposed>& from, std::int64_t row, std::int64_t k, bool wide) {
    const std::int64_t line_first = kTransposed ? k : row, column_first = kTransposed ? row : k;
    GPUCNN_UNROLL
    for (int i = 0; i < kLoads; ++i) {
      const std::int64_t line = line_first + line_of(i), column = column_first + column_of(i);
      const T* const at = from.at + (line * from.columns + column);
      if constexpr (kGathers) {
        for (int e = 0; e < kInChunk; ++e) {
          staged_[i].at[e] = line + e < from.lines && column < from.columns ? at[e * from.columns] : T{};
        }
      } else {
        staged_[i] = load_some<kInChunk>(at, line < from.lines ? from.columns - column : 0, wide);
      }
    }
  }

  __device__ void write(Chunk* to) const {
    GPUCNN_UNROLL
    for (int i = 0; i < kLoads; ++i) {
      if constexpr (kGathers) {
        to[Arithmetic::at(column_of(i), line_of(i) / kInChunk)] = Arithmetic::rounded(staged_[i]);
      } else if constexpr (Arithmetic::kTensorCores) {
        to[Arithmetic::at(line_of(i), column_of(i) / kInChunk)] = Arithmetic::rounded(staged_[i]);
      } else if constexpr (kTransposed) {
        store(staged_[i], reinterpret_cast<float*>(to) + Arithmetic::at(line_of(i), column_of(i)));
      } else {
        for (int e = 0; e < kInChunk; ++e) {
          reinterpret_cast<float*>(to)[Arithmetic::at(column_of(i) + e, line_of(i))] = staged_[i].at[e];
        }
      }
    }
  }

 private:
  static constexpr int kInChunk = Arithmetic::kInChunk;
  /// Chunks of rows out of lines that are steps of K: a thread's chunk is of one column and of four lines.
  static constexpr bool kGathers = kTransposed && Arithmetic::kTensorCores && kInChunk == 4;
  static constexpr int kInLine = (kTransposed ? kTile : Arithmetic::kDepth) / kInChunk;  // chunks

  /// In the k-tile, the line of the thread's i-th chunk and its first column there.
  __device__ static int line_of(int i) {
    const int item = i * kBlockThreads + static_cast<int>(threadIdx.x);
    return kGathers ? item / kTile * kInChunk : item / kInLine;
  }
  __device__ static int column_of(int i) {
    const int item = i * kBlockThreads + static_cast<int>(threadIdx.x);
    return kGathers ? item % kTile : item % kInLine * kInChunk;
  }

  Lanes<T, kInChunk> staged_[kLoads];
};

/// Adds to `sums` what the steps of K from `k` to `k_end` give to the tile at (row, column). `memory`: kSharedChunks. The range is
/// a whole number of k-tiles, or reaches to the end of the factors.
template <class Arithmetic, class A, bool kATransposed, class B, bool kBTransposed>
__device__ void add_products(const Factor<A, kATransposed>& a, const Factor<B, kBTransposed>& b, std::int64_t row,
                             std::int64_t column, std::int64_t k, std::int64_t k_end, Chunk* memory,
                             typename Arithmetic::Sums& sums) {
  const bool a_wide = a.template wide<Arithmetic::kInChunk>(), b_wide = b.template wide<Arithmetic::kInChunk>();
  KTile<Arithmetic, A, kATransposed> next_a;
  KTile<Arithmetic, B, kBTransposed> next_b;
  const auto read = [&] {
    next_a.read(a, row, k, a_wide);
    next_b.read(b, column, k, b_wide);
  };
  read();
  __syncthreads();  // before what others still read, of a tile before, is written over
  GPUCNN_NO_UNROLL
  for (int buffer = 0; k < k_end; buffer ^= 1) {
    Chunk* const a_chunks = memory + buffer * 2 * kTileChunks;
    Chunk* const b_chunks = a_chunks + kTileChunks;
    next_a.write(a_chunks);
    next_b.write(b_chunks);
    __syncthreads();  // the next writes go to the other buffer, which all have read before they come here
    k += Arithmetic::kDepth;
    if (k < k_end) read();
    Arithmetic::template multiply<kATransposed, kBTransposed>(a_chunks, b_chunks, sums);
  }
}

// ---- results -----------------------------------------------------------------------------------------------------------

/// Writes a tile of the row-major matrix c: [rows, columns].
template <class Arithmetic, class T>
__device__ void put_tile(const typename Arithmetic::Sums& sums, std::int64_t row_first, std::int64_t column_first,
                         std::int64_t rows, std::int64_t columns, T* c) {
  Arithmetic::for_sums(sums, [&]<int kWidth>(int tile_row, int tile_column, const Lanes<float, kWidth>& values) {
    const std::int64_t row = row_first + tile_row, column = column_first + tile_column;
    if (row >= rows || column >= columns) return;
    T* const to = c + (row * columns + column);
    const bool wide = columns % kWidth == 0 && are_aligned<kWidth>(c);
    if constexpr (std::is_same_v<T, bf16>) {
      static_assert(kWidth == 2);
      const std::uint32_t both = warp::pack_bf16(values.at[0], values.at[1]);
      if (wide) return store(Lanes<std::uint32_t, 1>{{both}}, reinterpret_cast<std::uint32_t*>(to));
      to[0].bits = static_cast<std::uint16_t>(both);
      if (column + 1 < columns) to[1].bits = static_cast<std::uint16_t>(both >> 16);
    } else {
      if (wide) return store(values, to);
      for (int e = 0; e < kWidth && column + e < columns; ++e) to[e] = values.at[e];
    }
  });
}

/// Consecutive parts of a whole.
struct Parts {
  std::int64_t count, length;  // of each but perhaps the last
};

inline std::int64_t ceil_div(std::int64_t whole, std::int64_t each) { return (whole + each - 1) / each; }

/// About `wanted` parts, no more, each a multiple of kMinSlice.
inline Parts parts_of(std::int64_t whole, std::int64_t wanted) {
  const std::int64_t length = ceil_div(ceil_div(whole, wanted), kMinSlice) * kMinSlice;
  return {ceil_div(whole, length), length};
}

/// Blocks that fill a large GPU: two for each of 132 multiprocessors.
inline constexpr std::int64_t kFillingBlocks = 264;
/// Steps of K that one sum takes in f32, beyond which it becomes inexact.
inline constexpr std::int64_t kMaxInSum = 1024;

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
