#pragma once

#include <string>
#include <string_view>

/// Paths of layers, words with dots between them.
namespace gpucnn::onnx {

/// Whether `path` lies inside `outer`, or is it. All lie inside "".
inline bool lies_in(std::string_view path, std::string_view outer) {
  return outer.empty() || (path.starts_with(outer) && (path.size() == outer.size() || path[outer.size()] == '.'));
}

/// What is left of a path inside `outer`.
inline std::string_view inside(std::string_view path, std::string_view outer) {
  if (outer.empty()) return path;
  return path.size() > outer.size() ? path.substr(outer.size() + 1) : std::string_view();
}

inline std::string_view first_word(std::string_view path) { return path.substr(0, path.find('.')); }

/// The path without its last word.
inline std::string_view parent(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

/// The longest path that both lie in.
inline std::string_view common(std::string_view a, std::string_view b) {
  while (!lies_in(b, a)) a = parent(a);
  return a;
}

inline std::string joined_path(std::string_view outer, std::string_view name) {
  return outer.empty() ? std::string(name) : std::string(outer) + '.' + std::string(name);
}

}  // namespace gpucnn::onnx
