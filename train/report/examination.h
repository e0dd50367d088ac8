#pragma once

#include <cstdint>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/data/data_loader.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// An image that a model takes for another class.
struct Mistake {
  std::int64_t index;  ///< in the dataset
  std::int64_t label, guess;
  float probability;  ///< of the guess
};

/// What a model makes of a test set.
struct GPUCNN_API Examination {
  std::int64_t classes = 0;
  std::vector<std::int64_t> confusion;  ///< [classes, classes], rows: labels, columns: guesses
  std::vector<Mistake> mistakes;        ///< the most confident first, NaN last; of equals the first image

  std::int64_t count(std::int64_t label, std::int64_t guess) const {
    return confusion[static_cast<std::size_t>(label * classes + guess)];
  }
  std::int64_t images(std::int64_t label) const;
  std::int64_t correct() const;
  std::int64_t images() const;
};

/// The confusion matrix of `model.predict` on the loader's batches, and its most confident mistakes, at most `max_mistakes`. The
/// guess is the class with the largest logit, the first of equals; its probability is softmax's. Images with labels below 0 are
/// left out, as losses leave out -100. Throws `std::invalid_argument` for a model that does not give [N, classes], and for labels
/// that are probabilities or beyond the classes.
GPUCNN_API Examination examine(const Module& model, DataLoader& loader, int max_mistakes);

}  // namespace gpucnn
