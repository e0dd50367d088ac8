#include "together.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "common/stop_signal.h"

using namespace gpucnn;

namespace {

/// What `work` threw; null: nothing.
std::exception_ptr failure_of(const Distributed& ranks, const std::function<void()>& work) try {
  const Distributed::LongTask waited_for = ranks.long_task();
  work();
  return nullptr;
} catch (const EndedElsewhere&) {  // of `together` within this one, on all ranks
  throw;
} catch (...) {
  return std::current_exception();
}

ExitCode say(const std::exception_ptr& failure) try { std::rethrow_exception(failure); } catch (const Interrupted&) {
  return fail(signalled(), "interrupted while the images were read; nothing was written");
} catch (...) {
  return fail_as_caught();
}

}  // namespace

void together(const Distributed& ranks, const std::function<void()>& work) {
  if (ranks.size() == 1) return work();
  const std::exception_ptr failure = failure_of(ranks, work);
  const std::vector<std::string> failed = ranks.all_gather(failure ? "failed" : "");
  const auto first = std::ranges::find(failed, "failed");
  if (first == failed.end()) return;
  const int root = static_cast<int>(first - failed.begin());
  const ExitCode code = root == ranks.rank() ? say(failure) : ExitCode::unexpected;
  throw EndedElsewhere{static_cast<ExitCode>(std::stoi(ranks.broadcast(std::to_string(static_cast<int>(code)), root)))};
}

int stop_signal_of(const Distributed& ranks) {
  std::int64_t signal[] = {stop_signal()};
  ranks.all_reduce(signal, Reduce::max);
  return static_cast<int>(signal[0]);
}
