#pragma once

#include <bit>
#include <cstdint>

#include <gpucnn/kernels/linear/gemm_arithmetic.h>

/// How a block computes a tile of a product c = a b^T. a has a row for each row of c, b one for each column of c; both are K long.
/// K-tiles of both go through shared memory, in two buffers. While one is multiplied, the next is loaded into registers. In .cu
/// files only.
namespace gpucnn::kernels::cuda::gemm {

/// The first row or column of a tile.
__device__ inline std::int64_t tile_first(int tile) { return std::int64_t{tile} * kTile; }

/// How many of `count` rows or columns a tile has.
__device__ inline int up_to_tile(std::int64_t count) { return static_cast<int>(count < kTile ? count : kTile); }

/// A dense row-major matrix in global memory. Each line holds one row of the factor, with neighbours in K side by side.
/// `Transposed`: a line holds one step of K, with neighbouring rows side by side.
template <class T, bool Transposed>
struct Factor {
  const T* at;
  std::int64_t lines, columns;
};

/// Whether the chunks of a matrix with lines of `columns` can be loaded at once.
template <class Arithmetic, class T>
bool has_whole_chunks(const T* at, std::int64_t columns) {
  return columns % Arithmetic::kInChunk == 0 && are_aligned<Arithmetic::kInChunk>(at);
}

/// How a block's threads bring k-tiles of a factor to shared memory: each has kLoads chunks, which wait in registers in between.
/// `kWide`: the factor `has_whole_chunks`.
template <class Arithmetic, class T, bool kTransposed, bool kWide>
class KTile {
 public:
  /// Loads the k-tile of the 64 rows from `row` on; outside the matrix are zeros.
  __device__ void read(const Factor<T, kTransposed>& from, std::int64_t row, std::int64_t k) {
    const std::int64_t line = kTransposed ? k : row, first = kTransposed ? row : k, step = kLineStep * from.columns;
    const int lines = up_to_tile(from.lines - line) - line_of(0), columns = up_to_tile(from.columns - first) - column();
    const T* at = from.at + ((line + line_of(0)) * from.columns + first + column());
    GPUCNN_UNROLL
    for (int i = 0; i < kLoads; ++i) {
      staged_[i] = {};
      if constexpr (kGathers) {
        for (int e = 0; e < kInChunk; ++e) {
          if (i * kLineStep + e < lines && columns > 0) staged_[i].set(e, *at);
          at += from.columns;
        }
        at += (kLineStep - kInChunk) * from.columns;
      } else if constexpr (kWide) {
        if (i * kLineStep < lines && columns > 0) staged_[i].read(at);
        at += step;
      } else {
        for (int e = 0; e < kInChunk; ++e) {
          if (i * kLineStep < lines && e < columns) staged_[i].set(e, at[e]);
        }
        at += step;
      }
    }
  }

  __device__ void write(Chunk* to) const {
    GPUCNN_UNROLL
    for (int i = 0; i < kLoads; ++i) {
      if constexpr (kGathers) {
        to[Arithmetic::at(column(), line_of(i) / kInChunk)] = Arithmetic::rounded(staged_[i]);
      } else if constexpr (Arithmetic::kTensorCores) {
        to[Arithmetic::at(line_of(i), column() / kInChunk)] = Arithmetic::rounded(staged_[i]);
      } else if constexpr (kTransposed) {
        store(staged_[i].lanes, reinterpret_cast<float*>(to) + Arithmetic::at(line_of(i), column()));
      } else {
        for (int e = 0; e < kInChunk; ++e) {
          reinterpret_cast<float*>(to)[Arithmetic::at(column() + e, line_of(i))] = staged_[i].lanes.at[e];
        }
      }
    }
  }

 private:
  static constexpr int kInChunk = Arithmetic::kInChunk;
  /// Chunks of rows out of lines that are steps of K: a thread's chunk is of one column and of four lines.
  static constexpr bool kGathers = kTransposed && Arithmetic::kTensorCores && kInChunk == 4;
  static constexpr int kInLine = (kTransposed ? kTile : Arithmetic::kDepth) / kInChunk;  // chunks
  static constexpr int kLineStep = kGathers ? kBlockThreads / kTile * kInChunk : kBlockThreads / kInLine;

  /// In the k-tile, the first line of the thread's i-th chunk, and its first column there, which is the same for all.
  __device__ static int line_of(int i) {
    const int thread = static_cast<int>(threadIdx.x);
    return (kGathers ? thread / kTile * kInChunk : thread / kInLine) + i * kLineStep;
  }
  __device__ static int column() {
    const int thread = static_cast<int>(threadIdx.x);
    return kGathers ? thread % kTile : thread % kInLine * kInChunk;
  }

  Staged<T, kInChunk> staged_[kLoads];
};

/// Adds to `sums` what the steps of K from `k` to `k_end` give to the tile at (row, column). `memory`: kSharedChunks. The range is
/// a whole number of k-tiles, or reaches to the end of the factors. `kWide`: both have whole chunks.
template <class Arithmetic, bool kWide, class A, bool kATransposed, class B, bool kBTransposed>
__device__ void add_products(const Factor<A, kATransposed>& a, const Factor<B, kBTransposed>& b, std::int64_t row,
                             std::int64_t column, std::int64_t k, std::int64_t k_end, Chunk* memory,
                             typename Arithmetic::Sums& sums) {
  KTile<Arithmetic, A, kATransposed, kWide> next_a;
  KTile<Arithmetic, B, kBTransposed, kWide> next_b;
  const auto read = [&] {
    next_a.read(a, row, k);
    next_b.read(b, column, k);
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

/// Two neighbours to global memory as one word: the compiler splits the store of a float2 or float4 here.
__device__ inline void put_pair(float first, float second, float* to) {
  const std::uint64_t low = std::bit_cast<std::uint32_t>(first), high = std::bit_cast<std::uint32_t>(second);
  *reinterpret_cast<std::uint64_t*>(to) = low | high << 32;
}
__device__ inline void put_pair(float first, float second, bf16* to) {
  *reinterpret_cast<std::uint32_t*>(to) = warp::pack_bf16(first, second);
}

/// Writes a tile of the row-major matrix c: [rows, columns].
template <class Arithmetic, class T>
__device__ void put_tile(const typename Arithmetic::Sums& sums, std::int64_t row_first, std::int64_t column_first,
                         std::int64_t rows, std::int64_t columns, T* c) {
  constexpr int kWidth = Arithmetic::kWidth;
  const int rows_left = up_to_tile(rows - row_first), columns_left = up_to_tile(columns - column_first);
  T* const to = c + (row_first * columns + column_first);
  if (columns % 2 == 0 && are_aligned<2>(c)) {
    Arithmetic::for_sums(sums, [=](int row, int column, const Lanes<float, kWidth>& values) {
      for (int e = 0; e < kWidth; e += 2) {
        if (row < rows_left && column + e < columns_left) {
          put_pair(values.at[e], values.at[e + 1], to + (row * columns + column + e));
        }
      }
    });
  } else {
    Arithmetic::for_sums(sums, [=](int row, int column, const Lanes<float, kWidth>& values) {
      for (int e = 0; e < kWidth; ++e) {
        if (row < rows_left && column + e < columns_left) to[row * columns + column + e] = narrow<T>(values.at[e]);
      }
    });
  }
}

}  // namespace gpucnn::kernels::cuda::gemm
