#pragma once

#include <string>

#include "common/exit_code.h"

/// Prints a message as one line of predict on standard error.
void report(const std::string& message);

/// Says of the exception that is being handled what is wrong and what to do. Returns its code.
ExitCode report_caught() noexcept;
