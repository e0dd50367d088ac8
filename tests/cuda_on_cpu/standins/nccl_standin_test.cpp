#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/distributed/nccl/nccl.h>

#include "device_memory.h"

#if __has_include(<nccl.h>)
#include <nccl.h>
#endif

// The stand-in for NCCL, on the two GPUs of one process: its ranks are called in groups, as NCCL wants it of one thread.
namespace gpucnn::nccl {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::StartsWith;

#if __has_include(<nccl.h>)
static_assert(sizeof(UniqueId) == sizeof(ncclUniqueId));
static_assert(static_cast<int>(Result::in_progress) == ncclInProgress && static_cast<int>(Result::remote_error) == ncclRemoteError);
static_assert(static_cast<int>(Result::invalid_usage) == ncclInvalidUsage);
static_assert(static_cast<int>(DataType::i8) == ncclInt8 && static_cast<int>(DataType::i32) == ncclInt32);
static_assert(static_cast<int>(DataType::i64) == ncclInt64 && static_cast<int>(DataType::f32) == ncclFloat32);
static_assert(static_cast<int>(DataType::f64) == ncclFloat64);
static_assert(static_cast<int>(Operation::sum) == ncclSum && static_cast<int>(Operation::max) == ncclMax);
static_assert(static_cast<int>(Operation::min) == ncclMin);
static_assert(static_cast<int>(Residence::device) == ncclScalarDevice &&
              static_cast<int>(Residence::host) == ncclScalarHostImmediate);
#endif

constexpr int kRanks = 2;

/// A group, which the library itself has no use for.
class Group {
 public:
  Group() { call("ncclGroupStart"); }
  ~Group() { call("ncclGroupEnd"); }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  static Result call(const char* name) {
    static void* library = dlopen("libnccl.so.2", RTLD_NOW);
    return reinterpret_cast<Result (*)()>(dlsym(library, name))();
  }
};

class NcclStandin : public testing::Test {
 protected:
  void SetUp() override {
    UniqueId id{};
    ASSERT_EQ(f.get_unique_id(&id), Result::success);
    const Group group;
    for (int rank = 0; rank < kRanks; ++rank) {
      const auto current = gpu::queue(Device::cuda(rank)).stream();
      ASSERT_EQ(f.comm_init_rank(&handles[at(rank)], kRanks, id, rank), Result::success);
    }
  }

  static std::size_t at(int rank) { return static_cast<std::size_t>(rank); }

  /// `count` values of each rank: rank + 1.
  Tensor& values(int rank, std::int64_t count = 3) {
    return memory[at(rank)] = Tensor::full({count}, static_cast<float>(rank + 1), Device::cuda(rank));
  }
  Result all_reduce(int rank, Tensor& x, DataType type = DataType::f32, Operation operation = Operation::sum) {
    const gpu::StreamInUse stream = gpu::queue(Device::cuda(rank)).stream();
    return f.all_reduce(x.bytes(), x.bytes(), static_cast<std::size_t>(x.numel()), type, operation, handles[at(rank)], stream);
  }
  Result broadcast(int rank, Tensor& x, int root) {
    const gpu::StreamInUse stream = gpu::queue(Device::cuda(rank)).stream();
    return f.broadcast(x.bytes(), x.bytes(), x.nbytes(), DataType::i8, root, handles[at(rank)], stream);
  }
  std::vector<float> of(int rank) { return memory[at(rank)].to_vector<float>(); }

