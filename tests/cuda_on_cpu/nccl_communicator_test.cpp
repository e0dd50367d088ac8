// Two processes, each with a GPU, that reach each other by NCCL's stand-in.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/distributed/nccl/nccl_communicator.h>

namespace gpucnn {
namespace {

constexpr int kRanks = 2;

/// Whether `rank(r, id)` is true in a process for each r.
bool in_two_processes(const std::function<bool(int rank, const nccl::UniqueId& id)>& rank) {
  nccl::UniqueId id{};
  nccl::functions().get_unique_id(&id);
  for (int r = 0; r < kRanks; ++r) {
    if (fork() != 0) continue;
    bool holds = false;
    try {
      holds = rank(r, id);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "rank %d: %s\n", r, error.what());
    }
    _exit(holds ? 0 : 1);
  }
  bool all_hold = true;
  for (int r = 0; r < kRanks; ++r) {
    int status = 0;
    wait(&status);
    all_hold = all_hold && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  return all_hold;
}

std::shared_ptr<NcclCommunicator> communicator(int rank, const nccl::UniqueId& id) {
  return std::make_shared<NcclCommunicator>(Device::cuda(rank), id, rank, kRanks);
}

/// Begins to add up `values`.
void begin(NcclCommunicator& ranks, Tensor& values) {
  ranks.begin_all_reduce(values.bytes(), static_cast<std::size_t>(values.numel()), nccl::DataType::f32, nccl::Operation::sum);
}

TEST(NcclCommunicator, AddsUpBesideTheQueue) {
  EXPECT_TRUE(in_two_processes([](int rank, const nccl::UniqueId& id) {
    const auto ranks = communicator(rank, id);
    Tensor values = Tensor::full({3}, static_cast<float>(rank + 1), ranks->device());
    begin(*ranks, values);
    ranks->join();
    const Tensor sums = values.clone();
    values.copy_from(Tensor::full({3}, -1, ranks->device()));
    return sums.to_vector<float>() == std::vector<float>(3, 3.0F);
  }));
}

TEST(NcclCommunicator, ThrowsWhereAnotherRankHasDied) {
  EXPECT_TRUE(in_two_processes([](int rank, const nccl::UniqueId& id) {
    const auto ranks = communicator(rank, id);
    if (rank == 1) _exit(0);
    Tensor values = Tensor::full({3}, 1, ranks->device());
    begin(*ranks, values);
    ranks->join();
    try {
      Stream(ranks->device()).synchronize();
    } catch (const DeviceError& error) {
      const std::string expected = "NCCL on cuda:0 has failed: remote process exited or there was a network error";
      if (error.what() != expected) std::fprintf(stderr, "%s\n", error.what());
      if (error.what() != expected) return false;
      try {
        begin(*ranks, values);
      } catch (const DeviceError& again) {
        return again.what() == expected;
      }
    }
    return false;
  }));
}

TEST(NcclCommunicator, IsNotDisturbedByARankThatIsDone) {
  EXPECT_TRUE(in_two_processes([](int rank, const nccl::UniqueId& id) {
    const auto ranks = communicator(rank, id);
    Tensor values = Tensor::full({3}, 1, ranks->device());
    begin(*ranks, values);
    ranks->join();
    const bool right = values.to_vector<float>() == std::vector<float>(3, 2.0F);
    if (rank == 1) return right;
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    Stream(ranks->device()).synchronize();
    return right;
  }));
}

}  // namespace
}  // namespace gpucnn
