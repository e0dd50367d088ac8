#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/data/files/open_dataset.h>
#include <gpucnn/data/image/image_folder.h>
#include <gpucnn/train/parallel/join_readers.h>

#include "data/image/image_tree.h"
#include "distributed/training.h"

namespace gpucnn {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A folder of images that all ranks see. Those of rank 0 are in it.
class SharedReading : public ::testing::Test {
 protected:
  SharedReading() : dir_(world().broadcast(tree_.dir().string())) {}
  ~SharedReading() override { world().barrier(); }

  /// So many images of 4x4 pixels, each of another grey.
  void write(int images) const {
    if (world().is_main()) {
      for (int i = 0; i < images; ++i) {
        tree_.write_grey((i % 2 == 0 ? "cat/" : "dog/") + std::to_string(100 + i) + ".png", static_cast<std::uint8_t>(10 + i));
      }
    }
    world().barrier();
  }

  void damage(const std::string& name) const {
    if (world().is_main()) tree_.write(name, bytes_of("no image"));
    world().barrier();
  }

  ImageFolderOptions shared() const { return {.on_image = counting(), .group = join_readers(world())}; }

  /// Counts what this rank decodes.
  OnImage counting() const {
    return [this](std::int64_t, std::int64_t all) {
      ++decoded_;
      expected_ = all;
    };
  }

  /// Each has decoded its part of N images.
  void expect_own_part(std::int64_t N) const {
    EXPECT_EQ(decoded_, own_part(world()).images(N));
    if (decoded_ > 0) {
      EXPECT_EQ(expected_, own_part(world()).images(N));
    }
  }

  ImageTree tree_;  // of this process
  fs::path dir_;
  mutable std::atomic<std::int64_t> decoded_ = 0, expected_ = 0;
};

std::string bits_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.bytes()), static_cast<std::size_t>(tensor.nbytes())};
}

void expect_same(const TensorDataset& shared, const TensorDataset& alone) {
  EXPECT_EQ(shared.images().shape(), alone.images().shape());
  EXPECT_EQ(bits_of(shared.images()), bits_of(alone.images()));
  EXPECT_EQ(bits_of(shared.labels()), bits_of(alone.labels()));
}

