#include "config.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <gpucnn/core/config.h>
#include <gpucnn/core/text/near_name.h>
#include <nlohmann/json.hpp>

#include "common/exit_code.h"
#include "common/json_text.h"
#include "common/read_json.h"
#include "common/text_file.h"

using namespace gpucnn;

namespace {

std::string flag(bool on) { return on ? "true" : "false"; }

std::string or_null(const std::optional<double>& number) { return number ? json_text::of(*number) : "null"; }
template <class Integer>
std::string or_null(const std::optional<Integer>& number) {
  return number ? std::to_string(*number) : "null";
}
std::string or_null(const std::filesystem::path& path) { return path.empty() ? "null" : json_text::of(path.string()); }

std::string save_every(const SaveEvery& every) {
  return every.minutes ? fmt::format("{}m", *every.minutes) : std::to_string(every.epochs);
}

/// A field of config.json that is an option.
struct Field {
  std::string_view name, option;
  std::string (*value)(const Options& options);  // as JSON
  bool may_change = false;                       // in a run that goes on
  bool is_new = false;                           // runs of earlier versions lack it, and have its default
};

constexpr std::array kFields{
    Field{"model", "--model", [](const Options& o) { return json_text::of(o.model); }},
    Field{"width", "--width", [](const Options& o) { return or_null(o.width); }},
    Field{"data", "--data", [](const Options& o) { return or_null(o.data); }, true},
    Field{"image_size", "--image-size", [](const Options& o) { return or_null(o.image_size); }},
    Field{"skip_damaged", "--skip-damaged", [](const Options& o) { return flag(o.skip_damaged); }},
    Field{"limit", "--limit", [](const Options& o) { return or_null(o.limit); }},
    Field{"validation_split", "--validation-split", [](const Options& o) { return or_null(o.validation_split); }, false, true},
    Field{"augment", "--augment", [](const Options& o) { return flag(o.augment); }},
    Field{"epochs", "--epochs", [](const Options& o) { return std::to_string(o.epochs); }},
    Field{"early_stop", "--early-stop", [](const Options& o) { return or_null(o.early_stop); }, true, true},
    Field{"batch_size", "--batch-size", [](const Options& o) { return std::to_string(o.batch_size); }},
    Field{"optimizer", "--optimizer", [](const Options& o) { return json_text::of(o.optimizer); }},
    Field{"lr", "--lr", [](const Options& o) { return json_text::of(o.lr); }},
    Field{"schedule", "--schedule", [](const Options& o) { return json_text::of(o.schedule); }},
    Field{"weight_decay", "--weight-decay", [](const Options& o) { return json_text::of(o.weight_decay); }},
    Field{"label_smoothing", "--label-smoothing", [](const Options& o) { return json_text::of(o.label_smoothing); }},
    Field{"ema", "--ema", [](const Options& o) { return or_null(o.ema); }},
    Field{"clip_grad_norm", "--clip-grad-norm", [](const Options& o) { return or_null(o.clip_grad_norm); }, false, true},
    Field{"sync_batch_norm", "--sync-batch-norm", [](const Options& o) { return flag(o.sync_batch_norm); }, false, true},
    Field{"seed", "--seed", [](const Options& o) { return std::to_string(o.seed); }},
    // Read once, when the run began.
    Field{"init", "--init", [](const Options& o) { return or_null(o.init); }, true},
    Field{"freeze", "--freeze", [](const Options& o) { return o.freeze.empty() ? "null" : json_text::of(o.freeze); }, false, true},
    Field{"device", "--device", [](const Options& o) { return json_text::of(o.device); }, true},
    Field{"precision", "--precision", [](const Options& o) { return json_text::of(o.precision); }},
    Field{"threads", "--threads", [](const Options& o) { return std::to_string(o.threads); }, true},
    Field{"save_every", "--save-every", [](const Options& o) { return json_text::of(save_every(o.save_every)); }, true},
    Field{"keep", "--keep", [](const Options& o) { return std::to_string(o.keep); }, true},
    Field{"tensorboard", "--tensorboard", [](const Options& o) { return flag(o.tensorboard); }, true, true}};

/// Fields that say what came of the options.
constexpr std::array<std::string_view, 11> kFacts{
    "dataset", "train_images", "validation_images", "test_images", "num_classes", "class_names", "image_shape", "mean", "std",
    "world",   "version"};

std::string image_shape(const RunData& data) {
  std::vector<std::string> extents;
  for (const std::int64_t extent : data.train->image_shape()) extents.push_back(std::to_string(extent));
  return json_text::list(extents);
}

nlohmann::json parsed(const std::string& text, const std::filesystem::path& file) {
  nlohmann::json json = read_json(text);
  if (!json.is_object()) throw CheckpointError(fmt::format("{}: is not the JSON that a run writes", file.string()));
  return json;
}

/// A field as words of a command line; none for an option that is off. Throws `UsageError` for a value that no option has.
std::vector<std::string> words_of(const Field& field, const nlohmann::json& value) {
  // As a run with all options at their defaults writes it.
  const bool may_be_null = field.value(Options{}) == "null", is_flag = field.value(Options{}) == "false";
  if ((value.is_null() && may_be_null) || (value == false && is_flag)) return {};
  if (value == true && is_flag) return {std::string(field.option)};
  if (value.is_array() && field.name == "freeze") {
    std::vector<std::string> words;
    for (const nlohmann::json& pattern : value) {
      if (!pattern.is_string()) throw UsageError(fmt::format("its field '{}' has {} in its list", field.name, pattern.dump()));
      words.push_back(fmt::format("{}={}", field.option, pattern.get<std::string>()));
    }
    return words;
  }
  if (value.is_number() && !is_flag) return {fmt::format("{}={}", field.option, value.dump())};
  if (value.is_string() && !is_flag) return {fmt::format("{}={}", field.option, value.get<std::string>())};
  throw UsageError(fmt::format("its field '{}' is {}", field.name, value.dump()));
}

/// Throws `UsageError` for a field that no run writes.
void require_known(const nlohmann::json& json) {
  std::vector<std::string> names(kFacts.begin(), kFacts.end());
  for (const Field& field : kFields) names.emplace_back(field.name);
  for (const auto& [name, value] : json.items()) {
    if (std::ranges::find(names, name) != names.end()) continue;
    const std::string* const meant = near_name(name, names);
    throw UsageError(fmt::format("it has an unknown field '{}'{}", name, meant ? fmt::format("; did you mean {}?", *meant) : ""));
  }
}

/// The options of config.json as words of a command line, but for those that are `given`.
std::vector<std::string> words_of(const nlohmann::json& json, const std::vector<std::string>& given) {
  require_known(json);
  std::vector<std::string> words;
  for (const Field& field : kFields) {
    if (!json.contains(field.name) || std::ranges::find(given, field.option) != given.end()) continue;
    std::ranges::move(words_of(field, json.at(std::string(field.name))), std::back_inserter(words));
  }
  return words;
}

/// Throws `UsageError` where config.json lacks an option.
void require_whole(const nlohmann::json& json) {
  for (const Field& field : kFields) {
    if (!field.is_new && !json.contains(field.name)) throw UsageError(fmt::format("it has no field '{}'", field.name));
  }
}

/// Each of more processes has fewer threads. Runs of older versions had one process, and no such field.
void drop_threads_of_other(nlohmann::json& json, int world) {
  const nlohmann::json before = json.contains("world") ? json.at("world") : nlohmann::json(1);
  if (before != world) json.erase("threads");
}

/// Whether a run may go on with another value.
bool may_change(const Field& field, const Options& options) {
  return field.name == "epochs" ? options.schedule == "constant" : field.may_change;
}

/// Throws `CheckpointError` where the run that is asked for is not the one that was begun.
void require_same_options(const Options& begun, const Options& asked, const std::string& config) {
  for (const Field& field : kFields) {
    const std::string before = field.value(begun), now = field.value(asked);
    if (before == now) continue;
    if (field.name == "epochs" && !may_change(field, begun)) {
      throw CheckpointError(fmt::format("--epochs {}: the schedule of the run in {} is made for {}", now, config, before));
    }
    if (!may_change(field, begun))
      throw CheckpointError(fmt::format("{} {}: the run in {} has {}", field.option, now, config, before));
  }
}

/// What came of the options.
std::vector<json_text::Member> facts_of(const RunData& data) {
  return {{"dataset", json_text::of(data.name)},
          {"train_images", std::to_string(data.train->size())},
          {"validation_images", data.validation ? std::to_string(data.validation->size()) : "null"},
          {"test_images", std::to_string(data.test->size())},
          {"num_classes", std::to_string(data.class_names.size())},
          {"class_names", json_text::of(data.class_names)},
          {"image_shape", image_shape(data)},
          {"mean", json_text::of(data.normalize.mean)},
          {"std", json_text::of(data.normalize.std)}};
}

std::vector<json_text::Member> members_of(const Options& options, const RunData& data, Device device) {
  Options resolved = options;
  resolved.device = device.string();
  std::vector<json_text::Member> members;
  members.reserve(kFields.size() + kFacts.size());
  for (const Field& field : kFields) members.emplace_back(field.name, field.value(resolved));
  for (auto& fact : facts_of(data)) members.push_back(std::move(fact));
  members.emplace_back("world", std::to_string(options.world));
  members.emplace_back("version", json_text::of(std::string(kVersion)));
  return members;
}

}  // namespace

