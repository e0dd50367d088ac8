#include <unistd.h>

#include <cstdint>
#include <filesystem>
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
  write_class("train/dog", 1, 10);
  write_class("val/cat", 2, 20);
  write_class("val/dog", 1, 30);
  EXPECT_EQ(open().test->size(), 3);
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

TEST_F(OpenImageFolder, KnowsPartsByOtherNamesAndInAnyCase) {
  using Names = std::pair<const char*, const char*>;
  for (const auto& [train, test] : {Names{"train", "valid"}, Names{"train", "validation"}, Names{"Train", "TEST"}}) {
    for (const char* name : {"cat", "dog"}) {
      write_class(std::string(train) + "/" + name, 2, 0);
      write_class(std::string(test) + "/" + name, 1, 10);
    }
    const OpenedDataset data = open();
    EXPECT_THAT(data.class_names, ElementsAre("cat", "dog")) << test;
    EXPECT_EQ(data.train->size(), 4);
    EXPECT_EQ(data.test->size(), 2);
    fs::remove_all(folder_ / train);
    fs::remove_all(folder_ / test);
  }
}

TEST_F(OpenImageFolder, RefusesWhatLooksLikePartsOfASet) {
  for (const char* name : {"Training/cat", "Training/dog", "Testing/Cat", "Testing/dog"}) write_class(name, 2, 0);
  expect_damage([&] { open(); }, folder_.path(), 0, "train/ and one of test/, val/, valid/, validation/",
                "Testing, Training, which look like parts of a set: each has the subfolders cat, dog");
  write_class("Training", 1, 0);
  EXPECT_THAT(open().class_names, ElementsAre("Testing", "Training")) << "images of its own";
}

TEST_F(OpenImageFolder, TakesClassesWithOneSubfolderEach) {
  for (const char* name : {"cat/images", "dog/images"}) write_class(name, 2, 0);
  EXPECT_THAT(open().class_names, ElementsAre("cat", "dog"));
}

TEST_F(OpenImageFolder, RefusesOneClassAlone) {
  write_class("dataset/cat", 2, 0);
  write_class("dataset/dog", 2, 0);
  expect_damage([&] { open(); }, folder_.path(), 0, "two classes or more",
                "one, dataset; if its subfolders are the classes, give it instead");
  fs::rename(folder_ / "dataset", folder_ / "train");
  fs::remove_all(folder_ / "train/dog");
  write_class("train", 1, 0);
  expect_damage([&] { open(); }, folder_ / "train", 0, "two classes or more", "one, cat, beside images");
}

TEST_F(OpenImageFolder, RefusesImagesBesideTheParts) {
  for (const char* name : {"train/cat", "train/dog", "val/cat", "val/dog"}) write_class(name, 2, 0);
  folder_.write("notes/a.txt", "");
  write_class(".cache", 1, 0);
  write_class("notes/.thumbnails", 1, 0);
  EXPECT_EQ(open().test->size(), 4);
  write_class("extra/cat", 1, 0);
  expect_damage([&] { open(); }, folder_ / "extra", 0, "no images beside train/ and test/, val/", "some");
}

TEST_F(OpenImageFolder, TakesPicturesOfTrainsForAClass) {
  write_class("train", 5, 0);
  write_class("bus", 5, 10);
  EXPECT_THAT(open().class_names, ElementsAre("bus", "train"));
}

TEST_F(OpenImageFolder, SaysThatImagesLieDirectlyInTheFolder) {
  write("1.png", plain_png(4, 4, 1, 1, 1));
  expect_damage([&] { open(); }, folder_.path(), 0, "a folder for each class",
                "images that lie directly in it, and no subfolder for each class");
}

TEST_F(OpenImageFolder, TakesFoldersNamedAsTheFilesOfCifarForPython) {
  for (const char* name : {"train/a", "train/b", "test/a", "test/b"}) write_class(name, 1, 0);
  folder_.write("meta/labels.txt", "");
  EXPECT_EQ(open().train->size(), 2);
}

