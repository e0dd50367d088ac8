#pragma once

#include <pthread.h>

#include <csignal>

namespace gpucnn {

/// While one lives, the calling thread takes no signal. A thread that it starts meanwhile never takes one. Signals are the
/// application's, and go to a thread of its own.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace gpucnn
