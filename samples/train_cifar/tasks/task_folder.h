#pragma once

#include <optional>
#include <string>

#include <gpucnn/gpucnn.h>

#include "common/run_folder.h"
#include "train_cifar/options.h"
#include "train_cifar/setup.h"

/// What a task besides training says, and writes into the folder of --out where that is given.
class TaskFolder {
 public:
  explicit TaskFolder(const Options& options);

  bool is_wanted() const { return folder_.has_value(); }
  /// Prints what is said before the work, unless --quiet was given. `fresh`: a sentence about layers that --init has not filled.
  void introduce(const Setup& setup, const std::string& fresh = {}) const;
  void say(const std::string& line) const;
  /// Writes config.json and report.html, and says so. What was found has been printed: no room for files is no reason to lose it.
  void save(const Setup& setup, const gpucnn::RunReport& report);
  /// Prints what was found.
  void finish(const std::string& line) const;

 private:
  const Options& options_;
  std::optional<RunFolder> folder_;
};
