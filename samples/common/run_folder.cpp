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

using namespace gpucnn;
namespace fs = std::filesystem;

namespace {

constexpr const char* kState = "state.safetensors";
/// What a run writes, in the order in which it may be removed: what is left never looks like a whole run.
constexpr std::array kResults{kState, "metrics.jsonl", "metrics.csv", "best.safetensors", "last.safetensors", "config.json"};

bool is_there(const fs::path& file) {
  std::error_code ignored;
  const fs::file_type type = fs::symlink_status(file, ignored).type();
  return type != fs::file_type::not_found && type != fs::file_type::none;
}

/// So that a new folder outlives a power cut. A file system may be unable to flush a folder.
void flush_parent(const fs::path& folder) {
  const fs::path parent = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
  int fd = 0;
  do fd = open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return;
  while (fsync(fd) != 0 && errno == EINTR) {
  }
  close(fd);
}

/// Makes a folder in one that is there. Returns whether it was not there before.
bool make_one_folder(const fs::path& folder) {
  std::error_code failure;
  bool made = false;
  do made = fs::create_directory(folder, failure);
  while (failure == std::errc::interrupted);
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
  do fs::create_directories(folder, failure);
  while (failure == std::errc::interrupted);
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

/// The position that the name of a kept state tells: epochs, and batches behind them.
std::optional<std::pair<std::int64_t, std::int64_t>> position_in(const std::string& name) {
  std::string_view rest = name;
  std::int64_t epoch = 0, batches = 0;
  if (!take_number(rest, "state-", epoch) || !take_number(rest, "-", batches) || rest != ".safetensors") return {};
  return std::pair(epoch, batches);
}

/// The states that were kept in a folder, the oldest first.
std::vector<fs::path> kept_states(const fs::path& folder) {
  std::vector<std::pair<std::pair<std::int64_t, std::int64_t>, fs::path>> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (const auto position = position_in(entry->path().filename().string())) found.emplace_back(*position, entry->path());
  }
  std::ranges::sort(found);
  std::vector<fs::path> files;
  for (auto& [position, file] : found) files.push_back(std::move(file));
  return files;
}

void remove_file(const fs::path& file) {
  std::error_code error;
  do fs::remove(file, error);
  while (error == std::errc::interrupted);
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
  do lock_ = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (lock_ < 0 && errno == EINTR);
  if (lock_ < 0) throw OutputError(folder.string(), std::generic_category().message(errno));
  int result = 0;
  do result = flock(lock_, LOCK_EX | LOCK_NB);
  while (result != 0 && errno == EINTR);
  // A file system without locks keeps nobody out.
  if (result != 0 && errno == EWOULDBLOCK) throw OutputError(folder.string(), "another run is writing into it");
  const bool is_used = std::ranges::any_of(kResults, [&](const char* name) { return is_there(folder / name); });
  if (is_used && used_ == UsedFolder::refuse) {
    throw OutputError(folder.string(), "it holds the results of a run; --resume goes on with that run, --overwrite removes them");
  }
}

std::optional<fs::path> RunFolder::find(const std::string& name) const {
  if (lock_ < 0 || !is_there(folder_ / name)) return {};
  return folder_ / name;
}

void RunFolder::begin(const std::string& config, Metadata metadata) {
  if (lock_ < 0) {
    folder_ = folder_.empty() ? make_default_folder() : make_folder(folder_);
    take(folder_);  // which somebody may have made in the meantime
  }
  if (used_ != UsedFolder::refuse) remove_results();
  start(config, std::move(metadata));
}

void RunFolder::resume(const std::string& config, Metadata metadata, const RunPosition& position) {
  MetricsLog metrics(folder_);
  metrics.read(position.epoch);
  start(config, std::move(metadata));
  metrics_ = std::move(metrics);
}

void RunFolder::start(const std::string& config, Metadata metadata) {
  metadata_ = std::move(metadata);
  metrics_.emplace(folder_);
  AtomicFile file(folder_ / "config.json");
  file.write(config + '\n');
  file.commit();
}

void RunFolder::remove_results() const {
  for (const fs::path& file : kept_states(folder_)) remove_file(file);
  for (const char* name : kResults) {
    const fs::path file = folder_ / name;
    if (!is_there(file)) continue;
    AtomicFile replaceable(file);  // refuses what is not a file
    remove_file(file);
  }
}

fs::path RunFolder::save_last(Module& model) const {
  fs::path file = folder_ / "last.safetensors";
  save_safetensors(file, model.state_dict(), metadata_);
  return file;
}

void RunFolder::add(const EpochResult& result, Module& model) {
  Metadata judged = metadata_;
  judged["epoch"] = std::to_string(result.epoch);
  judged["test_accuracy"] = fmt::format("{}", result.test.accuracy());
  save_safetensors(folder_ / "last.safetensors", model.state_dict(), judged);
  if (result.best) save_safetensors(folder_ / "best.safetensors", model.state_dict(), judged);
  metrics_->add(result);
}

void RunFolder::save_state(const RunParts& run, const RunPosition& position, int keep) const {
  const fs::path newest = folder_ / kState;
  save_checkpoint(newest, run, position, metadata_);
  if (keep > 1) {
    const fs::path kept = folder_ / fmt::format("state-{}-{}.safetensors", position.epoch, position.batches);
    remove_file(kept);
    std::error_code error;
    do fs::create_hard_link(newest, kept, error);
    while (error == std::errc::interrupted);
    if (error) throw OutputError(kept.string(), error.message());
  }
  std::vector<fs::path> states = kept_states(folder_);
  const std::size_t wanted = keep > 1 ? static_cast<std::size_t>(keep) : 0;
  for (std::size_t i = 0; i + wanted < states.size(); ++i) remove_file(states[i]);
}
