#pragma once

#include <cstdint>
#include <string_view>

#include <gpucnn/core/device.h>
#include <gpucnn/core/dtype.h>
#include <gpucnn/core/export.h>

namespace gpucnn {

/// What numbers a network computes with. fp32 is true fp32 everywhere. With tf32 convolutions and linear layers round what a GPU's
/// tensor cores multiply to 10 bits of fraction. With bf16 activations, their gradients and the weights that are multiplied
/// have 7 bits of fraction. Sums, parameters and their gradients, the loss and the optimizer's state are f32 in all of them.
enum class Precision : std::uint8_t { fp32, tf32, bf16 };

/// "fp32", "tf32" or "bf16".
GPUCNN_API std::string_view name_of(Precision precision) noexcept;

/// The precision of this name. Throws `std::invalid_argument` for any other text.
GPUCNN_API Precision parse_precision(std::string_view text);

/// Of activations and of the weights that they are multiplied with: bf16 for bf16, else f32.
constexpr DType activation_dtype(Precision precision) noexcept { return precision == Precision::bf16 ? DType::bf16 : DType::f32; }

/// Throws `DeviceError` if the device cannot: tf32 and bf16 need a GPU of compute capability 8.0 or later.
GPUCNN_API void require_precision(Precision precision, Device device);

}  // namespace gpucnn
