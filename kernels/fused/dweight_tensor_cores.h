#pragma once

#include <bit>
#include <type_traits>

#include <gpucnn/kernels/fused/pooled_gradients.h>
#include <gpucnn/kernels/fused/tensor_tile.h>

/// The gradient of the weight as dense products on tensor cores, from compute capability 8.0 on. In .cu files only.
namespace gpucnn::kernels::cuda {

/// Elements as they lie in memory; those of tf32 are not rounded yet.
template <class T>
__device__ Chunk unrounded_chunk(const Lanes<T, Operand<T>::kInChunk>& elements) {
  if constexpr (std::is_same_v<T, float>) {
    Chunk chunk;
    for (int e = 0; e < 4; ++e) chunk.at[e] = std::bit_cast<std::uint32_t>(elements.at[e]);
    return chunk;
  } else {
    return chunk_of<T>(elements);
  }
}

/// What `chunk_of` makes of the same elements.
template <class T>
__device__ Chunk rounded_chunk(Chunk chunk) {
  if constexpr (std::is_same_v<T, float>) {
    for (std::uint32_t& word : chunk.at) word = warp::to_tf32(std::bit_cast<float>(word));
  }
  return chunk;
}

/// How a block of kTileThreads computes the gradient of 32 outputs and two chunks of inputs: 16 in bf16, 8 in tf32.
///
/// dweight[k][tap][c] is the sum over pixels of dy[pixel][k] * x[pixel + tap][c]. Outputs are the rows of an mma and inputs its
/// columns; it adds up pixels of one row of a tile. A warp has 16 outputs, 8 inputs and nine taps. Teams of warps have rows of
/// pixels each, and march over them: what a warp has read of a row of x serves three rows of dy.
///
/// Each sum gets eight mma a tile, and stays in registers for all tiles of the slice. While a tile is multiplied, the next one is
/// on its way from memory.
template <class T>
struct TensorDweight {
  using Pixels = TensorBlock<32, T>;  // as many pixels of x lie in shared memory as for it, and dy behind them
  static constexpr int kOutputs = 32, kInChunk = Pixels::kInChunk, kInputs = Pixels::kDepth;
  static constexpr int kDyChunks = kOutputs / kInChunk;  // of a pixel
  static constexpr int kSteps = kTilePixels / kInputs;   // mma whose sums run over a row: as many pixels each as inputs
  static constexpr int kColumns = kInputs / 8;           // warps beside each other
  static constexpr int kTeams = kTileThreads / 32 / 2 / kColumns, kRows = kTilePixels / kTeams;
  static constexpr int kBytes = (Pixels::kPixels + kTilePixels * kTilePixels * kDyChunks) * 16;
  static constexpr int kWindows = kTileWindows * kTileWindows, kWorkers = kTileThreads / kWindows;
  static constexpr int kXRows = kTileThreads / (2 * kHaloPixels);  // that the threads bring at once
  static constexpr int kXItems = (kHaloPixels + kXRows - 1) / kXRows, kDyItems = kDyChunks / kWorkers;
  static_assert(kOutputs * 9 * kInputs * 4 <= kBytes && kDyItems * kWorkers == kDyChunks);

  /// What a thread brings of a tile, as loads gave it: a thread that looked at it would have to wait for memory. dy: chunks, or
  /// where channels do not lie side by side an element each. Winners: a byte each.
  struct Fetched {
    Chunk x[kXItems];
    std::uint32_t dy[kDyItems][kInChunk], winners[kDyItems][kInChunk / 4];
  };
  /// The operands of the mma of a row, as mma.h says. Of dy 16 outputs; of x 8 inputs: column[i] of the halo's columns i,
  /// i + 2, ….
  struct DyRow {
    std::uint32_t step[kSteps][4];
  };
  struct XRow {
    std::uint32_t column[4][kSteps];
  };

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int output() { return warp() % 2 * 16; }
  __device__ static int input() { return warp() / 2 % kColumns * 8; }
  __device__ static int team() { return warp() / 2 / kColumns; }

  /// What a thread brings of each tile: of x a chunk of each kXRows-th row, of dy some chunks of one window.
  struct Share {
    int x_row, x_column, x_chunk, window, worker;

