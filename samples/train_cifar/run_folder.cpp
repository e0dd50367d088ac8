#include "run_folder.h"

#include <cerrno>
#include <cstring>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

using namespace gpucnn;

namespace {

/// Throws with the reason the system gave last.
void require(bool good, const std::filesystem::path& file) {
  if (!good) throw OutputError(file.string(), std::strerror(errno ? errno : EIO));
}

}  // namespace

RunFolder::RunFolder(std::filesystem::path folder, const nlohmann::ordered_json& config, Metadata metadata)
    : folder_(std::move(folder)), metadata_(std::move(metadata)) {
  std::error_code failure;
  std::filesystem::create_directories(folder_, failure);
  if (failure) throw OutputError(folder_.string(), failure.message());
  if (!std::filesystem::is_directory(folder_)) throw OutputError(folder_.string(), "it is a file, not a folder");
  const std::filesystem::path file = folder_ / "config.json";
  errno = 0;
  std::ofstream out(file);
  out << config.dump(2) << '\n' << std::flush;
  require(out.good(), file);
  errno = 0;
  metrics_.open(folder_ / "metrics.jsonl");
  require(metrics_.good(), folder_ / "metrics.jsonl");
}

void RunFolder::save_last(Module& model) const { save_safetensors(folder_ / "last.safetensors", model.state_dict(), metadata_); }

void RunFolder::add(const EpochResult& result, Module& model) {
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
  metadata_["epoch"] = std::to_string(result.epoch);
  metadata_["test_accuracy"] = fmt::format("{}", result.test.accuracy());
  save_last(model);
  if (result.best) save_safetensors(folder_ / "best.safetensors", model.state_dict(), metadata_);
}

std::filesystem::path default_run_folder() {
  return std::filesystem::path("runs") / fmt::format("{:%Y-%m-%d_%H-%M-%S}", fmt::localtime(std::time(nullptr)));
}
