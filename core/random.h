#pragma once

#include <array>
#include <cstdint>

#include <gpucnn/core/export.h>

namespace gpucnn {

/// The constants of Philox4x32-10.
namespace philox {
inline constexpr std::uint32_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
inline constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
inline constexpr int kRounds = 10;
}  // namespace philox

/// Philox4x32-10, a counter-based generator: four random 32-bit words from a counter and a key, without any state. Salmon, Moraes,
/// Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) noexcept {
  for (int round = 0; round < philox::kRounds; ++round) {
    const std::uint64_t product0 = std::uint64_t{philox::kMultiplier0} * counter[0];
    const std::uint64_t product1 = std::uint64_t{philox::kMultiplier1} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += philox::kWeyl0;
    key[1] += philox::kWeyl1;
  }
  return counter;
}

/// What a stream of random numbers is for. Streams of different purposes never meet.
enum class Purpose : std::uint32_t { weights = 1, dropout, shuffle, crop, flip, normal, shapes, augment };

/// A stream of random words without state. Word `e` depends on (seed, purpose, index, step, e) alone. So every device, layout and
/// number of threads draws the same. `index` tells layers or parameters apart and is below 2^12; `step` counts draws over time and
/// is below 2^48.
///
/// Key: the seed. Counter: {e / 4 low, e / 4 high, step low, step high (16 bits) | index (12 bits) | purpose (4 bits)}; word e
/// is output e % 4, unless `without_first` has moved it.
class RandomStream {
 public:
  constexpr RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t index = 0, std::uint64_t step = 0) noexcept
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        step_low_(static_cast<std::uint32_t>(step)),
        tail_(static_cast<std::uint32_t>(step >> 32) << 16 | (index & 0xFFFU) << 4 | static_cast<std::uint32_t>(purpose)) {}

  /// The same stream at another step.
  constexpr RandomStream at(std::uint64_t step) const noexcept {
    RandomStream moved = *this;
    moved.step_low_ = static_cast<std::uint32_t>(step);
    moved.tail_ = static_cast<std::uint32_t>(step >> 32) << 16 | (tail_ & 0xFFFFU);
    return moved;
  }

  /// The same stream from element `count` on: its word e is this stream's word count + e. For a part of a batch, that draws what
  /// the whole would.
  constexpr RandomStream without_first(std::uint64_t count) const noexcept {
    RandomStream moved = *this;
    moved.skipped_ += count;
    return moved;
  }

  /// Words 4 * block to 4 * block + 3. Where `skipped()` is no multiple of 4, two blocks of the generator are drawn for it.
  constexpr std::array<std::uint32_t, 4> block(std::uint64_t block) const noexcept {
    const std::array<std::uint32_t, 4> words = drawn(skipped_ / 4 + block);
    if (skipped_ % 4 == 0) return words;
    const std::array<std::uint32_t, 4> next = drawn(skipped_ / 4 + block + 1);
    if (skipped_ % 4 == 1) return {words[1], words[2], words[3], next[0]};
    if (skipped_ % 4 == 2) return {words[2], words[3], next[0], next[1]};
    return {words[3], next[0], next[1], next[2]};
  }

  /// Word `e`.
  constexpr std::uint32_t word(std::uint64_t e) const noexcept { return drawn((skipped_ + e) / 4)[(skipped_ + e) % 4]; }

  /// Word `e` as a float in [0, 1), a multiple of 2^-24.
  constexpr float uniform(std::uint64_t e) const noexcept { return to_uniform(word(e)); }

  /// Word `e` as an integer in [0, bound): its product with the bound, shifted, which favours no value by more than
  /// bound / 2^32.
  constexpr std::uint32_t below(std::uint64_t e, std::uint32_t bound) const noexcept {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(word(e)) * bound >> 32);
  }

  static constexpr float to_uniform(std::uint32_t word) noexcept { return static_cast<float>(word >> 8) * 0x1p-24F; }

  constexpr std::array<std::uint32_t, 2> key() const noexcept { return key_; }
  constexpr std::uint32_t counter2() const noexcept { return step_low_; }
  constexpr std::uint32_t counter3() const noexcept { return tail_; }
  /// How many words of the generator come before word 0.
  constexpr std::uint64_t skipped() const noexcept { return skipped_; }

 private:
  constexpr std::array<std::uint32_t, 4> drawn(std::uint64_t block) const noexcept {
    return philox4x32({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), step_low_, tail_}, key_);
  }

  std::array<std::uint32_t, 2> key_;
  std::uint32_t step_low_, tail_;
  std::uint64_t skipped_ = 0;
};

}  // namespace gpucnn
