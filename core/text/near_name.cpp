#include <gpucnn/core/text/near_name.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace gpucnn {
namespace {

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

const std::string* near_name(std::string_view wanted, std::span<const std::string> names) {
  constexpr std::size_t kMaxDistance = 2, kMaxBytes = 60;  // names may come from a file, and the work is their product
  if (wanted.size() > kMaxBytes) return nullptr;
  const std::string* nearest = nullptr;
  std::size_t min_distance = std::min(kMaxDistance + 1, (wanted.size() + 1) / 2);
  for (const std::string& name : names) {
    if (name.size() > wanted.size() + kMaxDistance) continue;
    if (const std::size_t found = distance(wanted, name); found < min_distance) {
      nearest = &name;
      min_distance = found;
    }
  }
  return nearest;
}

}  // namespace gpucnn
