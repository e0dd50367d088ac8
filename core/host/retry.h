#pragma once

#include <cerrno>

namespace gpucnn {

/// What a system call comes to that gives less than 0 and sets errno when it fails: it is made again as long as a signal has
/// interrupted it.
template <class Call>
auto retry(const Call& call) {
  while (true) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

}  // namespace gpucnn
