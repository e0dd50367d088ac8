#include "run_folder.h"

#include <cerrno>
#include <cstring>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

using namespace gpucnn;
namespace fs = std::filesystem;

namespace {

/// Throws with the reason the system gave last.
void require(bool good, const fs::path& file) {
  if (!good) throw OutputError(file.string(), std::strerror(errno ? errno : EIO));
}

/// Makes runs/<date-time>, in local time, or runs/<date-time>-2 where another run was as quick.
fs::path make_default_folder() {
  const std::time_t now = std::time(nullptr);
  const fs::path name = fs::path("runs") / fmt::format("{:%Y-%m-%d_%H-%M-%S}", *std::localtime(&now));
  std::error_code failure;
  fs::create_directories(name.parent_path(), failure);
  fs::path folder = name;
  for (int again = 2; !fs::create_directory(folder, failure) && !failure; ++again) {
    folder = fmt::format("{}-{}", name.string(), again);
  }
  if (failure) throw OutputError(folder.string(), failure.message());
  return folder;
}

fs::path make_folder(const fs::path& folder) {
  std::error_code failure;
  if (fs::exists(folder, failure) && !fs::is_directory(folder)) throw OutputError(folder.string(), "it is a file, not a folder");
  fs::create_directories(folder, failure);
  if (failure) throw OutputError(folder.string(), failure.message());
  return folder;
}

}  // namespace

RunFolder::RunFolder(const fs::path& folder, const nlohmann::ordered_json& config, Metadata metadata)
    : folder_(folder.empty() ? make_default_folder() : make_folder(folder)), metadata_(std::move(metadata)) {
  const fs::path file = folder_ / "config.json";
  errno = 0;
  std::ofstream out(file);
  // The name of a folder may be no UTF-8.
  out << config.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n' << std::flush;
  require(out.good(), file);
  errno = 0;
  metrics_.open(folder_ / "metrics.jsonl");
  require(metrics_.good(), folder_ / "metrics.jsonl");
}

fs::path RunFolder::save_last(Module& model) const {
  const fs::path file = folder_ / "last.safetensors";
  save_safetensors(file, model.state_dict(), metadata_);
  return file;
}

void RunFolder::add(const EpochResult& result, Module& model) {
  Metadata judged = metadata_;
  judged["epoch"] = std::to_string(result.epoch);
  judged["test_accuracy"] = fmt::format("{}", result.test.accuracy());
  save_safetensors(folder_ / "last.safetensors", model.state_dict(), judged);
  if (result.best) save_safetensors(folder_ / "best.safetensors", model.state_dict(), judged);
  const nlohmann::ordered_json line = {{"epoch", result.epoch},
                                       {"train_loss", result.train.loss()},
                                       {"train_accuracy", result.train.accuracy()},
                                       {"test_loss", result.test.loss()},
                                       {"test_accuracy", result.test.accuracy()},
                                       {"lr", result.lr},
                                       {"seconds", result.seconds},
                                       {"images_per_second", result.images_per_second}};
  errno = 0;
  metrics_ << line.dump() << '\n' << std::flush;
  require(metrics_.good(), folder_ / "metrics.jsonl");
}
