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

Classifier::Classifier(const std::filesystem::path& checkpoint, Device device, int top, bool heat_maps)
    : model_(load(checkpoint)),
      resize_(resize_to(model_.image_shape)),
      top_(std::min(static_cast<std::size_t>(top), model_.class_names.size())) {
  model_.network->to(device);
  if (!heat_maps) return;
  const Shape& image = model_.image_shape;
  try {
    layer_ = last_map_layer(*model_.network, {1, image[0], image[1], image[2]});
  } catch (const std::invalid_argument& error) {
    throw UsageError(fmt::format("--heatmap: {}", error.what()));
  }
}

int Classifier::batch_size() const {
  constexpr std::int64_t kMaxImages = 64, kMaxPixels = std::int64_t{1} << 24;
  return static_cast<int>(std::clamp(kMaxPixels / model_.image_shape.numel(), std::int64_t{1}, kMaxImages));
}

std::vector<std::vector<Guess>> Classifier::guess(const Tensor& x) const {
  const std::vector<float> probabilities = softmax(model_.network->predict(x)).to_vector<float>();

  const std::size_t classes = model_.class_names.size();
  std::vector<std::vector<Guess>> all(static_cast<std::size_t>(x.dim(0)));
  std::vector<std::int64_t> order(classes);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const float* row = probabilities.data() + i * classes;
    std::iota(order.begin(), order.end(), 0);
    std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(top_),
                              [row](std::int64_t a, std::int64_t b) { return row[a] > row[b] || (row[a] == row[b] && a < b); });
    for (std::size_t k = 0; k < top_; ++k) all[i].push_back({order[k], row[order[k]]});
  }
  return all;
}

/// Where the network sees the most probable class of each image.
std::vector<std::string> Classifier::draw(const std::vector<Tensor>& images, const Tensor& x,
                                          const std::vector<std::vector<Guess>>& guesses) {
  constexpr int kSide = 256;  // pixels
  std::vector<std::int64_t> classes;
  classes.reserve(guesses.size());
  for (const std::vector<Guess>& of_image : guesses) classes.push_back(of_image.front().label);
  const Tensor maps = grad_cam(*model_.network, x, classes, layer_);
  std::vector<std::string> files(images.size());
  parallel_for(static_cast<std::int64_t>(images.size()), [&](std::int64_t i) {
    files[static_cast<std::size_t>(i)] = heat_map_png(images[static_cast<std::size_t>(i)], maps.narrow(i, 1), kSide);
  });
  return files;
}

std::vector<Answer> Classifier::operator()(std::span<const Input> inputs) {
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
  const Shape& image = model_.image_shape;
  Tensor batch = Tensor::empty({decoded.size(), image[0], image[1], image[2]}, DType::u8);
  for (std::size_t i = 0; i < decoded.size(); ++i) batch.narrow(static_cast<std::int64_t>(i), 1).copy_from(decoded[i]);
  const Tensor x = model_.normalize(batch.to(model_.network->device()));
  std::vector<std::vector<Guess>> guesses = guess(x);
  std::vector<std::string> heat_maps(decoded.size());
  if (!layer_.empty()) heat_maps = draw(decoded, x, guesses);
  for (std::size_t i = 0; i < of.size(); ++i) {
    if (!std::isfinite(guesses[i].front().probability)) {
      of[i]->problem = fmt::format("{}: the network makes no numbers of it",
                                   inputs[static_cast<std::size_t>(of[i] - answers.data())].file.string());
    } else {
      of[i]->guesses = std::move(guesses[i]);
      of[i]->heat_map = std::move(heat_maps[i]);
    }
  }
  return answers;
}