template <class Work>
std::string message_of(const Work& work) {
  try {
    work();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST_F(SharedReading, EachDecodesItsPartAndAllHaveAll) {
  for (const int images : {2, 3, 9, 40}) {
    write(images);
    decoded_ = 0;
    expect_same(ImageFolder(dir_, shared()).in_memory(), ImageFolder(dir_).in_memory());
    expect_own_part(images);
  }
}

TEST_F(SharedReading, OfSomeImagesTheyShareThose) {
  write(12);
  const std::vector<std::int64_t> some{11, 0, 3, 3, 7};
  expect_same(ImageFolder(dir_, shared()).in_memory(some, 1000), ImageFolder(dir_).in_memory(some, 1000));
  expect_own_part(std::ssize(some));
}

TEST_F(SharedReading, AllThrowWhatOneProcessWould) {
  write(12);
  for (const char* name : {"dog/111.png", "cat/104.png", "dog/103.png"}) {
    damage(name);
    const auto read = [&](const ImageFolderOptions& options) { return ImageFolder(dir_, options).in_memory(); };
    const std::string alone = message_of([&] { read({}); });
    EXPECT_THAT(alone, HasSubstr(".png"));
    EXPECT_EQ(message_of([&] { read(shared()); }), alone);
    EXPECT_THROW(read(shared()), DataError);
    world().barrier();
  }
}

TEST_F(SharedReading, AllLeaveOutTheSameDamagedImages) {
  write(12);
  for (const char* name : {"dog/111.png", "cat/104.png", "dog/103.png"}) damage(name);
  ImageFolderOptions options = shared(), alone;
  options.skip_damaged = alone.skip_damaged = true;
  const ImageFolder folder(dir_, options), whole(dir_, alone);
  expect_own_part(12);
  ASSERT_EQ(folder.damaged().size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(folder.damaged()[i].file, whole.damaged()[i].file);
    EXPECT_EQ(folder.damaged()[i].reason, whole.damaged()[i].reason);
  }
  decoded_ = 0;
  expect_same(folder.in_memory(), whole.in_memory());
  expect_own_part(9);
}

TEST_F(SharedReading, TheFolderMayHaveAnotherNameOnEachRank) {
  for (int i = 0; i < 6; ++i) {
    tree_.write_grey((i % 2 == 0 ? "cat/" : "dog/") + std::to_string(i) + ".png", static_cast<std::uint8_t>(i));
  }
  for (const char* name : {"cat/0.png", "dog/5.png"}) tree_.write(name, bytes_of("no image"));
  ImageFolderOptions options = shared();
  options.skip_damaged = true;
  const ImageFolder folder(tree_.dir(), options);
  ASSERT_EQ(folder.size(), 4);
  ASSERT_EQ(folder.damaged().size(), 2U);
  EXPECT_EQ(folder.damaged()[0].file, tree_.dir() / "cat/0.png");
  EXPECT_EQ(folder.damaged()[1].file, tree_.dir() / "dog/5.png");
  expect_same(folder.in_memory(), ImageFolder(tree_.dir(), {.skip_damaged = true}).in_memory());
}

TEST_F(SharedReading, AllEndWhereOneIsAskedToEnd) {
  write(20);
  ImageFolderOptions options = shared();
  const int last = world().size() - 1;
  options.on_image = [&](std::int64_t, std::int64_t) {
    if (world().rank() == last) throw std::runtime_error("a signal");
  };
  const ImageFolder folder(dir_, options);
  const std::string message = message_of([&] { folder.in_memory(); });
  if (world().rank() == last) {
    EXPECT_EQ(message, "a signal");
  } else {
    EXPECT_EQ(message, "rank " + std::to_string(last) + " cannot read its part: a signal");
  }
}

TEST_F(SharedReading, OtherFilesOnARankAreRefusedByAll) {
  write(6);
  if (world().size() == 1) GTEST_SKIP() << "needs a second rank";
  if (!world().is_main()) {
    tree_.write_grey("cat/100.png", 1);
    tree_.write_grey("dog/101.png", 2);
  }
  const fs::path& dir = tree_.dir();
  EXPECT_THAT(message_of([&] { ImageFolder(dir, shared()); }), HasSubstr("rank 1 has other images in "));
  EXPECT_THROW(ImageFolder(dir, shared()), std::invalid_argument);
  const fs::path gone = world().is_main() ? dir_ : dir / "gone";
  EXPECT_THAT(message_of([&] { ImageFolder(gone, shared()); }), HasSubstr("gone"));
}

TEST_F(SharedReading, ADatasetIsThatOfOneProcess) {
  write(40);
  const OpenDatasetOptions alone{.image_size = 4};
  OpenDatasetOptions options = alone;
  options.group = join_readers(world());
  const OpenedDataset joined = open_dataset(dir_, options), whole = open_dataset(dir_, alone);
  expect_same(dynamic_cast<const TensorDataset&>(*joined.train), dynamic_cast<const TensorDataset&>(*whole.train));
  expect_same(dynamic_cast<const TensorDataset&>(*joined.test), dynamic_cast<const TensorDataset&>(*whole.test));
  EXPECT_EQ(joined.normalize.mean, whole.normalize.mean);
  EXPECT_EQ(joined.normalize.std, whole.normalize.std);
}

TEST_F(SharedReading, WhatStaysInFilesIsMeasuredByAll) {
  write(40);
  OpenDatasetOptions alone{.image_size = 4, .max_bytes = 0};
  const OpenedDataset whole = open_dataset(dir_, alone);
  OpenDatasetOptions options = alone;
  options.group = join_readers(world());
  options.on_image = counting();
  const OpenedDataset joined = open_dataset(dir_, options);
  EXPECT_EQ(expected_, own_part(world()).images(36));
  EXPECT_EQ(joined.normalize.mean, whole.normalize.mean);
  EXPECT_EQ(joined.normalize.std, whole.normalize.std);
}

}  // namespace
}  // namespace gpucnn