    // Computed for each tile anew, which takes less than the registers that would keep it, and the sums need them.
    __device__ static Share own() {
      int thread = static_cast<int>(threadIdx.x);
      asm volatile("" : "+r"(thread));  // the compiler must not know it
      return {thread / (2 * kHaloPixels), thread / 2 % kHaloPixels, thread % 2, thread % kWindows, thread / kWindows};
    }
    __device__ bool has_row(int i) const { return x_row < kXRows && x_row + i * kXRows < kHaloPixels; }
    __device__ int dy_chunk(int i) const { return worker + i * kWorkers; }
    __device__ int window_row() const { return window / kTileWindows; }
    __device__ int window_column() const { return window % kTileWindows; }
  };

  /// Which output the thread's sums of row `half` of an mma are: lane / 4 + 8 half there. In tf32 a thread reads two neighbours.
  __device__ static int output_of(int half) { return output() + (kInChunk == 8 ? half * 8 + lane() / 4 : lane() / 4 * 2 + half); }

  // Even columns come first, then the odd ones. Eight neighbouring slots have a chunk in different banks, or in tf32 four slots all
  // that a warp reads at once.
  __device__ static int x_at(int row, int slot, int chunk) {
    return (row * kHaloPixels + slot) * 2 + (kInChunk == 8 ? chunk ^ slot / 4 % 2 : chunk);
  }
  __device__ static int x_slot(int column) { return column % 2 * (kHaloPixels / 2) + column / 2; }
  __device__ static int dy_at(int row, int slot, int chunk) {
    const int places = kDyChunks == 4 ? slot / 2 % 4 : slot % 4 * 2 + slot / 4 % 2;
    return Pixels::kPixels + (row * kTilePixels + slot) * kDyChunks + (chunk ^ places);
  }

  // Loads side by side, without a branch between them: a thread waits for the first only when it needs one.
  __device__ static Fetched fetch(const BackwardOperands<T>& o, const WindowTile& tile, int k_first, int c_first) {
    const Share share = Share::own();
    Fetched fetched{};
    for (auto& winners : fetched.winners) {
      for (std::uint32_t& four : winners) four = kNoWinner * 0x01010101U;
    }
    const int w = 2 * tile.left - 1 + share.x_column, c = c_first + share.x_chunk * kInChunk, channels = o.s.C - c;
    const auto for_rows = [&](const auto& load_row) {
      GPUCNN_UNROLL
      for (int i = 0; i < kXItems; ++i) {
        const int h = 2 * tile.top - 1 + share.x_row + i * kXRows;
        if (!share.has_row(i) || h < 0 || h >= o.s.H || w < 0 || w >= o.s.W || channels <= 0) continue;
        fetched.x[i] = unrounded_chunk<T>(load_row(o.x + ((std::int64_t{tile.n} * o.s.H + h) * o.s.W + w) * o.s.C + c));
      }
    };
    if (o.plan.wide_x) {
      for_rows([](const T* from) { return load<kInChunk>(from); });
    } else {
      for_rows([channels](const T* from) { return load_some(from, channels, false); });
    }

    const int row = tile.top + share.window_row(), column = tile.left + share.window_column();
    const auto for_chunks = [&](const auto& load_chunk) {
      GPUCNN_UNROLL
      for (int i = 0; i < kDyItems; ++i) {
        const int k = k_first + share.dy_chunk(i) * kInChunk;
        if (row >= o.s.Ho || column >= o.s.Wo || k >= o.s.K) continue;
        load_chunk(o.winner_at(tile.n, row, column, k), k, fetched.dy[i], fetched.winners[i]);
      }
    };
    const auto load_winners = [&](std::int64_t at, std::uint32_t(&winners)[kInChunk / 4]) {
      const auto bytes = load<kInChunk>(o.argmax + at);
      for (int e = 0; e < kInChunk; ++e)
        winners[e / 4] = (e % 4 == 0 ? 0 : winners[e / 4]) | std::uint32_t{bytes.at[e]} << e % 4 * 8;
    };
    if (o.plan.wide_dy) {
      for_chunks([&](std::int64_t at, int, auto& dy, auto& winners) {
        load_winners(at, winners);
        const Chunk chunk = unrounded_chunk<T>(load<kInChunk>(o.dy + at));
        for (int word = 0; word < 4; ++word) dy[word] = chunk.at[word];
      });
    } else if (o.plan.wide_winners) {
      for_chunks([&](std::int64_t at, int k, auto& dy, auto& winners) {
        load_winners(at, winners);
        for (int e = 0; e < kInChunk; ++e) dy[e] = bits_of(o.dy_at(tile.n, row, column, k + e));
      });
    } else {
      for_chunks([&](std::int64_t at, int k, auto& dy, auto& winners) {
        for (int e = 0; e < kInChunk && k + e < o.s.K; ++e) {
          dy[e] = bits_of(o.dy_at(tile.n, row, column, k + e));
          winners[e / 4] += (std::uint32_t{o.argmax[at + e]} - kNoWinner) << e % 4 * 8;
        }
      });
    }
    return fetched;
  }

