#include <gpucnn/io/onnx/import/part_list.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include <gpucnn/io/onnx/import/names.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/identity.h>

namespace gpucnn::onnx {
namespace {

/// Sequentials in Sequentials, so that a long path cannot exhaust the stack.
constexpr int kMaxDepth = 16;

/// The name if it is free, or else a number.
std::string free_name(std::string_view wanted, std::set<std::string>& taken) {
  std::string name(wanted);
  std::ranges::replace(name, '.', '_');
  if (!name.empty() && taken.insert(name).second) return name;
  for (std::size_t number = taken.size();; ++number) {
    if (taken.insert(std::to_string(number)).second) return std::to_string(number);
  }
}

std::string_view path_inside(const Part& part, std::string_view outer) {
  return lies_in(part.path, outer) ? inside(part.path, outer) : std::string_view();
}

}  // namespace

void adopt(std::vector<Part>& parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].has_values) continue;
    const auto before = std::find_if(std::make_reverse_iterator(parts.begin() + static_cast<std::ptrdiff_t>(i)), parts.rend(),
                                     [](const Part& part) { return part.has_values; });
    const auto behind =
        std::find_if(parts.begin() + static_cast<std::ptrdiff_t>(i), parts.end(), [](const Part& part) { return part.has_values; });
    if (before == parts.rend() || behind == parts.end()) continue;
    const std::string_view outer = common(parent(before->path), parent(behind->path));
    if (outer.empty() || lies_in(parts[i].path, outer)) continue;
    std::string name = parts[i].path;
    std::ranges::replace(name, '.', '_');
    parts[i].path = joined_path(outer, name);
  }
}

std::vector<Child> children_of(std::vector<Part> parts, std::string_view outer, std::set<std::string>& taken, int depth) {
  std::vector<Child> children;
  for (std::size_t begin = 0, end = 0; begin < parts.size(); begin = end) {
    const std::string word(first_word(path_inside(parts[begin], outer)));
    const std::string group = joined_path(outer, word);
    const auto is_inside = [&](const Part& part) { return lies_in(part.path, group) && part.path.size() > group.size(); };
    end = begin + 1;
    if (word.empty() || taken.contains(word) || depth == kMaxDepth || !is_inside(parts[begin])) {
      children.emplace_back(free_name(path_inside(parts[begin], outer), taken), std::move(parts[begin].module));
      continue;
    }
    while (end < parts.size() && is_inside(parts[end])) ++end;
    std::vector<Part> inner(std::make_move_iterator(parts.begin() + static_cast<std::ptrdiff_t>(begin)),
                            std::make_move_iterator(parts.begin() + static_cast<std::ptrdiff_t>(end)));
    std::set<std::string> inner_taken;
    children.emplace_back(free_name(word, taken), Sequential(children_of(std::move(inner), group, inner_taken, depth + 1)));
  }
  return children;
}

Child child_of(std::vector<Part> parts, std::string_view outer, std::string_view otherwise, std::set<std::string>& taken) {
  if (parts.empty()) return {free_name(otherwise, taken), Identity()};
  const std::string word(first_word(path_inside(parts[0], outer)));
  const std::string group = joined_path(outer, word);
  const bool fits = !word.empty() && !taken.contains(word) &&
                    std::ranges::all_of(parts, [&](const Part& part) { return lies_in(part.path, group); });
  std::string name = free_name(fits ? word : otherwise, taken);
  if (parts.size() == 1 && (!fits || parts[0].path == group)) return {std::move(name), std::move(parts[0].module)};
  std::set<std::string> inner_taken;
  return {std::move(name), Sequential(children_of(std::move(parts), fits ? group : std::string(outer), inner_taken))};
}

}  // namespace gpucnn::onnx
