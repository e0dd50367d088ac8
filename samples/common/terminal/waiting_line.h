#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

/// A line on a terminal for work that takes more than a second, as "reading the images: 3 s", or "reading the images: 200 of 1000,
/// 3 s". It is gone when the work is done. Nothing is printed where standard output is no terminal, or one that cannot erase a
/// line.
class WaitingLine {
 public:
  /// `quiet`: prints nothing at all.
  explicit WaitingLine(std::string what, bool quiet = false);
  ~WaitingLine();
  WaitingLine(const WaitingLine&) = delete;
  WaitingLine& operator=(const WaitingLine&) = delete;

  /// How far the work has come. Any thread may say so.
  void count(std::int64_t done, std::int64_t all) noexcept;

 private:
  void draw(const std::stop_token& stop);
  std::string text() const;

  std::string what_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::atomic<std::int64_t> done_ = 0, all_ = 0;  // all_: 0 where nothing is counted
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: it uses the others
};
