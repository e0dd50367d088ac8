#include "common/metrics_log.h"

#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "common/exit_code.h"
#include "common/json_text.h"

using namespace gpucnn;
namespace fs = std::filesystem;

namespace {

std::vector<json_text::Member> members_of(const EpochResult& result) {
  return {{"epoch", std::to_string(result.epoch)},
          {"train_loss", json_text::of(result.train.loss())},
          {"train_accuracy", json_text::of(result.train.accuracy())},
          {"test_loss", json_text::of(result.test.loss())},
          {"test_accuracy", json_text::of(result.test.accuracy())},
          {"lr", json_text::of(result.lr)},
          {"seconds", json_text::of(result.seconds)},
          {"images_per_second", json_text::of(result.images_per_second)}};
}

/// The names of the columns, as the first line of a table.
std::string heading() {
  std::vector<std::string_view> names;
  for (const auto& [name, value] : members_of({})) names.push_back(name);
  return fmt::format("{}\n", fmt::join(names, ","));
}

std::string row(const std::vector<json_text::Member>& members) {
  std::vector<std::string_view> values;
  for (const auto& [name, value] : members) values.push_back(value == "null" ? "" : std::string_view(value));
  return fmt::format("{}\n", fmt::join(values, ","));
}

/// The members of a line. Throws `nlohmann::json::exception` for one that no run has written.
std::vector<json_text::Member> parsed(const std::string& line) {
  const auto json = nlohmann::json::parse(line);
  std::vector<json_text::Member> members = members_of({});
  for (auto& [name, value] : members) value = json.at(name).dump();
  return members;
}

void write_whole(const fs::path& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace

MetricsLog::MetricsLog(const fs::path& folder)
    : lines_file_(folder / "metrics.jsonl"), table_file_(folder / "metrics.csv"), table_(heading()) {}

void MetricsLog::read(int epochs) {
  std::ifstream file(lines_file_, std::ios::binary);
  for (std::string line; std::getline(file, line);) {
    try {
      const std::vector<json_text::Member> members = parsed(line);
      if (nlohmann::json::parse(line).at("epoch").get<int>() > epochs) break;
      lines_ += line + '\n';
      table_ += row(members);
    } catch (const nlohmann::json::exception&) {
      throw CheckpointError(fmt::format("{}: has a line that is not the metrics of an epoch", lines_file_.string()));
    }
  }
}

void MetricsLog::add(const EpochResult& result) {
  const std::vector<json_text::Member> members = members_of(result);
  lines_ += json_text::object(members, json_text::Layout::in_one_line) + '\n';
  table_ += row(members);
  write_whole(table_file_, table_);
  write_whole(lines_file_, lines_);
}
