#pragma once

#include <cstdint>
#include <string_view>

#include <gpucnn/core/device.h>
#include <gpucnn/core/dtype.h>
#include <gpucnn/core/export.h>

namespace gpucnn {

/// What numbers a network computes with. fp32 is true fp32 everywhere. With tf32 convolutions and linear layers round what a GPU's
/// tensor cores multiply to 10 bits of fraction. With bf16 what they multiply has 7 bits of fraction: weights, activations and
/// gradients of activations. On a GPU these are bf16 tensors; on the CPU they are f32, and rounded as they are multiplied. Sums,
/// parameters and their gradients, the loss and the optimizer's state are f32 in all of them.
enum class Precision : std::uint8_t { fp32, tf32, bf16 };

/// "fp32", "tf32" or "bf16".
GPUCNN_API std::string_view name_of(Precision precision) noexcept;

/// The precision of this name. Throws `std::invalid_argument` for any other text.
GPUCNN_API Precision parse_precision(std::string_view text);

/// Of activations and of the weights that they are multiplied with: bf16 for bf16 on a GPU, else f32.
constexpr DType activation_dtype(Precision precision, Device device) noexcept {
  return precision == Precision::bf16 && device.kind == Device::Kind::cuda ? DType::bf16 : DType::f32;
}

/// Whether factors are f32 numbers that are rounded to bf16: with bf16 on the CPU.
constexpr bool rounds_factors(Precision precision, Device device) noexcept {
  return precision == Precision::bf16 && device.kind == Device::Kind::cpu;
}

/// Throws `DeviceError` if the device cannot. tf32 needs a GPU of compute capability 8.0 or later; bf16 such a GPU, or a CPU with
/// AVX512-BF16 or AMX-BF16.
GPUCNN_API void require_precision(Precision precision, Device device);

}  // namespace gpucnn
