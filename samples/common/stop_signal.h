#pragma once

#include <exception>

#include "common/exit_code.h"

/// From now on SIGINT, SIGTERM and SIGHUP ask the program to end when it can. A second one of them ends it at once, but for a
/// SIGHUP right behind the first. Whoever starts a program that ignores one of them, as nohup does or a shell behind `&`, means it.
void handle_stop_signals();

/// The signal that came, or 0.
int stop_signal() noexcept;

/// How a program ends that was asked to by that signal.
inline ExitCode signalled(int signal = stop_signal()) noexcept { return static_cast<ExitCode>(128 + signal); }

/// Thrown where a signal ends work amid a function that has no other way to say so.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};
