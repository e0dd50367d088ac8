#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace gpucnn {

/// A count as people write it: 79,995.
std::string grouped(std::int64_t count);

/// The longest part of a name that a message shows, in bytes.
inline constexpr std::size_t kMaxNameBytes = 60;

/// Names for a message, printable and short: the first five, and how many more there are.
std::string list_names(std::span<const std::string> names);

}  // namespace gpucnn
