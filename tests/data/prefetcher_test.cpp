#include <gpucnn/data/prefetcher.h>

#include <memory>
#include <new>

#include <gtest/gtest.h>

#include "data/allocation_count.h"

namespace gpucnn {
namespace {

TEST(Prefetcher, EndsItsThreadsWhereItsConstructorThrows) {
  constexpr int kWorkers = 3;
  int failures = 0;
  for (bool is_made = false; !is_made;) {
    const auto held = std::make_shared<int>(0);
    Prefetcher::Fetch fetch = [held](std::int64_t) { return Batch{}; };
    fail_allocation_after(failures);
    try {
      const Prefetcher prefetcher(kWorkers, 4, 0, 10, std::move(fetch));
      fail_allocation_after(-1);
      is_made = true;
    } catch (const std::bad_alloc&) {
      ++failures;
    }
    fail_allocation_after(-1);
    fetch = nullptr;
    EXPECT_EQ(held.use_count(), 1) << "after " << failures << " failures";
  }
  EXPECT_GT(failures, kWorkers) << "each thread allocates, and so does what they share";
}

}  // namespace
}  // namespace gpucnn
