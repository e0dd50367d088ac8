#include <gpucnn/core/text/prefix_hint.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>

namespace gpucnn {
namespace {

using Names = std::set<std::string_view>;

/// What `longer` names have before names of `ends`, those of the most names first and of them the shortest. Few: each costs a pass
/// over all names, which may come from a file.
std::vector<std::string_view> prefixes_before(const Names& ends, const Names& longer) {
  constexpr std::size_t kMaxTried = 8;
  std::size_t max_size = 0;
  for (const std::string_view end : ends) max_size = std::max(max_size, end.size());
  std::map<std::string_view, std::size_t> counts;
  for (const std::string_view name : longer) {
    for (std::size_t dot = name.rfind('.'); dot != name.npos && name.size() - dot - 1 <= max_size; dot = name.rfind('.', dot - 1)) {
      if (ends.contains(name.substr(dot + 1))) ++counts[name.substr(0, dot + 1)];
      if (dot == 0) break;
    }
  }
  std::vector<std::pair<std::string_view, std::size_t>> ranked(counts.begin(), counts.end());
  std::ranges::stable_sort(ranked, [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first.size() < b.first.size();
  });
  std::vector<std::string_view> prefixes;
  for (const auto& [prefix, count] : ranked) {
    if (prefixes.size() < kMaxTried) prefixes.push_back(prefix);
  }
  return prefixes;
}

/// `names` without the prefix; nothing if two become one.
std::optional<Names> stripped(const Names& names, std::string_view prefix) {
  Names left;
  for (const std::string_view name : names) {
    if (!left.insert(name.starts_with(prefix) ? name.substr(prefix.size()) : name).second) return std::nullopt;
  }
  return left;
}

std::size_t common(const Names& a, const Names& b) {
  return static_cast<std::size_t>(std::ranges::count_if(a, [&](std::string_view name) { return b.contains(name); }));
}

/// A call of StateDict and how many names it makes fit.
struct Fit {
  const char* call;
  std::string_view prefix;
  std::size_t count;
};

/// The call that makes most names fit, more than fit without it.
std::optional<Fit> best_fit(const Names& wanted, const Names& found) {
  std::optional<Fit> best;
  std::size_t max_count = common(wanted, found);
  const auto offer = [&](const Fit& fit) {
    if (fit.count <= max_count) return;
    best = fit;
    max_count = fit.count;
  };
  for (const std::string_view prefix : prefixes_before(wanted, found)) {
    if (const std::optional<Names> left = stripped(found, prefix)) offer({"without_prefix", prefix, common(wanted, *left)});
  }
  for (const std::string_view prefix : prefixes_before(found, wanted)) {
    const auto fits = [&](std::string_view name) { return name.starts_with(prefix) && found.contains(name.substr(prefix.size())); };
    offer({"with_prefix", prefix, static_cast<std::size_t>(std::ranges::count_if(wanted, fits))});
  }
  return best;
}

}  // namespace

std::string prefix_hint(std::span<const std::string> own, std::span<const std::string> given, bool has_strict) {
  const Names wanted(own.begin(), own.end()), found(given.begin(), given.end());
  const std::optional<Fit> fit = best_fit(wanted, found);
  if (!fit) return {};
  const bool all_wanted = fit->count == wanted.size(), all_found = fit->count == found.size();
  const bool is_whole = all_wanted && all_found;
  if (!is_whole && (!has_strict || (fit->count < wanted.size() - fit->count && !all_found))) return {};
  return formatted("{} fit after {}(\"{}\"){}", all_wanted ? "the names" : formatted("{} of {} names", fit->count, wanted.size()),
                   fit->call, printable(fit->prefix, kMaxNameBytes), is_whole ? "" : " with strict = false");
}

}  // namespace gpucnn