  const Functions& f = functions();
  std::array<Handle*, kRanks> handles{};
  std::array<Tensor, kRanks> memory;
};

using NcclStandinDeathTest = NcclStandin;

TEST_F(NcclStandin, ReducesAndBroadcasts) {
  {
    const Group group;
    for (int rank = 0; rank < kRanks; ++rank) EXPECT_EQ(all_reduce(rank, values(rank)), Result::success);
  }
  for (int rank = 0; rank < kRanks; ++rank) EXPECT_THAT(of(rank), Each(3));
  {
    const Group group;
    for (int rank = 0; rank < kRanks; ++rank) all_reduce(rank, values(rank), DataType::f32, Operation::max);
  }
  EXPECT_THAT(of(0), Each(2));
  {
    const Group group;
    for (int rank = 0; rank < kRanks; ++rank) broadcast(rank, values(rank), 1);
  }
  EXPECT_THAT(of(0), Each(2));
}

TEST_F(NcclStandin, MultipliesByFactorsAsTheyAreWhenItRuns) {
  std::array<Tensor, kRanks> factors;
  std::array<Operation, kRanks> products{};
  for (int rank = 0; rank < kRanks; ++rank) {
    factors[at(rank)] = Tensor::full({1}, 0, Device::cuda(rank));
    EXPECT_EQ(f.red_op_create_premul_sum(&products[at(rank)], factors[at(rank)].bytes(), DataType::f32, Residence::device,
                                         handles[at(rank)]),
              Result::success);
    factors[at(rank)].copy_from(Tensor::full({1}, static_cast<float>(rank + 1)));
  }
  {
    const Group group;
    for (int rank = 0; rank < kRanks; ++rank) all_reduce(rank, values(rank), DataType::f32, products[at(rank)]);
  }
  for (int rank = 0; rank < kRanks; ++rank) EXPECT_THAT(of(rank), Each(1 * 1 + 2 * 2));
}

TEST_F(NcclStandinDeathTest, RefusesAnotherSize) {
  const auto reduce = [this] {
    const Group group;
    all_reduce(0, values(0, 3));
    all_reduce(1, values(1, 4));
  };
  EXPECT_DEATH((reduce(), of(0)),
               "call 1 of a communicator is an all-reduce to the sum of 3 f32 on rank 0, and .* of 4 f32 on rank 1");
}

TEST_F(NcclStandinDeathTest, RefusesAnotherType) {
  const auto reduce = [this] {
    const Group group;
    all_reduce(0, values(0), DataType::f32);
    all_reduce(1, values(1), DataType::i32);
  };
  EXPECT_DEATH((reduce(), of(0)), "of 3 f32 on rank 0, and .* of 3 i32 on rank 1");
}

TEST_F(NcclStandinDeathTest, RefusesAnotherReduction) {
  const auto reduce = [this] {
    const Group group;
    all_reduce(0, values(0));
    all_reduce(1, values(1), DataType::f32, Operation::max);
  };
  EXPECT_DEATH((reduce(), of(0)), "to the sum of 3 f32 on rank 0, and an all-reduce to the maximum of");
}

TEST_F(NcclStandinDeathTest, RefusesAnotherOrder) {
  const auto calls = [this] {
    const Group group;
    all_reduce(0, values(0));
    broadcast(0, memory[0], 0);
    broadcast(1, values(1), 0);
    all_reduce(1, memory[1]);
  };
  EXPECT_DEATH((calls(), of(0)), "an all-reduce to the sum of 3 f32 on rank 0, and a broadcast of 12 bytes from rank 0 on rank 1");
}

TEST_F(NcclStandinDeathTest, RefusesAnotherRoot) {
  const auto calls = [this] {
    const Group group;
    for (int rank = 0; rank < kRanks; ++rank) broadcast(rank, values(rank), rank);
  };
  EXPECT_DEATH((calls(), of(0)),
               "a broadcast of 12 bytes from rank 0 on rank 0, and a broadcast of 12 bytes from rank 1 on rank 1");
}

TEST_F(NcclStandinDeathTest, RefusesRanksOfOneThreadOutsideOfAGroup) {
  EXPECT_DEATH(all_reduce(0, values(0)), "ncclAllReduce outside of a group, in a process with 2 ranks");
  EXPECT_DEATH(Group::call("ncclGroupEnd"), "ncclGroupEnd without ncclGroupStart");
}

TEST_F(NcclStandinDeathTest, RefusesADestroyedCommunicator) {
  EXPECT_EQ(f.comm_destroy(handles[0]), Result::success);
  EXPECT_DEATH(all_reduce(0, values(0)), "ncclAllReduce: the communicator was destroyed");
  EXPECT_DEATH(f.comm_destroy(handles[0]), "ncclCommDestroy: the communicator was destroyed");
}

TEST_F(NcclStandinDeathTest, RefusesToDestroyWhatStillHasToRun) {
  const auto destroyed = [this] {
    {
      const Group group;
      for (int rank = 0; rank < kRanks; ++rank) all_reduce(rank, values(rank));
    }
    f.comm_destroy(handles[0]);
    return of(0);
  };
  EXPECT_DEATH(destroyed(), "a call runs whose communicator was destroyed");
}

TEST_F(NcclStandinDeathTest, RefusesAStreamOfAnotherGpu) {
  Tensor& x = values(0);
  const gpu::StreamInUse stream = gpu::queue(Device::cuda(1)).stream();
  EXPECT_DEATH(f.all_reduce(x.bytes(), x.bytes(), 3, DataType::f32, Operation::sum, handles[0], stream),
               "the stream is not of the communicator's GPU");
}

TEST_F(NcclStandin, RefusesTwoRanksOnOneGpu) {
  UniqueId id{};
  f.get_unique_id(&id);
  const auto current = gpu::queue(Device::cuda(0)).stream();
  std::array<Handle*, kRanks> made{};
  Group::call("ncclGroupStart");
  for (int rank = 0; rank < kRanks; ++rank) f.comm_init_rank(&made[at(rank)], kRanks, id, rank);
  const Result result = Group::call("ncclGroupEnd");
  EXPECT_EQ(result, Result::invalid_usage);
  EXPECT_THAT(text_of(result, made[0]), testing::HasSubstr("(Duplicate GPU detected : rank 0 and rank 1 both on CUDA device 0)"));
}

TEST_F(NcclStandin, RefusesARankBeyondTheLast) {
  UniqueId id{};
  Handle* made = nullptr;
  EXPECT_EQ(f.comm_init_rank(&made, 2, id, 2), Result::invalid_argument);
  EXPECT_THAT(text_of(Result::invalid_argument, nullptr), StartsWith("invalid argument"));
}

}  // namespace
}  // namespace gpucnn::nccl
