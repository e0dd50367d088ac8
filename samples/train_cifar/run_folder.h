#pragma once

#include <filesystem>
#include <fstream>

#include <gpucnn/gpucnn.h>
#include <nlohmann/json.hpp>

/// The folder of a run: config.json, metrics.jsonl, last.safetensors and best.safetensors. Whatever cannot be written throws
/// `gpucnn::OutputError`.
class RunFolder {
 public:
  /// Makes the folder and writes config.json. `metadata` goes into every checkpoint.
  RunFolder(std::filesystem::path folder, const nlohmann::ordered_json& config, gpucnn::Metadata metadata);

  const std::filesystem::path& path() const noexcept { return folder_; }

  /// Writes last.safetensors.
  void save_last(gpucnn::Module& model) const;
  /// Appends a line to metrics.jsonl, writes last.safetensors, and best.safetensors if the epoch was the best.
  void add(const gpucnn::EpochResult& result, gpucnn::Module& model);

 private:
  std::filesystem::path folder_;
  gpucnn::Metadata metadata_;
  std::ofstream metrics_;
};

/// runs/<date-time>, in local time.
std::filesystem::path default_run_folder();