std::string config_of(const Options& options, const RunData& data, Device device) {
  return json_text::object(members_of(options, data, device), json_text::Layout::in_lines);
}

std::vector<std::pair<std::string, std::string>> rows_of(const Options& options, const RunData& data, Device device) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (auto& [name, value] : members_of(options, data, device)) {
    if (name != "class_names") rows.emplace_back(name, std::move(value));
  }
  return rows;
}

std::string identity_of(const Options& options, const RunData& data) {
  std::vector<json_text::Member> members;
  for (const Field& field : kFields) {
    if (!may_change(field, options)) members.emplace_back(field.name, field.value(options));
  }
  for (auto& fact : facts_of(data)) members.push_back(std::move(fact));
  return json_text::object(members, json_text::Layout::in_one_line);
}

Metadata metadata_of(const Options& options, const RunData& data) try {
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

std::vector<std::string> with_config(const std::vector<std::string>& words, const Options& given, int world) {
  const std::filesystem::path& file = given.config;
  try {
    nlohmann::json json = parsed(read_text(file), file);
    if (json.contains("world")) drop_threads_of_other(json, world);
    std::vector<std::string> all = words_of(json, given.given);
    parse_options(all);  // what is wrong with the file alone
    all.insert(all.end(), words.begin(), words.end());
    return all;
  } catch (const CheckpointError& error) {
    throw UsageError(fmt::format("--config: {}", error.what()));
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("--config: {}: {}", file.string(), error.what()));
  }
}

std::vector<std::string> resumed_words(const std::vector<std::string>& words, const std::filesystem::path& config, int world) {
  nlohmann::json json = parsed(read_text(config), config);
  const Options asked = parse_options(words);
  try {
    require_whole(json);
    drop_threads_of_other(json, world);
    std::vector<std::string> all = words_of(json, asked.given);
    all.insert(all.end(), words.begin(), words.end());
    require_same_options(parse_options(words_of(json, {})), parse_options(all), config.string());
    return all;
  } catch (const UsageError& error) {
    throw CheckpointError(fmt::format("{}: {}", config.string(), error.what()));
  }
}

void require_same_run(const std::string& identity, const std::string& before, const std::filesystem::path& file) {
  const nlohmann::json now = parsed(identity, file), then = parsed(before, file);
  for (const auto& [name, value] : now.items()) {
    const nlohmann::json was = then.value(name, nlohmann::json());
    if (was != value)
      throw CheckpointError(fmt::format("{}: is of a run with {} {}, not {}", file.string(), name, was.dump(), value.dump()));
  }
}
