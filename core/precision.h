#pragma once

#include <cstdint>
#include <string_view>

#include <gpucnn/core/device.h>
#include <gpucnn/core/export.h>

namespace gpucnn {

/// What numbers convolutions and linear layers are computed with. fp32 is true fp32 everywhere. tf32 rounds what a GPU's tensor
/// cores multiply to 10 bits of fraction and adds in fp32.
enum class Precision : std::uint8_t { fp32, tf32 };

/// "fp32" or "tf32".
GPUCNN_API std::string_view name_of(Precision precision) noexcept;

/// The precision of this name. Throws `std::invalid_argument` for any other text.
GPUCNN_API Precision parse_precision(std::string_view text);

/// Throws `DeviceError` if the device cannot: tf32 needs a GPU of compute capability 8.0 or later.
GPUCNN_API void require_precision(Precision precision, Device device);

}  // namespace gpucnn
