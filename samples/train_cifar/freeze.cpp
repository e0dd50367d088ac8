#include "freeze.h"

#include <fnmatch.h>

#include <algorithm>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gpucnn/core/text/near_name.h>

#include "common/exit_code.h"

using namespace gpucnn;

namespace {

bool matches(const std::string& pattern, const std::string& name) { return fnmatch(pattern.c_str(), name.c_str(), 0) == 0; }

/// The paths of the modules around a parameter: of a.0.weight these are a and a.0.
std::vector<std::string> modules_around(const std::string& name) {
  std::vector<std::string> paths;
  for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1))
    paths.push_back(name.substr(0, dot));
  return paths;
}

/// What to write instead of a pattern without a match.
std::string advice(const std::string& pattern, const std::vector<Parameter>& parameters) {
  std::vector<std::string> names;
  std::set<std::string> outermost;
  for (const Parameter& parameter : parameters) {
    names.push_back(parameter.name());
    for (const std::string& path : modules_around(parameter.name())) names.push_back(path + ".*");
    outermost.insert(parameter.name().substr(0, parameter.name().find('.')) + ".*");
  }
  if (const std::string* const meant = near_name(pattern, names)) return fmt::format("; did you mean {}?", *meant);
  return fmt::format("; there are {}", fmt::join(outermost, ", "));
}

/// Freezes the modules that have nothing to learn any more.
void freeze_modules(Module& model, const std::vector<Parameter>& parameters) {
  std::set<std::string> frozen, learning;
  for (const Parameter& parameter : parameters) {
    const std::vector<std::string> paths = modules_around(parameter.name());
    (parameter.requires_grad() ? learning : frozen).insert(paths.begin(), paths.end());
  }
  for (const std::string& path : frozen) {
    if (!learning.contains(path)) model.at(path).freeze();
  }
}

}  // namespace

void freeze(Module& model, const std::vector<std::string>& patterns) {
  if (patterns.empty()) return;
  std::vector<Parameter> parameters = model.parameters();
  for (const std::string& pattern : patterns) {
    bool has_match = false;
    for (Parameter& parameter : parameters) {
      if (!matches(pattern, parameter.name())) continue;
      parameter.requires_grad(false);
      has_match = true;
    }
    if (!has_match) {
      throw UsageError(fmt::format("--freeze: '{}' matches no parameter{}", pattern, advice(pattern, parameters)));
    }
  }
  if (std::ranges::none_of(parameters, [](const Parameter& parameter) { return parameter.requires_grad(); }))
    throw UsageError("--freeze: leaves nothing to learn");
  freeze_modules(model, parameters);
}
