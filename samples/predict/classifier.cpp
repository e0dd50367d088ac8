#include "classifier.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "common/exit_code.h"

using namespace gpucnn;

namespace {

LoadedModel load(const std::filesystem::path& checkpoint) {
  try {
    LoadedModel model = load_model(checkpoint);
    const std::int64_t channels = model.image_shape[0];
    if (channels == 1 || channels == 3) return model;
    throw CheckpointError(fmt::format("{}: its images have {} channels; files have 1 or 3", checkpoint.string(), channels));
  } catch (const DataError& error) {
    throw CheckpointError(error.what());
  }
}

/// What train_cifar does with --image-size. Images of one shape that is not square were taken as they are.
ResizeOptions resize_to(const Shape& image) {
  const int height = static_cast<int>(image[1]), width = static_cast<int>(image[2]);
  ResizeOptions options{.size = {height, width}};
  if (height == width) options.resize = height;
  return options;
}

}  // namespace

Classifier::Classifier(const std::filesystem::path& checkpoint, Device device, int top)
    : model_(load(checkpoint)),
      resize_(resize_to(model_.image_shape)),
      top_(std::min(static_cast<std::size_t>(top), model_.class_names.size())) {
  model_.network->to(device);
}

int Classifier::batch_size() const {
  constexpr std::int64_t kMaxImages = 64, kMaxPixels = std::int64_t{1} << 24;
  return static_cast<int>(std::clamp(kMaxPixels / model_.image_shape.numel(), std::int64_t{1}, kMaxImages));
}

std::vector<std::vector<Guess>> Classifier::guess(const std::vector<Tensor>& images) const {
  const Shape& image = model_.image_shape;
  Tensor batch = Tensor::empty({images.size(), image[0], image[1], image[2]}, DType::u8);
  for (std::size_t i = 0; i < images.size(); ++i) batch.narrow(static_cast<std::int64_t>(i), 1).copy_from(images[i]);
  const Tensor x = model_.normalize(batch.to(model_.network->device()));
  const std::vector<float> probabilities = softmax(model_.network->predict(x)).to_vector<float>();

  const std::size_t classes = model_.class_names.size();
  std::vector<std::vector<Guess>> all(images.size());
  std::vector<std::int64_t> order(classes);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const float* row = probabilities.data() + i * classes;
    std::iota(order.begin(), order.end(), 0);
    std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(top_),
                              [row](std::int64_t a, std::int64_t b) { return row[a] > row[b] || (row[a] == row[b] && a < b); });
    for (std::size_t k = 0; k < top_; ++k) all[i].push_back({order[k], row[order[k]]});
  }
  return all;
}

std::vector<Answer> Classifier::operator()(std::span<const Input> inputs) const {
  std::vector<Answer> answers(inputs.size());
  std::vector<Tensor> images(inputs.size());
  parallel_for(static_cast<std::int64_t>(inputs.size()), [&](std::int64_t task) {
    const auto i = static_cast<std::size_t>(task);
    answers[i].problem = inputs[i].problem;
    if (!inputs[i].problem.empty()) return;
    try {
      images[i] = load_image(inputs[i].file, static_cast<int>(model_.image_shape[0]), resize_);
    } catch (const DataError& error) {
      answers[i].problem = error.what();
    } catch (const std::invalid_argument& error) {  // a side too long to be resized
      answers[i].problem = fmt::format("{}: {}", inputs[i].file.string(), error.what());
    }
  });
  std::vector<Tensor> decoded;
  std::vector<Answer*> of;
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (!images[i].defined()) continue;
    decoded.push_back(std::move(images[i]));
    of.push_back(&answers[i]);
  }
  if (decoded.empty()) return answers;
  std::vector<std::vector<Guess>> guesses = guess(decoded);
  for (std::size_t i = 0; i < of.size(); ++i) {
    if (!std::isfinite(guesses[i].front().probability)) {
      of[i]->problem = fmt::format("{}: the network makes no numbers of it",
                                   inputs[static_cast<std::size_t>(of[i] - answers.data())].file.string());
    } else {
      of[i]->guesses = std::move(guesses[i]);
    }
  }
  return answers;
}
