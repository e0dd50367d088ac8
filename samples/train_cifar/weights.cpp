#include "weights.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/command_line.h"
#include "common/exit_code.h"
#include "common/read_json.h"
#include "initial_state.h"

using namespace gpucnn;

namespace {

constexpr std::size_t kMaxNameBytes = 60;  // in a message

bool is_model(const std::string& name) { return std::ranges::find(model_names(), name) != model_names().end(); }

/// A width that --width takes.
std::optional<int> width_in(const std::string& text) {
  int width = 0;
  if (!command_line::read_number(text, width) || width < 1 || width > 4096) return {};
  return width;
}

/// The numbers of a list, of which none is NaN or infinite; empty where it is none.
std::vector<double> numbers_in(const std::string& text) {
  std::vector<double> numbers;
  for (const nlohmann::json list = read_json(text); const nlohmann::json& item : list) {
    if (!list.is_array() || !item.is_number()) return {};
    numbers.push_back(item.get<double>());
  }
  return numbers;
}

/// The texts of a list; empty where it is none.
std::vector<std::string> texts_in(const std::string& text) {
  std::vector<std::string> texts;
  for (const nlohmann::json list = read_json(text); const nlohmann::json& item : list) {
    if (!list.is_array() || !item.is_string()) return {};
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

}  // namespace

std::string Weights::text(const std::string& key) const {
  const auto found = metadata.find(key);
  return found == metadata.end() ? "" : found->second;
}

std::optional<Normalize> Weights::normalize() const {
  if (!metadata.contains("mean") && !metadata.contains("std")) return {};
  Normalize normalize{numbers_in(text("mean")), numbers_in(text("std"))};
  const auto is_positive = [](double value) { return value > 0; };
  if (normalize.mean.empty() || normalize.std.size() != normalize.mean.size() || !std::ranges::all_of(normalize.std, is_positive)) {
    throw CheckpointError(fmt::format("{}: its metadata have no mean and std of images{}", file.string(), kInitAdvice));
  }
  return normalize;
}

Weights read_weights(const std::filesystem::path& file) {
  try {
    auto [state, metadata] = load_safetensors(file);
    return {.file = file, .state = std::move(state), .metadata = std::move(metadata)};
  } catch (const DataError& error) {
    throw CheckpointError(fmt::format("{}{}", error.what(), kInitAdvice));
  }
}

Options with_model_of(const Weights& weights, Options options) {
  const auto is_given = [&](const char* name) { return std::ranges::find(options.given, name) != options.given.end(); };
  const std::string model = weights.text("model");
  if (!is_given("--model") && is_model(model)) options.model = model;
  if (!is_given("--width") && options.model == model) options.width = width_in(weights.text("width"));
  return options;
}

std::string other_model(const Weights& weights, const Metadata& own) {
  const std::string model = weights.text("model"), width = weights.text("width");
  if (!is_model(model) || (model == own.at("model") && width == own.at("width"))) return {};
  return fmt::format("is a {0} (--model {0}{1})", model, width_in(width) ? " --width " + width : "");
}

std::string other_classes(const Weights& weights, const std::vector<std::string>& class_names) {
  const std::vector<std::string> before = texts_in(weights.text("class_names"));
  if (before.size() != class_names.size()) return {};
  const auto [was, is] = std::ranges::mismatch(before, class_names);
  if (was == before.end()) return {};
  return fmt::format("{} was trained on other classes: its class {} is '{}', here '{}'", weights.file.string(),
                     was - before.begin(), printable(*was, kMaxNameBytes), printable(*is, kMaxNameBytes));
}
