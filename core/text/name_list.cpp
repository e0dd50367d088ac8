#include <gpucnn/core/text/name_list.h>

#include <algorithm>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/printable.h>

namespace gpucnn {

std::string grouped(std::int64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t position = text.size(); position > 3; position -= 3) text.insert(position - 3, 1, ',');
  return text;
}

std::string list_names(std::span<const std::string> names) {
  constexpr std::size_t kMaxShown = 5;
  std::string list;
  for (const std::string& name : names.first(std::min(names.size(), kMaxShown))) {
    if (!list.empty()) list += ", ";
    list += printable(name, kMaxNameBytes);
  }
  if (names.size() > kMaxShown) {
    list += formatted(" and {} more", grouped(static_cast<std::int64_t>(names.size() - kMaxShown)));
  }
  return list;
}

}  // namespace gpucnn
