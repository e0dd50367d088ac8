#include "common/metrics_log.h"

#include <limits>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "common/exit_code.h"
#include "common/json_text.h"
#include "common/read_json.h"
#include "common/text_file.h"

using namespace gpucnn;
namespace fs = std::filesystem;

namespace {

std::vector<json_text::Member> members_of(const EpochNumbers& result, const std::string& judged) {
  return {{"epoch", std::to_string(result.epoch)},
          {"train_loss", json_text::of(result.train_loss)},
          {"train_accuracy", json_text::of(result.train_accuracy)},
          {judged + "_loss", json_text::of(result.test_loss)},
          {judged + "_accuracy", json_text::of(result.test_accuracy)},
          {"lr", json_text::of(result.lr)},
          {"seconds", json_text::of(result.seconds)},
          {"images_per_second", json_text::of(result.images_per_second)}};
}

/// The names of the columns, as the first line of a table.
std::string heading(const std::string& judged) {
  std::vector<std::string> names;
  for (auto& [name, value] : members_of(EpochNumbers(), judged)) names.push_back(std::move(name));
  return fmt::format("{}\n", fmt::join(names, ","));
}

std::string row(const std::vector<json_text::Member>& members) {
  std::vector<std::string_view> values;
  values.reserve(members.size());
  for (const auto& [name, value] : members) values.push_back(value == "null" ? "" : std::string_view(value));
  return fmt::format("{}\n", fmt::join(values, ","));
}

/// The members of a line. Throws `nlohmann::json::exception` for one that no run has written.
std::vector<json_text::Member> members_of(const nlohmann::json& line, const std::string& judged) {
  std::vector<json_text::Member> members = members_of(EpochNumbers(), judged);
  for (auto& [name, value] : members) value = line.at(name).dump();
  return members;
}

/// What is no number in a line, as a loss that was infinite, is NaN.
EpochNumbers numbers_of(const nlohmann::json& line, const std::string& judged) {
  const auto number = [&](const std::string& name) {
    return line.at(name).is_number() ? line.at(name).get<double>() : std::numeric_limits<double>::quiet_NaN();
  };
  return {.epoch = line.at("epoch").get<int>(),
          .train_loss = number("train_loss"),
          .train_accuracy = number("train_accuracy"),
          .test_loss = number(judged + "_loss"),
          .test_accuracy = number(judged + "_accuracy"),
          .lr = number("lr"),
          .seconds = number("seconds"),
          .images_per_second = number("images_per_second")};
}

}  // namespace

MetricsLog::MetricsLog(const fs::path& folder, std::string judged)
    : lines_file_(folder / "metrics.jsonl"),
      table_file_(folder / "metrics.csv"),
      judged_(std::move(judged)),
      table_(heading(judged_)) {}

void MetricsLog::read(int epochs) {
  if (epochs == 0) return;
  const std::string text = read_text(lines_file_);
  std::istringstream lines(text);
  std::string line;
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    try {
      if (!std::getline(lines, line)) line.clear();
      const nlohmann::json json = read_json(line);
      const std::vector<json_text::Member> members = members_of(json, judged_);
      if (members.front().second != std::to_string(epoch)) line.clear();
      lines_ += line + '\n';
      table_ += row(members);
      epochs_.push_back(numbers_of(json, judged_));
    } catch (const nlohmann::json::exception&) {
      line.clear();
    }
    if (line.empty()) throw CheckpointError(fmt::format("{}: has no metrics of epoch {}", lines_file_.string(), epoch));
  }
}

void MetricsLog::add(const EpochResult& result) {
  const std::vector<json_text::Member> members = members_of(EpochNumbers::of(result), judged_);
  lines_ += json_text::object(members, json_text::Layout::in_one_line) + '\n';
  table_ += row(members);
  write_text(table_file_, table_);
  write_text(lines_file_, lines_);
}
