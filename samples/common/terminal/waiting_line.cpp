#include "common/terminal/waiting_line.h"

#include <unistd.h>

#include <csignal>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "common/terminal/terminal.h"
#include "common/write_all.h"

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds kPatience = 1s, kRedraw = 500ms;

/// The thread gets no signals: those are for the one that works.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

WaitingLine::WaitingLine(std::string what, bool quiet) : what_(std::move(what)) {
  if (quiet || !Terminal::of_standard_output().can_erase) return;
  const BlockedSignals blocked;
  try {
    thread_ = std::jthread([this](const std::stop_token& stop) { draw(stop); });
  } catch (const std::system_error&) {
    // The work matters more than the line.
  }
}

WaitingLine::~WaitingLine() = default;

void WaitingLine::count(std::int64_t done, std::int64_t all) noexcept {
  done_ = done;
  all_ = all;
}

std::string WaitingLine::text() const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start_).count();
  if (all_ == 0) return fmt::format("{}: {} s", what_, seconds);
  return fmt::format("{}: {} of {}, {} s", what_, done_.load(), all_.load(), seconds);
}

void WaitingLine::draw(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto is_over = [&](auto time) { return wake_.wait_for(lock, stop, time, [&] { return stop.stop_requested(); }); };
  if (is_over(kPatience)) return;
  do {
    const std::string line = text();
    if (line.size() < Terminal::width()) write_all(STDOUT_FILENO, kClearLine + line);
  } while (!is_over(kRedraw));
  write_all(STDOUT_FILENO, kClearLine);
}
