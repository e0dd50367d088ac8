#include "common/run_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <system_error>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "common/json_text.h"
#include "common/write_all.h"

using namespace gpucnn;
namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(const fs::path& file, int error) {
  throw OutputError(file.string(), std::generic_category().message(error));
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
  do fs::create_directories(folder, failure);
  while (failure == std::errc::interrupted);
  if (failure) throw OutputError(folder.string(), failure.message());
  return folder;
}

int open_new(const fs::path& file) {
  while (true) {
    const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd >= 0) return fd;
    if (errno != EINTR) fail(file, errno);
  }
}

void write_file(const fs::path& file, const std::string& text) {
  const int fd = open_new(file);
  int error = write_all(fd, text);
  if (close(fd) != 0 && errno != EINTR && error == 0) error = errno;
  if (error != 0) fail(file, error);
}

}  // namespace

RunFolder::RunFolder(const fs::path& folder, const std::string& config, Metadata metadata)
    : folder_(folder.empty() ? make_default_folder() : make_folder(folder)), metadata_(std::move(metadata)) {
  write_file(folder_ / "config.json", config + '\n');
  metrics_ = open_new(folder_ / "metrics.jsonl");
}

RunFolder::~RunFolder() { close(metrics_); }

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
  const std::string line = json_text::object({{"epoch", std::to_string(result.epoch)},
                                              {"train_loss", json_text::of(result.train.loss())},
                                              {"train_accuracy", json_text::of(result.train.accuracy())},
                                              {"test_loss", json_text::of(result.test.loss())},
                                              {"test_accuracy", json_text::of(result.test.accuracy())},
                                              {"lr", json_text::of(result.lr)},
                                              {"seconds", json_text::of(result.seconds)},
                                              {"images_per_second", json_text::of(result.images_per_second)}},
                                             json_text::Layout::in_one_line);
  if (const int error = write_all(metrics_, line + '\n'); error != 0) fail(folder_ / "metrics.jsonl", error);
}
