#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <new>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "instruction_set.h"

// Measures what the processor can do at most, all threads at once, and prints one line of JSON: multiply-adds of f32 vectors in
// registers, and a copy that no cache holds.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "peak.cpp"
#include <hwy/foreach_target.h>

#include <hwy/aligned_allocator.h>
#include <hwy/cache_control.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Sums that do not wait for each other: enough to hide a multiply-add's latency on every unit, and no more than there are
// registers.
constexpr std::size_t kSums = HWY_ARCH_X86 && HWY_MAX_BYTES < 64 ? 12 : 24;

template <class V, class... Sums>
HWY_INLINE V add_sums(V a, V b, std::int64_t steps, V first, Sums... sums) {
  for (std::int64_t i = 0; i < steps; ++i) {
    first = hn::MulAdd(first, a, b);
    ((sums = hn::MulAdd(sums, a, b)), ...);
  }
  ((first = hn::Add(first, sums)), ...);
  return first;
}

template <class D, std::size_t... I>
HWY_INLINE float run_sums(D d, std::int64_t steps, std::index_sequence<I...>) {
  // Every sum starts as another number and goes to 2.
  const auto sum = add_sums(hn::Set(d, 0.5F), hn::Set(d, 1.0F), steps, hn::Set(d, static_cast<float>(I))...);
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

/// Floating-point operations done, two for every multiply-add.
double multiply_add(std::int64_t steps) {
  const hn::ScalableTag<float> d;
  [[maybe_unused]] const volatile float kept = run_sums(d, steps, std::make_index_sequence<kSums>());
  return 2.0 * static_cast<double>(steps) * static_cast<double>(hn::Lanes(d) * kSums);
}

/// Copies with stores that leave the caches alone. `count` is a multiple of every vector's length.
void copy_past_caches(const float* from, float* to, std::size_t count) {
  const hn::ScalableTag<float> d;
  for (std::size_t i = 0; i < count; i += hn::Lanes(d)) hn::Stream(hn::Load(d, from + i), d, to + i);
  hwy::FlushStream();
}

void copy(const float* from, float* to, std::size_t count) {
  const hn::ScalableTag<float> d;
  for (std::size_t i = 0; i < count; i += hn::Lanes(d)) hn::Store(hn::Load(d, from + i), d, to + i);
}

const char* instruction_set() { return hwy::TargetName(HWY_TARGET); }

}  // namespace gpucnn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn {

HWY_EXPORT(multiply_add);
HWY_EXPORT(copy_past_caches);
HWY_EXPORT(copy);
HWY_EXPORT(instruction_set);

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  int threads = static_cast<int>(std::max(std::thread::hardware_concurrency(), 1U));
  std::string instruction_set;
  double seconds = 0.3;
  int copy_mb = -1;
};

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

/// The median of `runs` times, in seconds: each from the moment when the first of all threads begins `work(thread)` to that when
/// the last has done it. They begin together.
double time_together(int threads, int runs, const std::function<void(int)>& work) {
  struct Run {
    std::vector<Clock::time_point> begins, ends;
  };
  const auto of_each = static_cast<std::size_t>(threads);
  std::vector<Run> all(static_cast<std::size_t>(runs),
                       {std::vector<Clock::time_point>(of_each), std::vector<Clock::time_point>(of_each)});
  std::barrier gate(threads);
  const auto take_part = [&](int thread) {
    for (Run& run : all) {
      gate.arrive_and_wait();
      run.begins[static_cast<std::size_t>(thread)] = Clock::now();
      work(thread);
      run.ends[static_cast<std::size_t>(thread)] = Clock::now();
    }
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread) others.emplace_back(take_part, thread);
  take_part(0);
  for (std::thread& other : others) other.join();

  std::vector<double> times;
  for (const Run& run : all) times.push_back(seconds_between(std::ranges::min(run.begins), std::ranges::max(run.ends)));
  std::ranges::nth_element(times, times.begin() + runs / 2);
  return times[times.size() / 2];
}

