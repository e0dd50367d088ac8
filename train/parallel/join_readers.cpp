#include <gpucnn/train/parallel/join_readers.h>

#include <algorithm>
#include <exception>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn {
namespace {

/// What it says of itself; `failure` is not null.
std::string words_of(const std::exception_ptr& failure) try {
  std::rethrow_exception(failure);
} catch (const std::exception& error) {
  return error.what();
} catch (...) {
  return "an exception that is no std::exception";
}

}  // namespace

RankReaders::RankReaders(const Distributed& distributed) : distributed_(distributed) {}

void RankReaders::together(const std::function<void()>& work) const {
  std::exception_ptr failure;
  try {
    const Distributed::LongTask waited_for = distributed_.long_task();
    work();
  } catch (...) {
    failure = std::current_exception();
  }
  // A mark before the words, which may be none.
  const std::vector<std::string> words = all_gather(failure ? formatted("!{}", words_of(failure)) : "");
  if (failure) std::rethrow_exception(failure);
  const auto first = std::ranges::find_if(words, [](const std::string& text) { return !text.empty(); });
  if (first == words.end()) return;
  throw Error(formatted("rank {} cannot read its part: {}", first - words.begin(), first->substr(1)));
}

std::shared_ptr<const ReaderGroup> join_readers(const Distributed& distributed) {
  if (distributed.size() == 1) return nullptr;
  return std::make_shared<const RankReaders>(distributed);
}

}  // namespace gpucnn
