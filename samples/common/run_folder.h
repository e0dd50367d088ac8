#pragma once

#include <filesystem>
#include <string>

#include <gpucnn/gpucnn.h>

/// The folder of a run: config.json, metrics.jsonl, last.safetensors and best.safetensors. Whatever cannot be written throws
/// `gpucnn::OutputError`.
class RunFolder {
 public:
  /// Makes the folder, runs/<date-time> if it has no name, and writes `config` into config.json. `metadata` goes into every
  /// checkpoint.
  RunFolder(const std::filesystem::path& folder, const std::string& config, gpucnn::Metadata metadata);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const noexcept { return folder_; }

  /// Writes last.safetensors in the middle of an epoch. Returns its path.
  std::filesystem::path save_last(gpucnn::Module& model) const;
  /// Writes last.safetensors, best.safetensors if the epoch was the best, and a line of metrics.jsonl.
  void add(const gpucnn::EpochResult& result, gpucnn::Module& model);

 private:
  std::filesystem::path folder_;
  gpucnn::Metadata metadata_;
  int metrics_;  // the open metrics.jsonl
};
