#pragma once

#include <cstdint>

namespace gpucnn {

/// A function that is applied to each element by itself, with its parameters: `{Activation::relu}`.
struct Activation {
  enum Kind : std::uint8_t { none, relu };
  Kind kind = none;
};

}  // namespace gpucnn
