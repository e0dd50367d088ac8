#pragma once

#include <cerrno>

namespace gpucnn {

/// The result of a system call that returns less than 0 and sets errno on failure. Repeats the call while a signal interrupts it.
template <class Call>
auto retry(const Call& call) {
  while (true) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

}  // namespace gpucnn
