#pragma once

#include <limits>
#include <string>
#include <vector>

#include <gpucnn/core/bf16.h>
#include <gpucnn/kernels/copy/cast.h>

#include "conv2d_case.h"
#include "device_test.h"

/// What the convolutions by kernels of our own are tried on.
namespace gpucnn::kernels {

inline const Conv2dCase kConv2dCases[] = {
    {"first of SimpleCNN", {.N = 3, .C = 3, .H = 32, .W = 32, .K = 16, .kernel_size = 3, .padding = 1}},
    {"second of SimpleCNN", {.N = 5, .C = 16, .H = 16, .W = 16, .K = 32, .kernel_size = 3, .padding = 1}},
    {"one of everything", {.N = 1, .C = 1, .H = 1, .W = 1, .K = 1, .kernel_size = 1}},
    {"odd", {.N = 3, .C = 5, .H = 7, .W = 5, .K = 17, .kernel_size = 3, .padding = 1}},
    {"many images", {.N = 257, .C = 3, .H = 5, .W = 4, .K = 2, .kernel_size = 3, .padding = 1}},
    {"many tiles", {.N = 2, .C = 36, .H = 6, .W = 5, .K = 68, .kernel_size = 3, .padding = 1}},
    {"many odd tiles", {.N = 2, .C = 35, .H = 6, .W = 5, .K = 67, .kernel_size = 3, .padding = 1}},
    {"fours in small tiles", {.N = 2, .C = 4, .H = 9, .W = 9, .K = 12, .kernel_size = 3, .padding = 1}},
    {"stride", {.N = 2, .C = 3, .H = 31, .W = 33, .K = 4, .kernel_size = 3, .stride = 2, .padding = 1}},
    {"stride over the edge", {.N = 2, .C = 4, .H = 8, .W = 9, .K = 4, .kernel_size = 2, .stride = 3, .padding = 1}},
    {"oblong", {.N = 2, .C = 2, .H = 9, .W = 11, .K = 3, .kernel_size = {1, 5}, .stride = {2, 1}, .padding = {0, 2}}},
    {"dilation", {.N = 2, .C = 4, .H = 9, .W = 7, .K = 4, .kernel_size = {2, 3}, .padding = {3, 1}, .dilation = {1, 3}}},
    {"all at once",
     {.N = 2, .C = 6, .H = 11, .W = 12, .K = 4, .kernel_size = {3, 2}, .stride = {2, 3}, .padding = {3, 4}, .dilation = {2, 3}}},
    {"taps outside", {.N = 2, .C = 4, .H = 2, .W = 2, .K = 4, .kernel_size = 5, .padding = 4}},
    {"pixels outside", {.N = 2, .C = 4, .H = 3, .W = 2, .K = 4, .kernel_size = 1, .padding = 2}},
    {"fours of the input alone", {.N = 67, .C = 128, .H = 1, .W = 1, .K = 10, .kernel_size = 1}},
    {"pointwise", {.N = 3, .C = 33, .H = 5, .W = 5, .K = 31, .kernel_size = 1}},
    {"sides", {.N = 2, .C = 4, .H = 6, .W = 7, .K = 5, .kernel_size = 3, .padding = Sides{0, 2, 3, 1}}},
    {"sides, stride",
     {.N = 2, .C = 3, .H = 6, .W = 6, .K = 4, .kernel_size = 3, .stride = 2, .padding = Sides{.bottom = 1, .right = 1}}},
    {"without bias", {.N = 3, .C = 4, .H = 6, .W = 6, .K = 8, .kernel_size = 3, .padding = 1}, false}};

/// Values that make NaN of the padding's zeros.
inline constexpr float kNotNumbers[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()};

class Conv2dKernelTest : public DeviceTest {
 protected:
  /// Numbers that the dtype has exactly.
  static std::vector<float> numbers(std::int64_t count, unsigned seed, DType dtype) {
    std::vector<float> made = reference::random_floats(count, seed);
    if (dtype == DType::bf16) {
      for (float& value : made) value = to_float(to_bf16(value));
    }
    return made;
  }

  /// Memory for the shape that begins at element `first`.
  Tensor room(const Shape& shape, DType dtype, std::int64_t first) const {
    return empty({shape.numel() + first}, dtype).view(first, shape);
  }

  /// The same with these values.
  Tensor placed(const std::vector<float>& values, const Shape& shape, DType dtype, std::int64_t first) {
    Tensor made = room(shape, dtype, first);
    if (dtype == DType::f32) {
      made.copy_from(tensor(values, shape));
    } else {
      cast(tensor(values, shape), made, stream());
    }
    return made;
  }

  std::vector<float> values(const Tensor& tensor) {
    if (tensor.dtype() == DType::f32) return tensor.to_vector<float>();
    Tensor wide = empty(tensor.shape());
    cast(tensor, wide, stream());
    return wide.to_vector<float>();
  }
};

}  // namespace gpucnn::kernels
