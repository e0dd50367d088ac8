#pragma once

#include <cerrno>
#include <system_error>

/// The result of a system call that returns less than 0 and sets errno on failure. Repeats the call while a signal interrupts it.
template <class Call>
auto retry(const Call& call) {
  while (true) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

/// Calls `call`, which reports a failure through an error_code, until no signal interrupts it.
template <class Call, class Error>
void retry(Error& error, const Call& call) {
  do call(error);
  while (error == std::errc::interrupted);
}
