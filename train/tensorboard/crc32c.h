#pragma once

#include <cstdint>
#include <string_view>

namespace gpucnn::tensorboard {

/// The checksum CRC-32C (Castagnoli, RFC 3720 appendix B.4) of bytes.
std::uint32_t crc32c(std::string_view bytes);

/// The same rotated and shifted, as records hold it: a checksum of bytes that hold their own checksum is weak.
std::uint32_t masked_crc32c(std::string_view bytes);

}  // namespace gpucnn::tensorboard
