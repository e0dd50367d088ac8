#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gpucnn/gpucnn.h>

#include "common/metrics_log.h"

/// What to do about the results of a run in a folder.
enum class UsedFolder { refuse, resume, overwrite };

/// The folder of a run: config.json, metrics.jsonl, metrics.csv, test.json, report.html, the weights in last.safetensors and
/// best.safetensors, and state.safetensors, from which the run can go on. One process at a time has it. Each file appears whole or
/// not at all. Whatever cannot be written throws `gpucnn::OutputError`.
class RunFolder {
 public:
  /// Takes the folder, if it is there, for this process alone. Writes nothing. Throws `gpucnn::OutputError` where another process
  /// has it, and where it holds results and `used` is `refuse`. Throws `CheckpointError` where `used` is `resume` and the results
  /// lack a state.
  RunFolder(const std::filesystem::path& folder, UsedFolder used);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const noexcept { return folder_; }
  /// The file `name` in it, if it is there.
  std::optional<std::filesystem::path> find(const std::string& name) const;

  /// What files of a run say about it.
  struct Texts {
    std::string config;         ///< the content of config.json
    std::string identity;       ///< for kIdentity in the metadata of states
    gpucnn::Metadata metadata;  ///< of all weights
    std::string judged;         ///< by which images epochs are judged: "test" or "validation"
  };
  static constexpr const char* kIdentity = "run";

  /// Makes the folder, runs/<date-time> if it has no name, and writes config.json. `overwrite` removes the results that are there,
  /// once it is known that files can be written.
  void begin(const Texts& texts);
  /// For a run that goes on at this position. Throws `CheckpointError` if files of it are missing or damaged, and changes nothing
  /// then.
  void resume(const Texts& texts, const gpucnn::RunPosition& position);

  /// Writes last.safetensors in the middle of an epoch. Returns its path.
  std::filesystem::path save_last(gpucnn::Module& model) const;
  /// Writes last.safetensors, best.safetensors if the epoch was the best, and a line of metrics.
  void add(const gpucnn::EpochResult& result, gpucnn::Module& model);
  /// Writes report.html.
  void save_report(const std::string& html) const;
  /// Writes test.json: what the test images say of best.safetensors, where others judged the epochs.
  void save_test(const std::string& json) const;
  /// What test.json says, if a test has ended.
  std::optional<double> test_accuracy() const;
  /// The epochs that a run which goes on has behind it.
  const std::vector<gpucnn::EpochNumbers>& epochs() const { return metrics_->epochs(); }
  /// Writes state.safetensors. Of several to `keep`, each is also a file of its own, state-<epoch>-<batches>.safetensors.
  void save_state(const gpucnn::RunParts& run, const gpucnn::RunPosition& position, int keep) const;

 private:
  void take(const std::filesystem::path& folder);
  void remove_results() const;

  std::filesystem::path folder_;
  UsedFolder used_;
  Texts texts_;
  std::optional<MetricsLog> metrics_;
  int lock_ = -1;  // the open folder
};
