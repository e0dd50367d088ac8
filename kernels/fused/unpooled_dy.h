#pragma once

#include <algorithm>
#include <bit>
#include <type_traits>

#include <gpucnn/kernels/fused/pooled_gradients.h>
#include <gpucnn/kernels/fused/tensor_tile.h>

/// The gradient of a convolution's output, on its way to tensor cores. In .cu files only.
namespace gpucnn::kernels::cuda {

/// A chunk as it lies in memory, where it is aligned; elements of tf32 are not rounded yet.
template <class T>
__device__ Chunk unrounded_chunk(const T* from) {
  return load<4>(reinterpret_cast<const std::uint32_t*>(from));
}

/// What `chunk_of` makes of the same elements.
template <class T>
__device__ Chunk rounded_chunk(Chunk chunk) {
  if constexpr (std::is_same_v<T, float>) {
    for (std::uint32_t& word : chunk.at) word = warp::to_tf32(std::bit_cast<float>(word));
  }
  return chunk;
}

__device__ inline std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }
__device__ inline std::uint32_t bits_of(bf16 value) { return value.bits; }

/// What a thread brings of a tile follows from this, for each tile anew.
__device__ inline int thread_anew() { return computed_anew(static_cast<int>(threadIdx.x)); }

/// How a block of kTileThreads unpools a tile of dy into shared memory, for kOutputs outputs. A thread brings some chunks of one
/// window, with `fetch` into registers and with `put` on.
template <class T, int Outputs>
struct UnpooledDy {
  static constexpr int kOutputs = Outputs, kInChunk = Operand<T>::kInChunk;
  static constexpr int kInPixel = kOutputs / kInChunk, kChunks = kTilePixels * kTilePixels * kInPixel;
  static constexpr int kWindows = kTileWindows * kTileWindows, kWorkers = kTileThreads / kWindows;
  static constexpr int kItems = (kInPixel + kWorkers - 1) / kWorkers, kBiasParts = kTileWindows;
  static_assert(kItems * kInChunk <= 8);

