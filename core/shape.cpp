#include <gpucnn/core/shape.h>

#include <algorithm>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn {

Shape Shape::from(std::span<const std::int64_t> extents) {
  if (extents.size() > kMaxRank) {
    throw std::invalid_argument(formatted("Shape: at most {} dimensions, got {}", kMaxRank, extents.size()));
  }
  Shape shape;
  shape.rank_ = static_cast<int>(extents.size());
  std::ranges::transform(extents, shape.extents_.begin(), [](std::int64_t extent) { return checked(extent); });
  shape.check_numel();
  return shape;
}

Shape Shape::with(int dim, std::int64_t extent) const {
  if (dim < 0 || dim >= rank_) fail_dim(dim);
  Shape changed = *this;
  changed.extents_[static_cast<std::size_t>(dim)] = checked(extent);
  changed.check_numel();
  return changed;
}

std::string Shape::string() const { return formatted("[{}]", joined(*this, ", ")); }

void Shape::fail_extent(const std::string& extent) {
  throw std::invalid_argument(formatted("Shape: an extent must be from 0 to 2^63 - 1, got {}", extent));
}

void Shape::fail_dim(int dim) const { throw std::invalid_argument(formatted("Shape: no dimension {} in {}", dim, string())); }

void Shape::check_numel() const {
  // Empty tensors hold nothing, whatever their other extents are.
  if (std::ranges::find(*this, 0) != end()) return;
  std::int64_t count = 1;
  for (std::int64_t extent : *this) {
    if (__builtin_mul_overflow(count, extent, &count)) {
      throw std::invalid_argument(formatted("Shape: {} has more elements than 63 bits count", string()));
    }
  }
}

}  // namespace gpucnn
