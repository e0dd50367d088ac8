#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include <gpucnn/core/export.h>

namespace gpucnn {

/// The logical extents of a tensor, outermost first: `Shape{N, C, H, W}`. A value of fixed size, at most `kMaxRank` extents.
/// Rank 0 is a scalar with one element. Extents may be 0 (an empty tensor) but not negative.
class GPUCNN_API Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;

  /// Throws `std::invalid_argument` for a negative extent or when the number of elements does not fit 63 bits.
  template <std::integral... Extents>
  requires(sizeof...(Extents) > 0 && sizeof...(Extents) <= kMaxRank && (!std::same_as<Extents, bool> && ...))
      Shape(Extents... extents)
      : rank_(sizeof...(Extents)) {  // NOLINT: implicit, so that `{4, 3, 32, 32}` is a Shape
    int dim = 0;
    ((extents_[static_cast<std::size_t>(dim++)] = checked(extents)), ...);
    check_numel();
  }

  /// The same from a run-time list.
  static Shape from(std::span<const std::int64_t> extents);

  int rank() const noexcept { return rank_; }

  /// The extent of dimension `dim` in [0, rank). Throws `std::invalid_argument` outside it.
  std::int64_t operator[](int dim) const {
    if (dim < 0 || dim >= rank_) fail_dim(dim);
    return extents_[static_cast<std::size_t>(dim)];
  }

  /// The number of elements: the product of the extents, 1 for a scalar.
  std::int64_t numel() const noexcept {
    std::uint64_t count = 1;  // may wrap on its way to an extent of 0, and only then
    for (std::int64_t extent : *this) count *= static_cast<std::uint64_t>(extent);
    return static_cast<std::int64_t>(count);
  }

  /// This shape with dimension `dim` set to `extent`.
  Shape with(int dim, std::int64_t extent) const;

  const std::int64_t* begin() const noexcept { return extents_.data(); }
  const std::int64_t* end() const noexcept { return extents_.data() + rank_; }

  /// `[4, 3, 32, 32]`; `[]` for a scalar.
  std::string string() const;

  bool operator==(const Shape& other) const noexcept = default;

 private:
  template <std::integral Extent>
  static std::int64_t checked(Extent extent) {
    if (!std::in_range<std::int64_t>(extent) || extent < Extent{0}) fail_extent(std::to_string(extent));
    return static_cast<std::int64_t>(extent);
  }

  [[noreturn]] static void fail_extent(const std::string& extent);
  [[noreturn]] void fail_dim(int dim) const;
  void check_numel() const;

  std::array<std::int64_t, kMaxRank> extents_{};  // zero behind rank_, so that == compares whole
  int rank_ = 0;
};

}  // namespace gpucnn
