#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/threads/threads.h>
#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/image/image_folder.h>
#include <gpucnn/data/tensor_dataset.h>

#include "data/image/image_tree.h"

namespace gpucnn {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// The threads of this process that are called as a loader's workers are.
int count_workers() {
  int count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "comm");
    std::string name;
    file >> name;
    count += name.starts_with("gpucnn-load");
  }
  return count;
}

/// Whether there are so many workers, within the moment that a thread takes to get its name, or to leave the list.
bool has_workers(int count) {
  for (int look = 0; look < 2000; ++look) {
    if (count_workers() == count) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

/// Example i is a pixel of i, of class i. It counts its calls, and may throw, or wait for leave.
class Numbers : public Dataset {
 public:
  explicit Numbers(std::int64_t size) : size_(size) {}
  std::int64_t size() const override { return size_; }
  Shape image_shape() const override { return {1, 1, 1}; }
  Batch get(std::span<const std::int64_t> indices) const override {
    ++calls;
    while (closed) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::vector<float> pixels;
    for (const std::int64_t i : indices) {
      if (i == damaged) throw DataError("file " + std::to_string(i), 0, "an image", "none");
      pixels.push_back(static_cast<float>(i));
    }
    ++answers;
    return {Tensor::from(pixels, {indices.size(), 1, 1, 1}), Tensor::from(indices, {indices.size()})};
  }

  mutable std::atomic<int> calls{0}, answers{0};
  std::atomic<std::int64_t> damaged{-1};
  std::atomic<bool> closed{false};

 private:
  std::int64_t size_;
};

/// All pixels and labels of three epochs.
std::vector<float> walk_of(const std::shared_ptr<const Dataset>& dataset, DataLoaderOptions options, int num_workers,
                           int prefetch_factor) {
  options.num_workers = num_workers;
  options.prefetch_factor = prefetch_factor;
  DataLoader loader(dataset, options);
  std::vector<float> all;
  for (int epoch = 0; epoch < 3; ++epoch) {
    for (auto [inputs, labels] : loader) {
      for (const float value : inputs.to_vector<float>()) all.push_back(value);
      for (const std::int32_t label : labels.to_vector<std::int32_t>()) all.push_back(static_cast<float>(label));
    }
    EXPECT_TRUE(has_workers(0)) << "no thread outlives its walk";
  }
  return all;
}

TEST(DataLoaderWorkers, GiveTheSameBitsHoweverManyTheyAre) {
  const auto dataset = std::make_shared<TensorDataset>(Tensor::randn({53, 3, 8, 8}, 1), Tensor::zeros({53}, DType::u8));
  const DataLoaderOptions options{.batch_size = 7,
                                  .shuffle = true,
                                  .seed = 5,
                                  .normalize = Normalize{{0.1, 0.2, 0.3}, {1, 2, 3}},
                                  .crop_padding = 2,
                                  .flip = true};
  const std::vector<float> alone = walk_of(dataset, options, 0, 2);
  for (const auto& [num_workers, prefetch_factor] : {std::pair{1, 1}, {1, 2}, {2, 1}, {2, 3}, {5, 2}, {20, 20}}) {
    EXPECT_EQ(walk_of(dataset, options, num_workers, prefetch_factor), alone) << num_workers;
  }
}

TEST(DataLoaderWorkers, AreAheadByNoMoreThanTheyMay) {
  const auto numbers = std::make_shared<Numbers>(100);
  DataLoader loader(numbers, {.batch_size = 2, .num_workers = 2, .prefetch_factor = 3});
  auto batch = loader.begin();
  const auto settled = [&] {
    int before = -1;
    while (before != numbers->calls) {
      before = numbers->calls;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return before;
  };
  EXPECT_EQ(settled(), 7) << "the batch that was taken, and 2 * 3 ahead";
  ++batch;
  EXPECT_EQ(settled(), 8);
  EXPECT_TRUE(has_workers(2));
}

TEST(DataLoaderWorkers, ThrowAtTheBatchAndGoOnFromThere) {
  const auto numbers = std::make_shared<Numbers>(20);
  numbers->damaged = 9;
  for (const int num_workers : {0, 1, 3}) {
    DataLoader loader(numbers, {.batch_size = 2, .num_workers = num_workers});
    auto batch = loader.begin();
    for (int taken = 1; taken <= 3; ++taken) ++batch;
    EXPECT_THAT(batch->labels.to_vector<std::int32_t>(), ElementsAre(6, 7));
    for (int again = 0; again < 2; ++again) EXPECT_THAT([&] { ++batch; }, ThrowsMessage<DataError>(HasSubstr("file 9")));
    EXPECT_TRUE(has_workers(0));
    numbers->damaged = -1;
    ++batch;
    EXPECT_THAT(batch->labels.to_vector<std::int32_t>(), ElementsAre(8, 9));
    int rest = 0;
    for (; batch != loader.end(); ++batch) ++rest;
    EXPECT_EQ(rest, 6);
    EXPECT_TRUE(has_workers(0));
    numbers->damaged = 0;
    EXPECT_THROW(loader.begin(), DataError);
    numbers->damaged = 9;
  }
}

TEST(DataLoaderWorkers, EndWithAWalkThatIsBrokenOff) {
  const auto numbers = std::make_shared<Numbers>(1000);
  std::optional<DataLoader> loader(std::in_place, numbers, DataLoaderOptions{.batch_size = 1, .num_workers = 3});
  {
    const auto first = loader->begin();
    EXPECT_EQ(first->labels.to_vector<std::int32_t>().front(), 0);
  }
  auto second = loader->begin();
  EXPECT_EQ(second->labels.to_vector<std::int32_t>().front(), 0);
  EXPECT_TRUE(has_workers(3)) << "those of the walk before are gone";
  loader->start_epoch();
  EXPECT_TRUE(has_workers(0));
  EXPECT_THROW(++second, std::logic_error);
  static_cast<void>(loader->begin());
  loader.reset();
  EXPECT_TRUE(has_workers(0));
}

TEST(DataLoaderWorkers, EndWhenTheLoaderIsMoved) {
  const auto numbers = std::make_shared<Numbers>(50);
  DataLoader loader(numbers, {.batch_size = 1, .num_workers = 2});
  auto walk = loader.begin();
  DataLoader moved = std::move(loader);
  EXPECT_TRUE(has_workers(0));
  EXPECT_THROW(++walk, std::logic_error);
  EXPECT_THROW(loader.begin(), std::logic_error);
  auto other = moved.begin();
  ++other;
  EXPECT_TRUE(has_workers(2));
  moved = DataLoader(numbers, {.batch_size = 1, .num_workers = 1});
  EXPECT_TRUE(has_workers(0));
  int batches = 0;
  for (const Batch& batch : moved) batches += batch.inputs.defined();
  EXPECT_EQ(batches, 50);
}

TEST(DataLoaderWorkers, AreWaitedForWhileTheyFetch) {
  const auto numbers = std::make_shared<Numbers>(50);
  DataLoader loader(numbers, {.batch_size = 1, .num_workers = 2});
  auto walk = loader.begin();
  const auto wait_for = [](const std::atomic<int>& count, int least) {
    while (count < least) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  wait_for(numbers->answers, 5);  // the first batch, and 2 * 2 ahead
  numbers->closed = true;
  ++walk;  // makes room for one more
  wait_for(numbers->calls, 6);
  std::atomic<bool> opened{false};
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    opened = true;
    numbers->closed = false;
  });
  loader.start_epoch();
  EXPECT_TRUE(opened);
  opener.join();
}

TEST(DataLoaderWorkers, GiveTwoIteratorsOfAWalkTheirOwnBatches) {
  const auto numbers = std::make_shared<Numbers>(6);
  DataLoader loader(numbers, {.batch_size = 1, .num_workers = 2});
  auto one = loader.begin();
  auto two = one;
  ++one;
  ++one;
  ++two;
  EXPECT_EQ(one->labels.to_vector<std::int32_t>().front(), 2);
  EXPECT_EQ(two->labels.to_vector<std::int32_t>().front(), 1);
  ++two;
  ++one;
  EXPECT_EQ(two->labels.to_vector<std::int32_t>().front(), 2);
  EXPECT_EQ(one->labels.to_vector<std::int32_t>().front(), 3);
}

TEST(DataLoaderWorkers, NameAFileThatGoesAmidAnEpoch) {
  const ImageTree tree;
  for (int i = 0; i < 40; ++i) tree.write_grey("cat/" + std::to_string(100 + i) + ".png", static_cast<std::uint8_t>(i));
  const auto folder = std::make_shared<ImageFolder>(tree.dir());
  for (const int num_workers : {0, 1, 2, 4}) {
    tree.write_grey("cat/130.png", 30);
    DataLoader loader(folder, {.batch_size = 3, .num_workers = num_workers, .prefetch_factor = 1});
    auto batch = loader.begin();
    std::filesystem::remove(tree.dir() / "cat/130.png");
    int taken = 1;
    EXPECT_THAT(
        [&] {
          for (; batch != loader.end(); ++taken) ++batch;
        },
        ThrowsMessage<DataError>(AllOf(HasSubstr("cat/130.png"), HasSubstr("No such file"))));
    EXPECT_EQ(taken, 10) << "images 30 to 32 are batch 10";
    EXPECT_TRUE(has_workers(0));
  }
}

TEST(DataLoaderWorkers, BelongToOneProcessAndAForkedChildHasItsOwn) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer allows a forked child no threads";
#endif
  const auto numbers = std::make_shared<Numbers>(50);
  auto loader = std::make_unique<DataLoader>(numbers, DataLoaderOptions{.batch_size = 1, .num_workers = 2});
  auto batch = loader->begin();
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);  // a hang ends it
    ++batch;    // by workers of its own
    const bool right = batch->labels.to_vector<std::int32_t>().front() == 1 && has_workers(2);
    loader.reset();
    _exit(right && has_workers(0) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  ++batch;
  EXPECT_EQ(batch->labels.to_vector<std::int32_t>().front(), 1);
}

TEST(DataLoaderWorkers, RefuseWrongNumbers) {
  const auto refuses = [](const DataLoaderOptions& options, const char* message) {
    EXPECT_THAT([&] { DataLoader(std::make_shared<Numbers>(4), options); },
                ThrowsMessage<std::invalid_argument>(HasSubstr(message)));
  };
  refuses({.num_workers = -1}, "num_workers must be from 0 to 1024, got -1");
  refuses({.num_workers = 1025}, "got 1025");
  refuses({.prefetch_factor = 0}, "prefetch_factor must be from 1 to 1024, got 0");
  refuses({.num_workers = 1, .prefetch_factor = 1025}, "got 1025");
}

}  // namespace
}  // namespace gpucnn
