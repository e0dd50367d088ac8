#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include <gpucnn/kernels/common/size2.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// Where a network that is drawn gets its chances from, and what is known of the layers so far.
class Draw {
 public:
  /// `joins`: whether rows of layers are Sequentials, which join them. `whole`: whether x has whole numbers.
  Draw(std::uint64_t seed, bool joins, bool whole);

  /// 0 to bound - 1.
  int below(int bound) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(bound)); }
  int between(int least, int most) { return least + below(most - least + 1); }
  Size2 size(int least, int most);
  bool chance(int percent) { return below(100) < percent; }
  std::uint64_t seed() { return engine_(); }

  /// These layers in a row.
  std::unique_ptr<Module> row(std::vector<std::unique_ptr<Module>> layers) const;

  struct Known {
    /// How large a whole number may come out of the last layer; 0: they are not whole, or f32 would round their sums.
    double largest;
    /// Whether a Conv2d, a ReLU and a MaxPool2d may run in one pass, which adds in another order.
    bool one_pass = false;
    std::vector<int> counts;  ///< how often each maker's layer was taken
  };
  Known known;
  int depth = 0;  ///< of the containers around the layer that is drawn

  /// A layer adds up this many products of whole numbers with weights of -1, 0 and 1, and a bias.
  void add_products(std::int64_t count);

 private:
  std::mt19937_64 engine_;
  bool joins_;
};

/// How a layer is drawn. To have another in the networks, add a line for it to the table.
struct LayerMaker {
  const char* name;
  int rank;    ///< of the x that it takes; 0: any
  int weight;  ///< its share of the layers
  bool whole;  ///< whether whole numbers come out where whole numbers go in
  /// A layer for x, or null; one that does not take x after all is thrown away.
  std::unique_ptr<Module> (*make)(const Shape& x, Draw& draw);
};

/// The table.
std::span<const LayerMaker> layer_makers();

/// Up to `count` layers in a row, at least one, or null. `x` becomes what they make of it. If `keeps_shape`, that is x.
std::unique_ptr<Module> draw_row(Shape& x, int count, bool keeps_shape, Draw& draw);

}  // namespace gpucnn
