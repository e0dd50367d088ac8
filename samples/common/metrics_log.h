#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <gpucnn/gpucnn.h>

/// metrics.jsonl and metrics.csv of a run folder: a line for each epoch. Each file is written anew with every line and appears
/// whole or not at all, so whatever ends a run, they have whole lines. Whatever cannot be written throws `gpucnn::OutputError`.
class MetricsLog {
 public:
  /// `judged` is by which images epochs are judged, as columns name it: "test" or "validation".
  MetricsLog(const std::filesystem::path& folder, std::string judged);

  /// Takes over the lines of a run up to this epoch; later ones will be made again. Throws `CheckpointError` if one of them is
  /// missing, cannot be read, or is not what a run writes.
  void read(int epochs);
  void add(const gpucnn::EpochResult& result);
  /// Those that were read.
  const std::vector<gpucnn::EpochNumbers>& epochs() const noexcept { return epochs_; }

 private:
  std::filesystem::path lines_file_, table_file_;
  std::string judged_;
  std::string lines_, table_;  // what they hold
  std::vector<gpucnn::EpochNumbers> epochs_;
};