  /// As loads gave it: a thread that looked at it would have to wait for memory. dy: chunks, or where channels do not lie side by
  /// side an element each. Winners: a byte each.
  struct Fetched {
    std::uint32_t dy[kItems][kInChunk], winners[kItems][kInChunk / 4];
  };

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }

  // Even columns come first, then the odd ones, as slots of a row. Chunks change places so that eight neighbouring slots have a
  // chunk in different banks, and in tf32 four slots eight words.
  __device__ static int at(int row, int slot, int chunk) {
    const int low = slot / 4 % 2;
    const int places = kInPixel == 8 ? slot % 4 * 2 + low : kInPixel == 4 ? slot / 2 % 2 * 2 + low : low;
    return (row * kTilePixels + slot) * kInPixel + (chunk ^ places);
  }

  // Outside of the image something else is loaded, which `put` leaves out: with a branch before a load, or one that picks a part of
  // what it gave, a thread would wait for memory here.
  __device__ static Fetched fetch(const BackwardOperands<T>& o, const WindowTile& tile, int k_first) {
    const int thread = thread_anew(), worker = thread / kWindows;
    const int row = std::min(tile.top + thread % kWindows / kTileWindows, o.s.Ho - 1);
    const int column = std::min(tile.left + thread % kTileWindows, o.s.Wo - 1);
    Fetched fetched;
    const auto for_chunks = [&](const auto& load_chunk) {
      GPUCNN_UNROLL
      for (int i = 0; i < kItems; ++i) {
        const int k = k_first + (worker + i * kWorkers) * kInChunk, known = k < o.s.K ? k : k_first;
        load_chunk(o.winner_at(tile.n, row, column, known), known, fetched.dy[i], fetched.winners[i]);
      }
    };
    const auto load_winners = [&](std::int64_t at, std::uint32_t(&winners)[kInChunk / 4]) {
      const auto words = load<kInChunk / 4>(reinterpret_cast<const std::uint32_t*>(o.argmax + at));
      for (int q = 0; q < kInChunk / 4; ++q) winners[q] = words.at[q];
    };
    if (o.plan.wide_dy) {
      for_chunks([&](std::int64_t at, int, auto& dy, auto& winners) {
        load_winners(at, winners);
        const Chunk chunk = unrounded_chunk(o.dy + at);
        for (int e = 0; e < kInChunk; ++e) dy[e] = e < 4 ? chunk.at[e % 4] : 0;
      });
    } else if (o.plan.wide_winners) {
      for_chunks([&](std::int64_t at, int k, auto& dy, auto& winners) {
        load_winners(at, winners);
        for (int e = 0; e < kInChunk; ++e) dy[e] = bits_of(o.dy_at(tile.n, row, column, k + e));
      });
    } else {
      for_chunks([&](std::int64_t at, int k, auto& dy, auto& winners) {
        for (std::uint32_t& four : winners) four = 0;
        for (int e = 0; e < kInChunk; ++e) {
          const int within = std::min(e, o.s.K - 1 - k);
          dy[e] = bits_of(o.dy_at(tile.n, row, column, k + within));
          winners[e / 4] |= std::uint32_t{o.argmax[at + within]} << e % 4 * 8;
        }
      });
    }
    return fetched;
  }

  /// Of the same tile. Gives what dy adds to the bias's gradient for the output that `store_bias` knows.
  __device__ static float put(const BackwardOperands<T>& o, const WindowTile& tile, int k_first, const Fetched& fetched,
                              Chunk* memory) {
    const int thread = thread_anew(), worker = thread / kWindows;
    const int row = thread % kWindows / kTileWindows * 2, column = thread % kTileWindows;
    const bool inside = tile.top + row / 2 < o.s.Ho && tile.left + column < o.s.Wo;
    float bias[8] = {};
    GPUCNN_UNROLL
    for (int i = 0; i < kItems; ++i) {
      const int at_chunk = worker + i * kWorkers;
      const int count = inside && at_chunk < kInPixel ? o.s.K - k_first - at_chunk * kInChunk : 0;  // of outputs
      std::uint32_t winners[kInChunk / 4];
      for (int q = 0; q < kInChunk / 4; ++q) winners[q] = fetched.winners[i][q];
      for (int e = 0; e < kInChunk; ++e) {
        if (e >= count) winners[e / 4] |= std::uint32_t{kNoWinner} << e % 4 * 8;
      }
      const std::uint32_t* const words = fetched.dy[i];
      Chunk dy;
      for (int w = 0; w < 4; ++w)
        dy.at[w] =
            kInChunk == 4 || o.plan.wide_dy ? words[w % kInChunk] : words[2 * w % kInChunk] | words[(2 * w + 1) % kInChunk] << 16;
      for (int e = 0; e < kInChunk; ++e) bias[i * kInChunk + e] = byte_has(winners, e, kNoWinner) ? 0 : element(dy, e);
      if (kInPixel < kWorkers && at_chunk >= kInPixel) continue;
      dy = rounded_chunk<T>(dy);
      GPUCNN_UNROLL
      for (int p = 0; p < 4; ++p) {
        std::uint32_t won[kInChunk / 4];  // the highest bit of a byte: no byte is above 7, so that none borrows
        for (int q = 0; q < kInChunk / 4; ++q) won[q] = 0x80808080U - (winners[q] ^ static_cast<std::uint32_t>(p) * 0x01010101U);
        Chunk unpooled;
        for (int w = 0; w < 4; ++w) {
          if constexpr (kInChunk == 4) {
            unpooled.at[w] = byte_has(won, w, 0x80) ? dy.at[w] : 0;
          } else {
            const std::uint32_t first = byte_has(won, 2 * w, 0x80) ? 0xFFFFU : 0;
            unpooled.at[w] = dy.at[w] & (first | (byte_has(won, 2 * w + 1, 0x80) ? 0xFFFF0000U : 0));
          }
        }
        memory[at(row + p / 2, p % 2 * kTileWindows + column, at_chunk)] = unpooled;
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
  /// Stores what `put` has given to parts[kBiasParts][kOutputs].
  __device__ static void store_bias(float bias, float* parts) {
    const int thread = thread_anew();
    const int output = (thread / kWindows + lane() % 8 / kInChunk * kWorkers) * kInChunk + lane() % kInChunk;
    if (output < kOutputs) parts[thread % kWindows / kTileWindows * kOutputs + output] = bias;
  }

  /// The 16 rows of an mma's first operand, as mma.h says, of outputs `first` to `first` + 15. The first half of what an mma sums
  /// over are slots `slot` to `slot` + 7 of `row`, the second half those of the other row, from the other slot on. In tf32 each
  /// half is an mma of its own.
  struct Rows {
    std::uint32_t step[8 / kInChunk][4];
  };
  __device__ static Rows load_rows(const Chunk* memory, int first, int row, int slot, int other_row, int other_slot) {
    Rows rows;
    if constexpr (kInChunk == 8) {
      const bool other = lane() >= 16;
      const int from = (other ? other_slot : slot) + lane() % 8;
      warp::ldmatrix_transposed(rows.step[0], &memory[at(other ? other_row : row, from, first / 8 + lane() / 8 % 2)]);
    } else {
      const int k = first + output_of(0);
      for (int step = 0; step < 2; ++step) {
        for (int half = 0; half < 2; ++half) {
          const int from = (step == 0 ? slot : other_slot) + half * 4 + lane() % 4;
          const auto two = load<2>(memory[at(step == 0 ? row : other_row, from, k / 4)].at + k % 4);
          for (int i = 0; i < 2; ++i) rows.step[step][2 * half + i] = two.at[i];
        }
      }
    }
    return rows;
  }
  /// Which of these outputs a thread's sums of row lane / 4 + 8 half of the mma are: in tf32 it reads two neighbours at once.
  __device__ static int output_of(int half) { return kInChunk == 8 ? half * 8 + lane() / 4 : lane() / 4 * 2 + half; }

 private:
  /// Whether byte e has one of these bits.
  __device__ static bool byte_has(const std::uint32_t (&fours)[kInChunk / 4], int e, std::uint32_t bits) {
    return (fours[e / 4] & bits << e % 4 * 8) != 0;
  }
  __device__ static float element(const Chunk& chunk, int e) {
    if constexpr (kInChunk == 4) {
      return std::bit_cast<float>(chunk.at[e]);
    } else {
      return std::bit_cast<float>(e % 2 == 0 ? chunk.at[e / 2] << 16 : chunk.at[e / 2] & 0xFFFF0000U);
    }
  }
};

}  // namespace gpucnn::kernels::cuda
