#pragma once

#include <cstdint>

namespace gpucnn {

/// A process's part of every batch, where several train on it together: number `index` of `count`. Of N images it has those from
/// N index / count on, up to N (index + 1) / count: as many as the others, or one more or less, and none of a batch that is too
/// small.
struct BatchPart {
  int index = 0;  ///< from 0 to count - 1
  int count = 1;  ///< >= 1

  /// The images of the batch before the part's.
  constexpr std::int64_t first(std::int64_t N) const noexcept { return N * index / count; }
  /// The part's.
  constexpr std::int64_t images(std::int64_t N) const noexcept { return N * (index + 1) / count - first(N); }

  constexpr bool operator==(const BatchPart&) const noexcept = default;
};

}  // namespace gpucnn