  /// Brings it to shared memory, dy unpooled. Gives what dy adds to the bias's gradient for the output `bias_output`.
  __device__ static float put(const Fetched& fetched, bool in_chunks, Chunk* memory) {
    const Share share = Share::own();
    float bias[8];
    GPUCNN_UNROLL
    for (int i = 0; i < kXItems; ++i) {
      if (!share.has_row(i)) continue;
      memory[x_at(share.x_row + i * kXRows, x_slot(share.x_column), share.x_chunk)] = rounded_chunk<T>(fetched.x[i]);
    }
    GPUCNN_UNROLL
    for (int i = 0; i < kDyItems; ++i) {
      const std::uint32_t(&winners)[kInChunk / 4] = fetched.winners[i];
      Chunk dy;
      for (int w = 0; w < 4; ++w) {
        const std::uint32_t* const words = fetched.dy[i];
        dy.at[w] = kInChunk == 4 || in_chunks ? words[w] : words[2 * w] | words[2 * w + 1] << 16;
      }
      for (int e = 0; e < kInChunk; ++e) {
        bias[i * kInChunk + e] = byte_of(winners, e, kNoWinner) ? 0 : element(dy, e);
      }
      dy = rounded_chunk<T>(dy);
      GPUCNN_UNROLL
      for (std::uint32_t p = 0; p < 4; ++p) {
        std::uint32_t won[kInChunk / 4];  // the highest bit of a byte: no byte is above 7, so that none borrows
        for (int q = 0; q < kInChunk / 4; ++q) won[q] = 0x80808080U - (winners[q] ^ p * 0x01010101U);
        Chunk unpooled;
        for (int w = 0; w < 4; ++w) {
          if constexpr (kInChunk == 4) {
            unpooled.at[w] = byte_of(won, w, 0x80) ? dy.at[w] : 0;
          } else {
            unpooled.at[w] =
                dy.at[w] & ((byte_of(won, 2 * w, 0x80) ? 0xFFFFU : 0) | (byte_of(won, 2 * w + 1, 0x80) ? 0xFFFF0000U : 0));
          }
        }
        const int row = share.window_row() * 2 + static_cast<int>(p) / 2;
        memory[dy_at(row, static_cast<int>(p) % 2 * kTileWindows + share.window_column(), share.dy_chunk(i))] = unpooled;
      }
    }
    return add_windows(bias);
  }

  /// The sum of values[lane % 8] over eight neighbouring lanes, which have the windows of a row. Each step leaves a thread with
  /// half of the values.
  __device__ static float add_windows(float (&values)[8]) {
    GPUCNN_UNROLL
    for (int count = 4; count > 0; count /= 2) {
      const bool upper = (lane() & count) != 0;
      for (int v = 0; v < count; ++v) {
        const float kept = upper ? values[count + v] : values[v], given = upper ? values[v] : values[count + v];
        values[v] = kept + __shfl_xor_sync(0xFFFFFFFFU, given, count);
      }
    }
    return values[0];
  }
  /// Of the block's, and the windows' part.
  __device__ static int bias_output() { return Share::own().dy_chunk(lane() % 8 / kInChunk) * kInChunk + lane() % kInChunk; }
  __device__ static int bias_part() { return Share::own().window_row(); }

