#pragma once

#include <string>

#include "common/exit_code.h"

/// Prints a text on standard output. Throws `StandardOutputError`.
void print(const std::string& text);

/// Says of the exception that is being handled, in one line on standard error, what is wrong and what to do. Returns its code.
ExitCode say_what_is_wrong() noexcept;
