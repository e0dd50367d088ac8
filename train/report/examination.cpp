#include <gpucnn/train/report/examination.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/layers/functional.h>

namespace gpucnn {
namespace {

/// NaN is no confidence at all.
float confidence(const Mistake& mistake) { return std::isnan(mistake.probability) ? -1.0F : mistake.probability; }

bool more_confident(const Mistake& a, const Mistake& b) {
  return confidence(a) > confidence(b) || (confidence(a) == confidence(b) && a.index < b.index);
}

/// Keeps the list sorted, and at most `max` long.
void keep(std::vector<Mistake>& mistakes, const Mistake& mistake, std::size_t max) {
  mistakes.insert(std::ranges::upper_bound(mistakes, mistake, more_confident), mistake);
  if (mistakes.size() > max) mistakes.pop_back();
}

void require_labels(const Tensor& logits, const Tensor& labels) {
  if (logits.rank() != 2) {
    throw std::invalid_argument(formatted("examine: expects a model that gives [N, classes], got {}", logits.shape().string()));
  }
  if (labels.dtype() != DType::i32) {
    throw std::invalid_argument(formatted("examine: expects labels that are numbers of classes, got {}", name_of(labels.dtype())));
  }
}

}  // namespace

std::int64_t Examination::images(std::int64_t label) const {
  std::int64_t sum = 0;
  for (std::int64_t guess = 0; guess < classes; ++guess) sum += count(label, guess);
  return sum;
}

std::int64_t Examination::correct() const {
  std::int64_t sum = 0;
  for (std::int64_t label = 0; label < classes; ++label) sum += count(label, label);
  return sum;
}

std::int64_t Examination::images() const {
  std::int64_t sum = 0;
  for (std::int64_t label = 0; label < classes; ++label) sum += images(label);
  return sum;
}

Examination examine(const Module& model, DataLoader& loader, int max_mistakes) {
  Examination found;
  std::size_t position = 0;
  for (const auto& [inputs, labels] : loader) {
    const Tensor logits = model.predict(inputs);
    require_labels(logits, labels);
    if (found.classes == 0) {
      found.classes = logits.shape()[1];
      found.confusion.resize(static_cast<std::size_t>(found.classes * found.classes));
    }
    const std::vector<std::int64_t> guesses = argmax(logits).to_vector<std::int64_t>();
    const std::vector<float> probabilities = softmax(logits).to_vector<float>();
    const std::vector<std::int32_t> expected = labels.to_vector<std::int32_t>();
    for (std::size_t n = 0; n < guesses.size(); ++n, ++position) {
      const std::int64_t label = expected[n], guess = guesses[n];
      if (label < 0) continue;
      if (label >= found.classes) {
        throw std::invalid_argument(formatted("examine: label {} is beyond the {} classes of the model", label, found.classes));
      }
      ++found.confusion[static_cast<std::size_t>(label * found.classes + guess)];
      if (guess == label) continue;
      const float probability = probabilities[n * static_cast<std::size_t>(found.classes) + static_cast<std::size_t>(guess)];
      keep(found.mistakes, {loader.order()[position], label, guess, probability},
           static_cast<std::size_t>(std::max(max_mistakes, 0)));
    }
  }
  return found;
}

}  // namespace gpucnn
