#pragma once

#include <filesystem>
#include <fstream>

#include <gpucnn/gpucnn.h>
#include <nlohmann/json.hpp>

/// The folder of a run: config.json, metrics.jsonl, last.safetensors and best.safetensors. Whatever cannot be written throws
/// `gpucnn::OutputError`.
class RunFolder {
 public:
  /// Makes the folder, runs/<date-time> if it has no name, and writes config.json. `metadata` goes into every checkpoint.
  RunFolder(const std::filesystem::path& folder, const nlohmann::ordered_json& config, gpucnn::Metadata metadata);

  const std::filesystem::path& path() const noexcept { return folder_; }

  /// Writes last.safetensors in the middle of an epoch. Returns its path.
  std::filesystem::path save_last(gpucnn::Module& model) const;
  /// Writes last.safetensors, best.safetensors if the epoch was the best, and a line of metrics.jsonl.
  void add(const gpucnn::EpochResult& result, gpucnn::Module& model);

 private:
  std::filesystem::path folder_;
  gpucnn::Metadata metadata_;
  std::ofstream metrics_;
};
