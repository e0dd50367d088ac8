#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gpucnn/kernels/conv/conv2d_options.h>
#include <gpucnn/kernels/pool/max_pool2d.h>
#include <gpucnn/layers/containers/sequential.h>

#include "reference/values.h"

namespace gpucnn {

/// A network that is drawn from a seed: every layer that there is, odd sizes and special values; as a Sequential, and as a list
/// that float64 follows step by step.
class RandomNetwork {
 public:
  explicit RandomNetwork(std::uint64_t seed);

  /// Where its numbers come from.
  enum class Numbers : std::uint8_t {
    real,     ///< between -1 and 1
    exact,    ///< small integers times a power of 2, down to subnormal results: f32 sums have no rounding, and ties are frequent
    special,  ///< with some NaN, infinities, zeros of both signs and subnormals among them
  };
  Numbers numbers() const noexcept { return numbers_; }

  /// One line: the input's shape, then every layer.
  std::string text() const;

  /// The network with its parameters.
  Sequential make() const;

  const Shape& x_shape() const noexcept { return x_shape_; }
  const std::vector<float>& x() const noexcept { return x_; }
  const std::vector<float>& dy() const noexcept { return dy_; }  ///< a gradient of y, finite
  const Shape& y_shape() const noexcept { return layers_.empty() ? x_shape_ : layers_.back().y; }

  /// What float64 makes of it.
  struct Pass {
    reference::Values y;
    std::vector<reference::Values> gradients;  ///< of the parameters in order, then of x
    /// Whether no decision (a ReLU's, a maximum's) was so close that rounding may turn it.
    bool certain = true;
    /// Of all values on the way, which those of a sum that cancels are measured by.
    double largest_activation = 0, largest_gradient = 0;
  };
  /// In training with the first forward's dropout, and the gradients of `dy`; in eval mode without gradients.
  Pass run(bool training) const;

 private:
  enum class Kind : std::uint8_t { conv2d, relu, max_pool2d, dropout, flatten, linear };
  struct Layer {
    Kind kind;
    Shape x, y;
    Conv2dOptions conv{.kernel_size = 1};
    kernels::Pool2d pool{1, 1};
    double p = 0;
    bool bias = true;
    std::vector<float> weight, bias_values;
  };

  int below(int bound) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(bound)); }
  bool chance(int percent) { return below(100) < percent; }
  template <class T>
  T one_of(std::initializer_list<T> values) {
    return *(values.begin() + below(static_cast<int>(values.size())));
  }
  float number(bool weight);
  std::vector<float> draw(std::int64_t count, bool weights);
  void add(Layer layer);
  bool add_conv2d(bool joinable);
  bool add_max_pool2d(bool joinable);
  void add_linear();
  void add_dropout();
  Sequential::Child child(const Layer& layer) const;

  std::mt19937_64 engine_;
  Numbers numbers_;
  float unit_ = 1;  // of exact inputs
  Shape x_shape_;
  std::vector<Layer> layers_;
  std::size_t split_ = 0;  // layers before it stand in a Sequential of their own, those from it on in another; 0: all in one
  std::vector<float> x_, dy_;
};

}  // namespace gpucnn