/// GFLOP/s of all threads together.
double measure_multiply_add(const Options& options) {
  constexpr int kRuns = 11;
  std::int64_t steps = 1000;
  for (double alone = 0; alone < options.seconds / kRuns / 2;) {
    steps *= 2;
    const auto begin = Clock::now();
    HWY_DYNAMIC_DISPATCH(multiply_add)(steps);
    alone = seconds_between(begin, Clock::now());
  }
  std::vector<double> done(static_cast<std::size_t>(options.threads));
  const double seconds = time_together(options.threads, kRuns, [&](int thread) {
    done[static_cast<std::size_t>(thread)] = HWY_DYNAMIC_DISPATCH(multiply_add)(steps);
  });
  return std::accumulate(done.begin(), done.end(), 0.0) / seconds / 1e9;
}

/// MiB that no cache holds: at least 256 and twice the last cache, but no more than an eighth of the memory.
int large_copy() {
  std::int64_t wanted = std::int64_t{256} << 20;
#ifdef _SC_LEVEL3_CACHE_SIZE
  wanted = std::max<std::int64_t>(wanted, 2 * sysconf(_SC_LEVEL3_CACHE_SIZE));
#endif
  const std::int64_t memory = std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  return static_cast<int>(std::min(wanted, memory / 8) >> 20);
}

/// GB/s, read and written, of all threads together: the better of the two ways to store.
double measure_copy(const Options& options) {
  constexpr int kRuns = 5;
  const auto threads = static_cast<std::size_t>(options.threads);
  const std::size_t share = (static_cast<std::size_t>(options.copy_mb) << 20) / sizeof(float) / threads / 1024 * 1024;
  const auto from = hwy::AllocateAligned<float>(threads * share);
  const auto to = hwy::AllocateAligned<float>(threads * share);
  if (!from || !to) throw std::bad_alloc();
  const auto part = [share](auto& all, int thread) { return all.get() + static_cast<std::size_t>(thread) * share; };
  // A page lies near the thread that touches it first.
  time_together(options.threads, 1, [&](int thread) {
    std::fill_n(part(from, thread), share, 1.0F);
    std::fill_n(part(to, thread), share, 0.0F);
  });
  const double past_caches = time_together(options.threads, kRuns, [&](int thread) {
    HWY_DYNAMIC_DISPATCH(copy_past_caches)(part(from, thread), part(to, thread), share);
  });
  const double through = time_together(options.threads, kRuns, [&](int thread) {
    HWY_DYNAMIC_DISPATCH(copy)(part(from, thread), part(to, thread), share);
  });
  return 2.0 * static_cast<double>(threads * share * sizeof(float)) / std::min(past_caches, through) / 1e9;
}

nlohmann::ordered_json measure(const Options& options) {
  if (!options.instruction_set.empty()) force_instruction_set(options.instruction_set);
  nlohmann::ordered_json line = {{"threads", options.threads},
                                 {"instruction_set", HWY_DYNAMIC_DISPATCH(instruction_set)()},
                                 {"fma_gflops", measure_multiply_add(options)}};
  if (options.copy_mb > 0) {
    line["copy_gbps"] = measure_copy(options);
    line["copy_mib"] = options.copy_mb;
  }
  return line;
}

}  // namespace
}  // namespace gpucnn

int main(int argc, char** argv) {
  gpucnn::Options options;
  CLI::App app("Measures the processor's multiply-adds and a copy that no cache holds, all threads at once");
  app.add_option("--threads", options.threads, "CPU threads")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--instruction-set", options.instruction_set, "Highway's name of one, as AVX2; default: the widest");
  app.add_option("--seconds", options.seconds, "How long to measure multiply-adds")
      ->check(CLI::Range(0.01, 60.0))
      ->capture_default_str();
  app.add_option("--copy-mb", options.copy_mb, "MiB to copy, 0 for none; default: more than the caches hold")
      ->check(CLI::Range(0, 1 << 16));
  CLI11_PARSE(app, argc, argv);
  if (options.copy_mb < 0) options.copy_mb = gpucnn::large_copy();
  try {
    std::printf("%s\n", gpucnn::measure(options).dump().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "peak: %s\n", error.what());
    return 1;
  }
}
#endif  // HWY_ONCE
