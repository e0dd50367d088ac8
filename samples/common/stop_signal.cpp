#include "common/stop_signal.h"

#include <unistd.h>

#include <csignal>
#include <initializer_list>

namespace {

volatile std::sig_atomic_t received = 0;

void on_signal(int signal) {
  // The default action would not do: the kernel keeps it from process 1 of a container.
  if (received != 0) _exit(128 + signal);
  received = signal;
}

}  // namespace

void handle_stop_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (std::signal(signal, SIG_IGN) != SIG_IGN) std::signal(signal, on_signal);
  }
}

int stop_signal() noexcept { return received; }
