#include <gpucnn/core/text/prefix_hint.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>

namespace gpucnn {
namespace {

using Names = std::set<std::string, std::less<>>;

/// The first name of `of` that is not in `other`; null without one.
const std::string* first_beside(std::span<const std::string> of, const Names& other) {
  const auto found = std::ranges::find_if(of, [&](const std::string& name) { return !other.contains(name); });
  return found == of.end() ? nullptr : &*found;
}

/// What stands before `end` in the longer names that end with it, the shortest first. Few: each costs a pass over all names, which
/// may come from a file.
std::vector<std::string_view> prefixes_before(std::string_view end, std::span<const std::string> longer) {
  constexpr std::size_t kMaxTried = 8;
  std::vector<std::string_view> prefixes;
  for (const std::string_view name : longer) {
    if (!name.ends_with(end) || name.size() == end.size()) continue;
    const std::string_view prefix = name.substr(0, name.size() - end.size());
    if (prefix.ends_with('.')) prefixes.push_back(prefix);
  }
  std::ranges::stable_sort(prefixes, {}, &std::string_view::size);
  if (prefixes.size() > kMaxTried) prefixes.resize(kMaxTried);
  return prefixes;
}

/// `names` without the prefix; nothing if two become one.
std::optional<Names> stripped(std::span<const std::string> names, std::string_view prefix) {
  Names left;
  for (const std::string& name : names) {
    if (!left.insert(name.starts_with(prefix) ? name.substr(prefix.size()) : name).second) return std::nullopt;
  }
  return left;
}

std::string hint(const char* call, std::string_view prefix, bool fully) {
  return fmt::format("the names fit after {}(\"{}\"){}", call, printable(prefix, kMaxNameBytes),
                     fully ? "" : " with strict = false");
}

}  // namespace

std::string prefix_hint(std::span<const std::string> own, std::span<const std::string> given) {
  const Names wanted(own.begin(), own.end()), found(given.begin(), given.end());
  const std::string* const missing = first_beside(own, found);
  const std::string* const unexpected = first_beside(given, wanted);
  if (!missing || !unexpected) return {};
  for (const std::string_view prefix : prefixes_before(*missing, given)) {
    const std::optional<Names> left = stripped(given, prefix);
    if (left && std::ranges::includes(*left, wanted)) return hint("without_prefix", prefix, left->size() == wanted.size());
  }
  for (const std::string_view prefix : prefixes_before(*unexpected, own)) {
    const bool fits =
        std::ranges::all_of(given, [&](const std::string& name) { return wanted.contains(fmt::format("{}{}", prefix, name)); });
    if (fits) return hint("with_prefix", prefix, given.size() == wanted.size());
  }
  return {};
}

}  // namespace gpucnn
