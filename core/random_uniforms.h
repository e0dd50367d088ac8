#pragma once

#include <array>
#include <cstdint>

#include <gpucnn/core/random.h>
#include <gpucnn/core/threads/parallel.h>

namespace gpucnn {

/// Calls `body(e, uniform)` for the first `count` words of a stream, four at a time, from all threads. `uniform` has words e to e +
/// 3 as floats in [0, 1). If `count` is no multiple of four, the last call has words beyond it.
template <class Body>
void random_uniforms(const RandomStream& random, std::int64_t count, const Body& body) {
  constexpr std::int64_t kGrain = 4096;
  parallel_ranges((count + 3) / 4, kGrain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t block = first; block < last; ++block) {
      const std::array<std::uint32_t, 4> words = random.block(static_cast<std::uint64_t>(block));
      std::array<float, 4> uniform;
      for (std::size_t i = 0; i < 4; ++i) uniform[i] = RandomStream::to_uniform(words[i]);
      body(4 * block, uniform);
    }
  });
}

}  // namespace gpucnn
