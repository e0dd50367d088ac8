#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/files/open_dataset.h>
#include <gpucnn/data/tensor_dataset.h>

#include "data/files/test_folder.h"
#include "data/image/encoded_images.h"
#include "misuse.h"

namespace gpucnn {
namespace {

namespace fs = std::filesystem;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::SizeIs;

class OpenImageFolder : public ::testing::Test {
 protected:
  /// `count` grey images of this class, each of a level of its own: `first`, `first` + 1, …
  void write_class(const std::string& name, int count, int first) const {
    for (int i = 0; i < count; ++i) {
      const auto level = static_cast<std::uint8_t>(first + i);
      write(name + "/" + std::to_string(first + i) + ".png", plain_png(4, 4, level, level, level));
    }
  }
  void write(const std::string& name, const Bytes& bytes) const {
    folder_.write(name, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }

  /// The level and the class of every image.
  static std::vector<std::pair<int, int>> examples(const Dataset& dataset) {
    std::vector<std::pair<int, int>> found;
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      const Batch one = dataset.get(std::vector<std::int64_t>{i});
      const int level = one.inputs.dtype() == DType::u8 ? one.inputs.to_vector<std::uint8_t>()[0]
                                                        : static_cast<int>(one.inputs.to_vector<float>()[0] * 255 + 0.5F);
      found.emplace_back(level, one.labels.to_vector<std::int32_t>()[0]);
    }
    return found;
  }

  OpenedDataset open(const OpenDatasetOptions& options = {}) const { return open_dataset(folder_.path(), options); }

  const TestFolder folder_{"open_image_folder"};
};

TEST_F(OpenImageFolder, TakesTrainAndTestAsTheyAre) {
  write_class("train/cat", 3, 0);
  write_class("train/dog", 2, 10);
  write_class("test/cat", 1, 20);
  write_class("test/dog", 1, 30);
  write_class("val/other", 1, 40);  // which is not looked at
  const OpenedDataset data = open();
  EXPECT_EQ(data.name, "images");
  EXPECT_THAT(data.class_names, ElementsAre("cat", "dog"));
  EXPECT_EQ(data.train->image_shape(), (Shape{3, 4, 4}));
  using Example = std::pair<int, int>;
  EXPECT_THAT(examples(*data.train), ElementsAre(Example{0, 0}, Example{1, 0}, Example{2, 0}, Example{10, 1}, Example{11, 1}));
  EXPECT_THAT(examples(*data.test), ElementsAre(Example{20, 0}, Example{30, 1}));
  EXPECT_THAT(data.normalize.mean, Each(testing::DoubleEq(24.0 / 5 / 255))) << "of the training images";
  EXPECT_THAT(data.normalize.mean, SizeIs(3));
}

TEST_F(OpenImageFolder, TakesValWhereThereIsNoTest) {
  write_class("train/cat", 3, 0);
  write_class("val/cat", 2, 20);
  EXPECT_EQ(open().test->size(), 2);
}

TEST_F(OpenImageFolder, KeepsATenthOfClassesAloneToJudgeBy) {
  for (const std::string& below : {std::string(), std::string("train/")}) {
    fs::remove_all(folder_ / "a");
    fs::remove_all(folder_ / "b");
    write_class(below + "a", 12, 0);
    write_class(below + "b", 13, 100);
    const OpenedDataset data = open(), again = open();
    EXPECT_THAT(data.class_names, ElementsAre("a", "b"));
    EXPECT_EQ(data.train->size(), 23);
    EXPECT_EQ(data.test->size(), 2);
    EXPECT_EQ(examples(*data.test), examples(*again.test)) << "always the same";
    std::set<std::pair<int, int>> all;
    for (const Dataset* part : {data.train.get(), data.test.get()}) {
      for (const auto& [level, label] : examples(*part)) {
        EXPECT_EQ(label, level >= 100);
        EXPECT_TRUE(all.emplace(level, label).second) << "twice: " << level;
      }
    }
    EXPECT_THAT(all, SizeIs(25));
  }
}

TEST_F(OpenImageFolder, LimitDrawsImagesOfAllClasses) {
  write_class("train/a", 40, 0);
  write_class("train/b", 40, 100);
  write_class("test/a", 10, 50);
  write_class("test/b", 10, 150);
  const OpenedDataset data = open({.limit = 30}), again = open({.limit = 30});
  EXPECT_EQ(data.train->size(), 30);
  EXPECT_EQ(data.test->size(), 20);
  std::set<int> classes;
  for (const auto& [level, label] : examples(*data.train)) {
    EXPECT_EQ(label, level >= 100);
    classes.insert(label);
  }
  EXPECT_THAT(classes, SizeIs(2));
  EXPECT_EQ(examples(*data.train), examples(*again.train));
}

TEST_F(OpenImageFolder, ReadsFilesInEveryEpochWhereTheyDoNotFit) {
  write_class("a", 12, 0);
  write_class("b", 13, 100);
  const OpenedDataset whole = open(), streamed = open({.max_bytes = 100});
  EXPECT_TRUE(dynamic_cast<const TensorDataset*>(whole.train.get()));
  EXPECT_FALSE(dynamic_cast<const TensorDataset*>(streamed.train.get()));
  EXPECT_EQ(examples(*streamed.train), examples(*whole.train));
  EXPECT_EQ(examples(*streamed.test), examples(*whole.test));
  EXPECT_EQ(streamed.normalize.mean, whole.normalize.mean);
}

TEST_F(OpenImageFolder, BringsImagesToASizeIfAsked) {
  write("a/wide.png", plain_png(9, 6, 1, 2, 3));
  write("a/high.png", plain_png(5, 20, 1, 2, 3));
  EXPECT_THAT([&] { open(); }, misuse("a/wide.png has 9x6 pixels"));
  const OpenedDataset data = open({.image_size = 5});
  EXPECT_EQ(data.train->image_shape(), (Shape{3, 5, 5}));
}

TEST_F(OpenImageFolder, NamesClassesThatDiffer) {
  write_class("train/cat", 3, 0);
  write_class("train/dog", 2, 10);
  write_class("test/cat", 1, 20);
  expect_damage([&] { open(); }, folder_ / "test", 0, "the classes of train/", "no class dog");
  write_class("test/dog", 1, 20);
  write_class("test/eel", 1, 20);
  expect_damage([&] { open(); }, folder_ / "test", 0, "the classes of train/", "a class eel, which training has not");
  fs::remove_all(folder_ / "test/eel");
  fs::remove_all(folder_ / "test/dog");
  fs::remove_all(folder_ / "test/cat");
  write("test/dog/1.png", plain_png(5, 5, 1, 2, 3));
  write("test/cat/1.png", plain_png(5, 5, 1, 2, 3));
  expect_damage([&] { open(); }, folder_ / "test", 0, "[3, 4, 4]", "[3, 5, 5]");
}

TEST_F(OpenImageFolder, NamesASingleImageAndADamagedOne) {
  write_class("a", 1, 0);
  expect_damage([&] { open(); }, folder_.path(), 0, "two images or more", "1");
  write_class("a", 10, 0);
  folder_.write("a/5.png", "no image");
  EXPECT_THROW(open(), DataError);
  const OpenedDataset data = open({.skip_damaged = true});
  EXPECT_EQ(data.train->size() + data.test->size(), 9);
  ASSERT_THAT(data.damaged, SizeIs(1));
  EXPECT_EQ(data.damaged[0].file, folder_ / "a/5.png");
}

}  // namespace
}  // namespace gpucnn
