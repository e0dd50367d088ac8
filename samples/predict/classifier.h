#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <gpucnn/gpucnn.h>

#include "inputs.h"

/// A class and its probability.
struct Guess {
  std::int64_t label;
  float probability;
};

/// What is in an image.
struct Answer {
  std::string heat_map;        // a PNG file, if it was asked for
  std::string problem;         // why there is none; then there is no guess
  std::vector<Guess> guesses;  // the most probable first, of equals the first class
};

/// A trained model that takes files.
class Classifier {
 public:
  /// Throws `CheckpointError` for a file that load_model refuses, and for a model of images that are neither colour nor grey.
  Classifier(const std::filesystem::path& checkpoint, gpucnn::Device device, int top, bool heat_maps);

  const std::vector<std::string>& class_names() const noexcept { return model_.class_names; }

  /// How many images should be computed at once.
  int batch_size() const;

  /// The answer to each file. Images are decoded on all threads, then computed at once.
  std::vector<Answer> operator()(std::span<const Input> inputs);

 private:
  std::vector<std::vector<Guess>> guess(const gpucnn::Tensor& x) const;
  std::vector<std::string> draw(const std::vector<gpucnn::Tensor>& images, const gpucnn::Tensor& x,
                                const std::vector<std::vector<Guess>>& guesses);

  gpucnn::LoadedModel model_;
  gpucnn::ResizeOptions resize_;
  std::size_t top_;
  std::string layer_;  // whose maps are drawn; empty: none
};
