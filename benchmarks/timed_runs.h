#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <vector>

// How programs that time whole networks measure.

inline double milliseconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

/// The times of `once`, in ms: at least 5 for `seconds`, after a tenth of that as warm-up.
template <class Once>
std::vector<double> timed_runs(const Once& once, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto lasts = [start = Clock::now()](double limit) { return milliseconds(Clock::now() - start) < limit * 1000; };
  do once();
  while (lasts(seconds / 10));
  std::vector<double> times;
  for (const auto start = Clock::now(); times.size() < 5 || milliseconds(Clock::now() - start) < seconds * 1000;) {
    const auto before = Clock::now();
    once();
    times.push_back(milliseconds(Clock::now() - before));
  }
  return times;
}

inline double quantile(const std::vector<double>& sorted, double q) {
  return sorted[static_cast<std::size_t>(std::lround(q * static_cast<double>(sorted.size() - 1)))];
}
