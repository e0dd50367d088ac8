#include "config.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <gpucnn/core/config.h>
#include <nlohmann/json.hpp>

#include "common/exit_code.h"
#include "common/json_text.h"

using namespace gpucnn;

namespace {

/// A field of config.json that is an option.
struct Field {
  std::string_view name, option;
  bool may_change = false;  // in a run that goes on
};

constexpr std::array kFields{Field{"model", "--model"},
                             Field{"width", "--width"},
                             Field{"data", "--data", true},  // it may have moved
                             Field{"image_size", "--image-size"},
                             Field{"skip_damaged", "--skip-damaged"},
                             Field{"limit", "--limit"},
                             Field{"augment", "--augment"},
                             Field{"epochs", "--epochs", true},
                             Field{"batch_size", "--batch-size"},
                             Field{"optimizer", "--optimizer"},
                             Field{"lr", "--lr"},
                             Field{"schedule", "--schedule"},
                             Field{"weight_decay", "--weight-decay"},
                             Field{"label_smoothing", "--label-smoothing"},
                             Field{"ema", "--ema"},
                             Field{"seed", "--seed"},
                             Field{"init", "--init"},
                             Field{"device", "--device", true},
                             Field{"precision", "--precision"},
                             Field{"threads", "--threads", true},
                             Field{"save_every", "--save-every", true},
                             Field{"keep", "--keep", true}};

/// Fields that say what came of the options.
constexpr std::array<std::string_view, 9> kFacts{"num_classes", "class_names", "image_shape", "dataset", "train_images",
                                                 "test_images", "mean",        "std",         "version"};

/// Stands for drawn shapes instead of a folder.
constexpr const char* kShapes = "shapes";

std::string image_shape(const OpenedDataset& data) {
  std::vector<std::string> extents;
  for (const std::int64_t extent : data.train->image_shape()) extents.push_back(std::to_string(extent));
  return json_text::list(extents);
}

template <class Number>
std::string number_or_null(const std::optional<Number>& number) {
  return number ? fmt::to_string(*number) : "null";
}

std::string save_every(const SaveEvery& every) {
  return every.minutes ? fmt::format("{}m", *every.minutes) : std::to_string(every.epochs);
}

nlohmann::json parsed(const std::filesystem::path& config) {
  std::ifstream file(config, std::ios::binary);
  if (!file) throw CheckpointError(fmt::format("{}: cannot be read", config.string()));
  auto json = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw CheckpointError(fmt::format("{}: is not the JSON that a run writes", config.string()));
  return json;
}

/// Options as fields, in the order of kFields.
std::vector<std::string> values_of(const Options& options) {
  const auto text = [](const std::string& value) { return json_text::of(value); };
  const auto flag = [](bool on) { return on ? "true" : "false"; };
  return {text(options.model),
          number_or_null(options.width),
          text(options.data.empty() ? kShapes : options.data.string()),
          number_or_null(options.image_size),
          flag(options.skip_damaged),
          number_or_null(options.limit),
          flag(options.augment),
          std::to_string(options.epochs),
          std::to_string(options.batch_size),
          text(options.optimizer),
          json_text::of(options.lr),
          text(options.schedule),
          json_text::of(options.weight_decay),
          json_text::of(options.label_smoothing),
          options.ema ? json_text::of(*options.ema) : "null",
          std::to_string(options.seed),
          text(options.init.string()),
          text(options.device),
          text(options.precision),
          std::to_string(options.threads),
          text(save_every(options.save_every)),
          std::to_string(options.keep)};
}

/// A field as a word of a command line; none for an option that is off.
std::optional<std::string> word_of(const Field& field, const nlohmann::json& value) {
  if (value.is_null() || value == false || value == "" || (field.name == "data" && value == kShapes)) return {};
  if (value == true) return std::string(field.option);
  return fmt::format("{}={}", field.option, value.is_string() ? value.get<std::string>() : value.dump());
}

/// The options of config.json as words of a command line, but for those that are `given`.
std::vector<std::string> words_of(const nlohmann::json& json, const std::vector<std::string>& given) {
  std::vector<std::string> words;
  for (const auto& [name, value] : json.items()) {
    const auto* field = std::ranges::find(kFields, name, &Field::name);
    if (field == kFields.end()) {
      if (std::ranges::find(kFacts, name) != kFacts.end()) continue;
      throw UsageError(fmt::format("it has an unknown field '{}'", name));
    }
    if (std::ranges::find(given, field->option) != given.end()) continue;
    if (auto word = word_of(*field, value)) words.push_back(std::move(*word));
  }
  return words;
}

/// Throws `CheckpointError` where the run that is asked for is not the one that was begun.
void require_same_run(const Options& begun, const Options& asked, const std::string& config) {
  const std::vector<std::string> before = values_of(begun), now = values_of(asked);
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    if (before[i] == now[i]) continue;
    if (kFields[i].option == "--epochs" && begun.schedule != "constant") {
      throw CheckpointError(fmt::format("--epochs {}: the schedule of the run in {} is made for {}", now[i], config, before[i]));
    }
    if (kFields[i].may_change) continue;
    throw CheckpointError(fmt::format("{} {}: the run in {} has {}", kFields[i].option, now[i], config, before[i]));
  }
}

}  // namespace

std::string config_of(const Options& options, const OpenedDataset& data, Device device) {
  std::vector<json_text::Member> members;
  Options resolved = options;
  resolved.device = device.string();
  const std::vector<std::string> values = values_of(resolved);
  for (std::size_t i = 0; i < kFields.size(); ++i) members.emplace_back(kFields[i].name, values[i]);
  members.insert(members.end(), {{"dataset", json_text::of(data.name)},
                                 {"train_images", std::to_string(data.train->size())},
                                 {"test_images", std::to_string(data.test->size())},
                                 {"num_classes", std::to_string(data.class_names.size())},
                                 {"class_names", json_text::of(data.class_names)},
                                 {"image_shape", image_shape(data)},
                                 {"mean", json_text::of(data.normalize.mean)},
                                 {"std", json_text::of(data.normalize.std)},
                                 {"version", json_text::of(std::string(kVersion))}});
  return json_text::object(members, json_text::Layout::in_lines);
}

Metadata metadata_of(const Options& options, const OpenedDataset& data) try {
  return {{"model", options.model},
          {"width", options.width ? std::to_string(*options.width) : ""},
          {"num_classes", std::to_string(data.class_names.size())},
          {"class_names", json_text::utf8_list(data.class_names)},
          {"image_shape", image_shape(data)},
          {"mean", json_text::of(data.normalize.mean)},
          {"std", json_text::of(data.normalize.std)},
          {"version", kVersion}};
} catch (const nlohmann::json::type_error&) {
  throw DataError(options.data.string(), 0, "class names in UTF-8", "other bytes");
}

Options resumed_options(const std::vector<std::string>& words, const std::filesystem::path& config) {
  const nlohmann::json json = parsed(config);
  const Options asked = parse_options(words);
  try {
    std::vector<std::string> all = words_of(json, asked.given);
    all.insert(all.end(), words.begin(), words.end());
    Options options = parse_options(all);
    require_same_run(parse_options(words_of(json, {})), options, config.string());
    return options;
  } catch (const UsageError& error) {
    throw CheckpointError(fmt::format("{}: {}", config.string(), error.what()));
  }
}
