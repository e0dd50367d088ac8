#pragma once

#include <string_view>

/// Writes all of `text`, however often a signal interrupts it, and waits where a reader is slow. Returns 0, or the error as in
/// errno. Takes no memory.
int write_all(int fd, std::string_view text) noexcept;
