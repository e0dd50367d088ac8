#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

struct DrawnNetworkOptions {
  bool joins = true;    ///< whether the network joins layers; the same seed gives the same network without
  int num_classes = 0;  ///< of a classifier, whose x is of two images; 0: of any y
};

/// A network that is drawn from a seed, out of every layer in layer_makers.h. Some of its parameters may be frozen.
struct DrawnNetwork {
  explicit DrawnNetwork(std::uint64_t seed, DrawnNetworkOptions options = {});

  std::unique_ptr<Module> model;
  Shape x, y;
  bool whole;               ///< whether x shall have whole numbers from -2 to 2; then weights are -1, 0 and 1
  bool one_pass;            ///< whether layers that are joined may add in another order
  std::vector<int> counts;  ///< of each maker's layers
};

}  // namespace gpucnn
