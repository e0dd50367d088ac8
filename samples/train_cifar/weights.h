#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gpucnn/gpucnn.h>

#include "options.h"

/// The weights in a file, and what its metadata say of them. Files of other programs say nothing.
struct Weights {
  std::filesystem::path file;
  gpucnn::StateDict state;
  gpucnn::Metadata metadata;

  /// A text of the metadata; empty without it.
  std::string text(const std::string& key) const;
  /// What the training normalised its images by; none where the file does not say. Throws `CheckpointError` for what Normalize does
  /// not take.
  std::optional<gpucnn::Normalize> normalize() const;
};

/// Throws `CheckpointError` for a file that cannot be read.
Weights read_weights(const std::filesystem::path& file);

/// The options with the model and width that the file tells, where they were not given.
Options with_model_of(const Weights& weights, Options options);

/// What to say of the --model for weights that another model refused; empty where their file does not tell, or tells the same as
/// `own`, the metadata of that model.
std::string other_model(const Weights& weights, const gpucnn::Metadata& own);

/// What to say where as many classes have other names, or another order; empty where they are the same.
std::string other_classes(const Weights& weights, const std::vector<std::string>& class_names);
