#include "common/stop_signal.h"

#include <unistd.h>

#include <csignal>
#include <ctime>
#include <initializer_list>

namespace {

volatile std::sig_atomic_t received = 0;

timespec received_at{};

/// Whether the first signal came just now. A terminal that closes sends SIGHUP twice, by the shell and by the kernel.
bool is_echo(int signal) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return signal == SIGHUP && now.tv_sec - received_at.tv_sec <= 1;
}

void on_signal(int signal) {
  if (received == 0) {
    clock_gettime(CLOCK_MONOTONIC, &received_at);
    received = signal;
  } else if (!is_echo(signal)) {
    _exit(128 + signal);  // the default action would not do: the kernel keeps it from process 1 of a container
  }
}

}  // namespace

void handle_stop_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (std::signal(signal, SIG_IGN) != SIG_IGN) std::signal(signal, on_signal);
  }
}

int stop_signal() noexcept { return received; }
