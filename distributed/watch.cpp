#include <gpucnn/distributed/watch.h>

#include <algorithm>
#include <utility>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn {
namespace {

using namespace std::chrono_literals;

/// Each rank that misses rank 0 is patient for a little longer than the one before, so that one of them says it for all.
constexpr auto kTurn = 1s;
constexpr int kTurns = 4;

constexpr const char* kSameCalls = "all ranks must call the same collectives in the same order";

}  // namespace

Watch::Watch(int rank, std::vector<std::string> names, std::chrono::seconds max_wait) : own_(rank), max_wait_(max_wait) {
  for (std::string& name : names) ranks_.push_back({.name = std::move(name)});
}

void Watch::hear(int rank, const Beat& beat) {
  Rank& heard = ranks_[static_cast<std::size_t>(rank)];
  heard.silent = 0ns;
  if (beat.begun != heard.beat.begun || beat.state != Beat::State::at_work) heard.late = 0ns;
  if (beat.waits_for != heard.beat.waits_for) heard.stuck = 0ns;
  heard.beat = beat;
}

std::optional<Watch::Failure> Watch::judge(std::chrono::nanoseconds passed) {
  if (auto silent = find_silent(passed)) return silent;
  if (own_ != 0) return {};
  const auto waiting = std::ranges::max_element(ranks_, {}, [](const Rank& rank) { return rank.beat.waits_for; });
  if (waiting->beat.waits_for == 0) return {};
  if (auto late = find_late(*waiting, passed)) return late;
  if (auto other = find_other_call(*waiting)) return other;
  return find_stuck(passed);
}

std::optional<Watch::Failure> Watch::find_silent(std::chrono::nanoseconds passed) {
  if (max_wait_ == 0s) return {};
  const auto patience = max_wait_ + std::min(own_, kTurns) * kTurn;
  for (int rank = 0; rank < static_cast<int>(ranks_.size()); ++rank) {
    if (!hears(rank)) continue;
    Rank& heard = ranks_[static_cast<std::size_t>(rank)];
    heard.silent += passed;
    if (heard.silent <= patience) continue;
    return Failure{.sentence = formatted("{} has not answered {} for {} s: it has stopped, or the network between them has",
                                         heard.name, name(own_), max_wait_.count()),
                   .rank = rank};
  }
  return {};
}

std::optional<Watch::Failure> Watch::find_late(const Rank& waiting, std::chrono::nanoseconds passed) {
  for (int rank = 0; rank < static_cast<int>(ranks_.size()); ++rank) {
    Rank& behind = ranks_[static_cast<std::size_t>(rank)];
    const Beat& beat = behind.beat;
    if (beat.begun >= waiting.beat.waits_for) continue;
    if (beat.state == Beat::State::explained) return Failure{.sentence = {}, .rank = rank, .ended = true};
    if (beat.state == Beat::State::ended) {
      return Failure{.sentence = formatted("{} has ended, and {} waits for it in vain", behind.name, waiting.name),
                     .rank = rank,
                     .ended = true};
    }
    if (max_wait_ == 0s) continue;
    behind.late += passed;
    if (behind.late <= max_wait_) continue;
    return Failure{.sentence = formatted(
                       "{} has let {} wait for {} s and is not in a long task: it hangs, or its part of the work is far slower",
                       behind.name, waiting.name, max_wait_.count()),
                   .rank = rank};
  }
  return {};
}

std::optional<Watch::Failure> Watch::find_other_call(const Rank& waiting) const {
  for (int rank = 0; rank < static_cast<int>(ranks_.size()); ++rank) {
    const Rank& other = ranks_[static_cast<std::size_t>(rank)];
    if (other.beat.waits_for != waiting.beat.waits_for) continue;
    if (other.beat.call == waiting.beat.call && other.beat.count == waiting.beat.count) continue;
    return Failure{.sentence = formatted("{} makes another call than {}, or one of {} values instead of {}: {}", other.name,
                                         waiting.name, other.beat.count, waiting.beat.count, kSameCalls),
                   .rank = rank};
  }
  return {};
}

/// A call that is not the same on all ranks may end on one of them, which goes on or ends.
std::optional<Watch::Failure> Watch::find_stuck(std::chrono::nanoseconds passed) {
  if (max_wait_ == 0s) return {};
  const auto begun = [](const Rank& rank) { return rank.beat.begun; };
  const std::int64_t all_have_begun = begun(*std::ranges::min_element(ranks_, {}, begun));
  const auto furthest = std::ranges::max_element(ranks_, {}, begun);
  for (Rank& waiting : ranks_) {
    if (waiting.beat.waits_for == 0 || waiting.beat.waits_for > all_have_begun) continue;
    waiting.stuck += passed;
    if (waiting.stuck <= max_wait_) continue;
    return Failure{.sentence = formatted("{} has waited {} s for a call that all ranks have begun, while {} went on: {}",
                                         waiting.name, max_wait_.count(), furthest->name, kSameCalls),
                   .rank = static_cast<int>(furthest - ranks_.begin())};
  }
  return {};
}

}  // namespace gpucnn
