#pragma once

#include <cstdint>

#include <gpucnn/core/dtype.h>
#include <gpucnn/kernels/common/host_device.h>

/// What the twins of a moving average share.
namespace gpucnn::kernels {

/// Coefficients as PyTorch rounds them.
struct AverageWeights {
  float kept, taken;  ///< of the average, and of the value
  explicit AverageWeights(double decay) : kept(static_cast<float>(decay)), taken(static_cast<float>(1 - decay)) {}
};

/// Whole numbers. Each operation is rounded to f32, as in PyTorch: a double holds the product, and keeps a compiler from joining
/// the two. A number that stays is its own average, which those roundings may make smaller by 1 in every update.
template <class Whole>
GPUCNN_HOST_DEVICE Whole averaged(AverageWeights w, Whole average, Whole x) {
  if (x == average) return x;
  const auto old = static_cast<float>(static_cast<double>(static_cast<float>(average)) * static_cast<double>(w.kept));
  const auto add = static_cast<float>(static_cast<double>(static_cast<float>(x)) * static_cast<double>(w.taken));
  return static_cast<Whole>(old + add);
}

/// Calls `use` with a value of the dtype.
template <class Use>
void with_averaged_type(DType dtype, const Use& use) {
  switch (dtype) {
    case DType::u8: return use(std::uint8_t{});
    case DType::i32: return use(std::int32_t{});
    case DType::i64: return use(std::int64_t{});
    default: return use(float{});
  }
}

}  // namespace gpucnn::kernels
