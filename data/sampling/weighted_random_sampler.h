#pragma once

#include <cstdint>
#include <vector>

namespace gpucnn {

/// Draws the examples of an epoch with probabilities in proportion to their weights, as PyTorch's WeightedRandomSampler: for
/// classes that are not equally many, the weight of an example is 1 / (how many its class has). It is an option of a DataLoader.
///
/// Draw number i takes u = (words 2i and 2i + 1 of RandomStream(seed, Purpose::shuffle, 2, epoch), their first 53 bits, plus 1/2) /
/// 2^53. With replacement it is the first example whose weight and those before it add up to more than u * (the sum of all).
/// Without, example i has the key -log(u) / weight, and the num_samples smallest keys are taken in their order (Efraimidis and
/// Spirakis, "Weighted random sampling with a reservoir", 2006): the same chances as one draw after the other.
struct WeightedRandomSampler {
  std::vector<double> weights;   ///< of every example: finite and >= 0, not all 0; they need not add up to 1
  std::int64_t num_samples = 0;  ///< drawn in an epoch, >= 1; without replacement at most as many as weights are > 0
  bool replacement = true;       ///< whether an example can come several times
};

}  // namespace gpucnn
