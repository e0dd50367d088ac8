#include "common/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/exit_code.h"
#include "common/folder_names.h"
#include "common/read_json.h"
#include "common/retry.h"
#include "common/text_file.h"

using namespace gpucnn;
namespace fs = std::filesystem;

namespace {

constexpr const char* kState = "state.safetensors";
constexpr const char* kConfig = "config.json";
constexpr const char* kReport = "report.html";
constexpr const char* kTest = "test.json";
/// What a run writes besides.
constexpr std::array kResults{kState, "metrics.jsonl", "metrics.csv", kTest, kReport, "best.safetensors", "last.safetensors"};

bool is_there(const fs::path& file) {
  std::error_code ignored;
  const fs::file_type type = fs::symlink_status(file, ignored).type();
  return type != fs::file_type::not_found && type != fs::file_type::none;
}

/// So that a new folder outlives a power cut. A file system may be unable to flush a folder.
void flush_parent(const fs::path& folder) {
  const fs::path parent = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
  const int fd = retry([&] { return open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) return;
  retry([&] { return fsync(fd); });
  close(fd);
}

/// Makes a folder in one that is there. Returns whether it was not there before.
bool make_one_folder(const fs::path& folder) {
  std::error_code failure;
  bool made = false;
  retry(failure, [&](std::error_code& error) { made = fs::create_directory(folder, error); });
  if (failure == std::errc::not_a_directory || failure == std::errc::file_exists) {
    throw OutputError(folder.string(), "it is a file, not a folder");
  }
  if (failure == std::errc::no_such_file_or_directory && folder.is_relative()) {
    throw OutputError(folder.string(), "the current folder is not there any more, or is none in which folders can be made");
  }
  if (failure) throw OutputError(folder.string(), failure.message());
  if (made) flush_parent(folder);
  return made;
}

/// Makes runs/<date-time>, in local time, or runs/<date-time>-2 where another run was as quick.
fs::path make_default_folder() {
  const std::time_t now = std::time(nullptr);
  const fs::path runs = "runs";
  make_one_folder(runs);
  const fs::path name = runs / fmt::format("{:%Y-%m-%d_%H-%M-%S}", fmt::localtime(now));
  fs::path folder = name;
  for (int again = 2; !make_one_folder(folder); ++again) folder = fmt::format("{}-{}", name.string(), again);
  return folder;
}

fs::path make_folder(const fs::path& folder) {
  std::error_code failure;
  const fs::file_type type = fs::status(folder, failure).type();
  if (type == fs::file_type::directory) return folder;
  if (type != fs::file_type::not_found && type != fs::file_type::none) {
    throw OutputError(folder.string(), "it is a file, not a folder");
  }
  if (type == fs::file_type::not_found && fs::is_symlink(folder, failure)) {
    throw OutputError(folder.string(), "it is a symbolic link to a folder that is not there");
  }
  std::vector<fs::path> made;
  for (fs::path missing = folder; !missing.empty() && !is_there(missing); missing = missing.parent_path()) made.push_back(missing);
  retry(failure, [&](std::error_code& error) { fs::create_directories(folder, error); });
  if (failure) throw OutputError(folder.string(), failure.message());
  std::ranges::for_each(made, flush_parent);
  return folder;
}

/// The number behind `start` in a text, and the rest.
bool take_number(std::string_view& text, std::string_view start, std::int64_t& number) {
  if (!text.starts_with(start)) return false;
  text.remove_prefix(start.size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc{};
}

/// The place that the name of a kept state tells: epochs, and batches of the next.
std::optional<std::pair<std::int64_t, std::int64_t>> place_in(const std::string& name) {
  std::string_view rest = name;
  std::int64_t epoch = 0, batches = 0;
  if (!take_number(rest, "state-", epoch) || !take_number(rest, "-", batches) || rest != ".safetensors") return {};
  return std::pair(epoch, batches);
}

using Place = std::pair<std::int64_t, std::int64_t>;

/// The states that were kept in a folder with the places that their names tell, the earliest first.
std::vector<std::pair<Place, fs::path>> kept_states(const fs::path& folder) {
  std::vector<std::pair<Place, fs::path>> found;
  for (const std::string& name : folder_names(folder)) {
    if (const auto place = place_in(name)) found.emplace_back(*place, folder / name);
  }
  std::ranges::sort(found);
  return found;
}

bool has_results(const fs::path& folder) {
  return std::ranges::any_of(kResults, [&](const char* name) { return is_there(folder / name); }) || !kept_states(folder).empty();
}

void remove_file(const fs::path& file) {
  std::error_code error;
  retry(error, [&](std::error_code& failure) { fs::remove(file, failure); });
  if (error) throw OutputError(file.string(), error.message());
}

}  // namespace

RunFolder::RunFolder(const fs::path& folder, UsedFolder used) : folder_(folder), used_(used) {
  if (!folder.empty() && is_there(folder)) take(make_folder(folder));
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) close(lock_);
}

/// The lock is the open folder's own: it needs no file, and ends with the process, however that ends.
void RunFolder::take(const fs::path& folder) {
  lock_ = retry([&] { return open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (lock_ < 0) throw OutputError(folder.string(), std::generic_category().message(errno));
  // A file system without locks keeps nobody out.
  if (retry([&] { return flock(lock_, LOCK_EX | LOCK_NB); }) != 0 && errno == EWOULDBLOCK) {
    throw OutputError(folder.string(), "another run is writing into it");
  }
  const bool is_used = has_results(folder), can_go_on = is_there(folder / kState) || !is_used;
  if (used_ == UsedFolder::refuse && (is_used || is_there(folder / kConfig))) {
    throw OutputError(folder.string(),
                      can_go_on ? "it holds the results of a run; --resume goes on with that run, --overwrite removes them"
                                : "it holds results, and no state that --resume could go on from; --overwrite removes them");
  }
  if (used_ == UsedFolder::resume && !can_go_on) {
    const char* kept = kept_states(folder).empty() ? "" : "copy a state that was kept to that name, or ";
    throw CheckpointError(
        fmt::format("{}: holds results, but no {} to go on from; {}begin anew with --overwrite", folder.string(), kState, kept));
  }
}

std::optional<fs::path> RunFolder::find(const std::string& name) const {
  if (lock_ < 0 || !is_there(folder_ / name)) return {};
  return folder_ / name;
}

void RunFolder::begin(const Texts& texts) {
  if (lock_ < 0) {
    folder_ = folder_.empty() ? make_default_folder() : make_folder(folder_);
    take(folder_);
    if (used_ == UsedFolder::resume && has_results(folder_)) {  // since there was no folder
      throw OutputError(folder_.string(), "another run has written into it in the meantime");
    }
  }
  texts_ = texts;
  metrics_.emplace(folder_, texts.judged);
  AtomicFile file(folder_ / kConfig);
  file.write(texts.config + '\n');
  if (used_ == UsedFolder::overwrite) remove_results();
  file.commit();
}

void RunFolder::resume(const Texts& texts, const RunPosition& position) {
  MetricsLog metrics(folder_, texts.judged);
  metrics.read(position.epoch);
  for (const char* name : {"last.safetensors", "best.safetensors"}) {
    if (position.best_epoch == 0 || is_there(folder_ / name)) continue;
    throw CheckpointError(fmt::format("{}: is not there, though {} says that it was written", (folder_ / name).string(), kState));
  }
  texts_ = texts;
  metrics_ = std::move(metrics);
  write_text(folder_ / kConfig, texts.config + '\n');
  // They will be made again.
  if (is_there(folder_ / kTest)) remove_file(folder_ / kTest);
  for (const auto& [place, file] : kept_states(folder_)) {
    if (place > Place(position.epoch, position.batches)) remove_file(file);
  }
}

void RunFolder::remove_results() const {
  std::vector<fs::path> results;
  for (const std::string& name : folder_names(folder_)) {
    if (name.starts_with("events.out.tfevents.")) results.push_back(folder_ / name);  // TensorBoard would mix them with the new
  }
  for (const auto& [place, file] : kept_states(folder_)) results.push_back(file);
  for (const char* name : kResults) results.push_back(folder_ / name);
  std::erase_if(results, [](const fs::path& file) { return !is_there(file); });
  for (const fs::path& file : results) AtomicFile replaceable(file);  // refuses what is not a file
  std::ranges::for_each(results, remove_file);
}

fs::path RunFolder::save_last(Module& model) const {
  fs::path file = folder_ / "last.safetensors";
  save_safetensors(file, model.state_dict(), texts_.metadata);
  return file;
}

void RunFolder::add(const EpochResult& result, Module& model) {
  Metadata judged = texts_.metadata;
  judged["epoch"] = std::to_string(result.epoch);
  judged[texts_.judged + "_accuracy"] = fmt::format("{}", result.test.accuracy());
  save_safetensors(folder_ / "last.safetensors", model.state_dict(), judged);
  if (result.best) save_safetensors(folder_ / "best.safetensors", model.state_dict(), judged);
  metrics_->add(result);
}

void RunFolder::save_test(const std::string& json) const { write_text(folder_ / kTest, json + '\n'); }

std::optional<double> RunFolder::test_accuracy() const {
  const auto file = find(kTest);
  if (!file) return {};
  try {
    return read_json(read_text(*file)).at("test_accuracy").get<double>();
  } catch (const nlohmann::json::exception&) {
    return {};  // the test is made again
  }
}

void RunFolder::save_report(const std::string& html) const { write_text(folder_ / kReport, html); }

void RunFolder::save_state(const RunParts& run, const RunPosition& position, int keep) const {
  const Metadata identity{{kIdentity, texts_.identity}};
  if (keep > 1) {
    save_checkpoint(folder_ / fmt::format("state-{}-{}.safetensors", position.epoch, position.batches), run, position, identity);
  }
  save_checkpoint(folder_ / kState, run, position, identity);
  const std::vector<std::pair<Place, fs::path>> states = kept_states(folder_);
  const std::size_t wanted = keep > 1 ? static_cast<std::size_t>(keep) : 0;
  for (std::size_t i = 0; i + wanted < states.size(); ++i) remove_file(states[i].second);
}