TEST_F(OpenImageFolder, NamesAFolderThatMayNotBeRead) {
  write_class("a", 2, 0);
  write_class("b", 2, 0);
  const bool root = geteuid() == 0;
  constexpr uid_t kNobody = 65534;
  for (const int mode : {0000, 0311, 0444}) {
    fs::permissions(folder_.path(), static_cast<fs::perms>(mode));
    if (root && seteuid(kNobody) != 0) GTEST_SKIP() << "root may read everything, and cannot become somebody else";
    expect_damage([&] { open(); }, folder_.path(), 0, "a folder that can be read", "Permission denied");
    if (root) {
      ASSERT_EQ(seteuid(0), 0);
    }
    fs::permissions(folder_.path(), fs::perms::owner_all);
  }
}

TEST_F(OpenImageFolder, CountsFilesThatAreLeftOut) {
  for (const char* name : {"train/a", "train/b", "test/a", "test/b"}) write_class(name, 1, 0);
  for (const char* name : {"train/a/1.HEIC", "test/b/2.gif", "test/b/.hidden", "train/labels.csv"}) folder_.write(name, "");
  write_class("train", 1, 0);  // beside the classes
  EXPECT_EQ(open().left_out, 3);
}

TEST_F(OpenImageFolder, HoldsBothPartsWithinTheLimit) {
  for (const char* name : {"train/a", "train/b", "test/a", "test/b"}) write_class(name, name[1] == 'r' ? 3 : 1, 0);
  const auto in_memory = [&](std::uint64_t max_bytes) {
    const OpenedDataset data = open({.image_size = 4, .max_bytes = max_bytes});
    return std::pair(dynamic_cast<const TensorDataset*>(data.train.get()) != nullptr,
                     dynamic_cast<const TensorDataset*>(data.test.get()) != nullptr);
  };
  constexpr std::uint64_t kImage = 48;
  EXPECT_EQ(in_memory(8 * kImage), std::pair(true, true));
  EXPECT_EQ(in_memory(8 * kImage - 1), std::pair(true, false));
  EXPECT_EQ(in_memory(6 * kImage - 1), std::pair(false, true));
}

TEST_F(OpenImageFolder, EndsWhereItIsToldTo) {
  struct End {};
  for (const char* name : {"train/a", "train/b", "test/a", "test/b"}) write_class(name, 3, 0);
  for (const std::uint64_t max_bytes : {0, 1'000'000}) {  // read for the mean alone, or into memory
    const auto end = [](std::int64_t, std::int64_t all) {
      EXPECT_EQ(all, 6);
      throw End();
    };
    EXPECT_THROW(open({.image_size = 4, .max_bytes = max_bytes, .on_image = end}), End);
  }
}

TEST_F(OpenImageFolder, WantsASizeForImagesThatDoNotFit) {
  write_class("a", 12, 0);
  write_class("b", 13, 100);
  EXPECT_THAT([&] { open({.max_bytes = 1199}); },
              misuse("images of 1200 bytes are more than max_bytes, 1199, and to read them from their files in every epoch"));
  EXPECT_EQ(open({.max_bytes = 1200}).train->size(), 23);
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
  const OpenedDataset whole = open(), streamed = open({.image_size = 4, .max_bytes = 95});
  EXPECT_TRUE(dynamic_cast<const TensorDataset*>(whole.train.get()));
  EXPECT_FALSE(dynamic_cast<const TensorDataset*>(streamed.train.get()));
  EXPECT_EQ(examples(*streamed.train), examples(*whole.train));
  EXPECT_EQ(examples(*streamed.test), examples(*whole.test));
  EXPECT_EQ(streamed.normalize.mean, whole.normalize.mean);
}

TEST_F(OpenImageFolder, BringsImagesToASizeIfAsked) {
  write("a/wide.png", plain_png(9, 6, 1, 2, 3));
  write("b/high.png", plain_png(5, 20, 1, 2, 3));
  EXPECT_THAT([&] { open(); }, misuse("b/high.png has 5x20 pixels"));
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

TEST_F(OpenImageFolder, NamesADamagedImage) {
  write_class("b", 1, 100);
  write_class("a", 10, 0);
  folder_.write("a/5.png", "no image");
  EXPECT_THROW(open(), DataError);
  const OpenedDataset data = open({.skip_damaged = true});
  EXPECT_EQ(data.train->size() + data.test->size(), 10);
  ASSERT_THAT(data.damaged, SizeIs(1));
  EXPECT_EQ(data.damaged[0].file, folder_ / "a/5.png");
}

}  // namespace
}  // namespace gpucnn
