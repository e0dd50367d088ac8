#pragma once

#include <stdexcept>
#include <string>

#include <gmock/gmock.h>

namespace gpucnn {

/// Matches a call that throws `std::invalid_argument` with `message` in its text.
inline auto misuse(const std::string& message) {
  return ::testing::ThrowsMessage<std::invalid_argument>(::testing::HasSubstr(message));
}

}  // namespace gpucnn
