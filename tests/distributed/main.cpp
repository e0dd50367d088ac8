#include <gpucnn/distributed/distributed.h>
#include <gtest/gtest.h>

#include "distributed/world.h"

namespace {

const gpucnn::Distributed* the_world = nullptr;

/// Rank 0 prints; of the others only what failed is seen.
class OnlyFailures final : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (result.failed())
      std::fprintf(stderr, "rank %d: %s:%d: %s\n", the_world->rank(), result.file_name(), result.line_number(), result.message());
  }
};

}  // namespace

const gpucnn::Distributed& world() { return *the_world; }

/// The tests of one rank: mpirun -np 3 test_distributed. A test has failed if it has on any rank.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const gpucnn::Distributed joined = gpucnn::Distributed::init(argc, argv);
  the_world = &joined;
  if (!joined.is_main()) {
    testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new OnlyFailures);
  }
  return RUN_ALL_TESTS();
}