  /// Whether byte e has one of these bits.
  __device__ static bool byte_of(const std::uint32_t (&fours)[kInChunk / 4], int e, std::uint32_t bits) {
    return (fours[e / 4] & bits << e % 4 * 8) != 0;
  }
  __device__ static std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }
  __device__ static std::uint32_t bits_of(bf16 value) { return value.bits; }
  __device__ static float element(const Chunk& chunk, int e) {
    if constexpr (kInChunk == 4) {
      return std::bit_cast<float>(chunk.at[e]);
    } else {
      return std::bit_cast<float>(e % 2 == 0 ? chunk.at[e / 2] << 16 : chunk.at[e / 2] & 0xFFFF0000U);
    }
  }

  __device__ static DyRow load_dy(const Chunk* memory, int row) {
    DyRow dy;
    if constexpr (kInChunk == 8) {
      const int slot = lane() / 16 * kTileWindows + lane() % 8;
      warp::ldmatrix_transposed(dy.step[0], &memory[dy_at(row, slot, output() / 8 + lane() / 8 % 2)]);
    } else {
      for (int step = 0; step < kSteps; ++step) {
        for (int half = 0; half < 2; ++half) {
          const int slot = step * kTileWindows + half * 4 + lane() % 4;
          const auto two = load<2>(memory[dy_at(row, slot, output_of(0) / 4)].at + output_of(0) % 4);
          for (int i = 0; i < 2; ++i) dy.step[step][2 * half + i] = two.at[i];
        }
      }
    }
    return dy;
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

  /// Adds the products of a row of dy with x one tap further, `across`.
  __device__ static void multiply(float (&sums)[4], const DyRow& dy, const XRow& x, int step, int across) {
    if constexpr (kInChunk == 8) {
      Operand<T>::multiply(sums, dy.step[step], {x.column[across][0], x.column[across + 1][0]});
    } else {
      Operand<T>::multiply(sums, dy.step[step], {x.column[step + across][0], x.column[step + across][1]});
    }
  }

  /// Adds the products of the tile in shared memory.
  __device__ static void add_products(const Chunk* memory, float (&sums)[9][4]) {
    const int first = team() * kRows;
    DyRow dy[3];
    GPUCNN_UNROLL
    for (int r = 0; r < kRows + 2; ++r) {
      if (r < kRows) dy[r % 3] = load_dy(memory, first + r);
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

  /// gradients[kOutputs][9][kInputs] = the teams' sums, added in their order.
  __device__ static void add_teams(const float (&sums)[9][4], float* gradients) {
    GPUCNN_NO_UNROLL
    for (int t = 0; t < kTeams; ++t) {
      __syncthreads();
      if (team() != t) continue;
      for (int tap = 0; tap < 9; ++tap) {
        for (int half = 0; half < 2; ++half) {
          float* const mine = gradients + (output_of(half) * 9 + tap) * kInputs + input() + 2 * (lane() % 4);
          Lanes<float, 2> sum{{sums[tap][2 * half], sums[tap][2 * half + 1]}};
          if (t > 0) {
            const auto before = load<2>(mine);
            for (int e = 0; e < 2; ++e) sum.at[e] = before.at[e] + sum.at[e];
          }
          store(sum, mine);
        }
      }
    }
    __syncthreads();
  }

  /// o.sums[slice] = what the slice's tiles add to a block of dweight and dbias.
  __device__ static void compute(const BackwardOperands<T>& o, int block, void* shared) {
    Chunk* const memory = static_cast<Chunk*>(shared);
    float* const floats = static_cast<float*>(shared);
    const auto slice = DweightSlice<kOutputs, kInputs>::of(o, block);
    const WindowTiles tiles = WindowTiles::of(o.s.Ho, o.s.Wo);
    float sums[9][4] = {}, bias = 0;
    Fetched fetched = fetch(o, tiles[slice.first], slice.k_first, slice.c_first);
    GPUCNN_NO_UNROLL
    for (int i = slice.first; i < slice.last; ++i) {
      __syncthreads();  // before what others still read is written over
      bias += put(fetched, o.plan.wide_dy, memory);
      __syncthreads();
      if (i + 1 < slice.last) fetched = fetch(o, tiles[i + 1], slice.k_first, slice.c_first);
      add_products(memory, sums);
    }
    add_teams(sums, floats);
    slice.write_weights(o, floats);
    if (!slice.wants_bias(o)) return;
    __syncthreads();
    floats[bias_part() * kOutputs + bias_output()] = bias;
    __syncthreads();
    slice.template write_bias<kWindows / 8>(o, floats);
  }
};

}  // namespace gpucnn::kernels::cuda
