#pragma once

#include <cstdint>

namespace gpucnn {

/// The bytes that one byte of deflate's stream gives at most (RFC 1951): a match of 258 takes two bits at least.
inline constexpr std::uint64_t kMaxDeflateRatio = 1032;

}  // namespace gpucnn
