#include <gpucnn/data/image/image_folder.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/threads/threads.h>
#include <gpucnn/data/image/decode_image.h>

#include "data/image/image_tree.h"

namespace gpucnn {
namespace {

namespace fs = std::filesystem;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

class ImageFolderTest : public ::testing::Test {
 protected:
  /// Opening fails, names this path of the folder ("": the folder), and says this in one line.
  void expect_refused(const std::string& name, const std::string& found, const ImageFolderOptions& options = {}) const {
    try {
      ImageFolder(tree_.dir(), options);
      ADD_FAILURE() << "was taken; wanted: " << found;
    } catch (const DataError& error) {
      EXPECT_EQ(error.file(), name.empty() ? tree_.dir().string() : (tree_.dir() / name).string());
      EXPECT_THAT(error.found(), HasSubstr(found));
      EXPECT_THAT(std::string(error.what()), ::testing::Not(HasSubstr("\n")));
    }
  }

  std::vector<std::string> files_of(const ImageFolder& folder) const {
    std::vector<std::string> files;
    for (std::int64_t i = 0; i < folder.size(); ++i) files.push_back(folder.file(i).lexically_relative(tree_.dir()).string());
    return files;
  }

  ImageTree tree_;
};

std::vector<std::int64_t> all_of(const Dataset& dataset) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(dataset.size()));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

/// The first byte of each image of a batch.
std::vector<int> greys_of(const Tensor& images) {
  const std::vector<std::uint8_t> values = images.to_vector<std::uint8_t>();
  std::vector<int> greys;
  for (std::int64_t i = 0; i < images.dim(0); ++i)
    greys.push_back(values[static_cast<std::size_t>(i * values.size()) / images.dim(0)]);
  return greys;
}

TEST_F(ImageFolderTest, HasAClassForEachSubfolderAndItsFilesInTorchvisionsOrder) {
  tree_.write_grey("dog/2.png", 1);
  tree_.write_grey("dog/10.PNG", 2);
  tree_.write_grey("dog/a/9.png", 3);
  tree_.write_grey("dog/a-b/1.png", 4);
  tree_.write_grey("dog/z.jpeg", 5);  // by content a PNG
  tree_.write_grey("Zebra/x.png", 6);
  tree_.write("cat/1.jpg", plain_jpeg(4, 4, 7, 7, 7));
  tree_.write("cat/readme.txt", bytes_of("no image"));
  tree_.write("notes.txt", bytes_of("no class"));
  const ImageFolder folder(tree_.dir());
  EXPECT_THAT(folder.class_names(), ElementsAre("Zebra", "cat", "dog"));
  EXPECT_THAT(files_of(folder),
              ElementsAre("Zebra/x.png", "cat/1.jpg", "dog/10.PNG", "dog/2.png", "dog/z.jpeg", "dog/a/9.png", "dog/a-b/1.png"));
  EXPECT_EQ(folder.image_shape(), (Shape{3, 4, 4}));
  EXPECT_THAT(folder.damaged(), IsEmpty());
  const auto [images, labels] = folder.get(all_of(folder));
  EXPECT_EQ(images.shape(), (Shape{7, 3, 4, 4}));
  EXPECT_THAT(greys_of(images), ElementsAre(6, 7, 2, 1, 5, 3, 4));
  EXPECT_THAT(labels.to_vector<std::int32_t>(), ElementsAre(0, 1, 2, 2, 2, 2, 2));
}

TEST_F(ImageFolderTest, LeavesOutWhatIsHidden) {
  tree_.write_grey("cat/1.png", 1);
  tree_.write_grey("cat/.2.png", 2);
  tree_.write_grey("cat/.thumbnails/3.png", 3);
  tree_.write_grey(".git/4.png", 4);
  tree_.write("cat/._1.png", bytes_of("no image"));
  const ImageFolder folder(tree_.dir());
  EXPECT_THAT(folder.class_names(), ElementsAre("cat"));
  EXPECT_THAT(files_of(folder), ElementsAre("cat/1.png"));
}

TEST_F(ImageFolderTest, FollowsLinks) {
  tree_.write_grey("cat/1.png", 1);
  fs::create_directory_symlink("cat", tree_.dir() / "dog");
  fs::create_symlink("1.png", tree_.dir() / "cat" / "2.png");
  const ImageFolder folder(tree_.dir());
  EXPECT_THAT(files_of(folder), ElementsAre("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"));
  EXPECT_THAT(greys_of(folder.get(all_of(folder)).inputs), Each(1));
}

TEST_F(ImageFolderTest, BringsImagesToOneSize) {
  tree_.write("cat/1.png", plain_png(40, 20, 1, 1, 1));
  tree_.write("cat/2.jpg", plain_jpeg(160, 320, 90, 90, 90));
  const ImageFolder stretched(tree_.dir(), {.resize = ResizeOptions{.size = {8, 6}}});
  EXPECT_EQ(stretched.image_shape(), (Shape{3, 8, 6}));
  EXPECT_THAT(greys_of(stretched.get(all_of(stretched)).inputs), ElementsAre(1, 90));
  const ImageFolder cropped(tree_.dir(), {.resize = ResizeOptions{.size = 8, .resize = 10}, .channels = 1});
  EXPECT_EQ(cropped.image_shape(), (Shape{1, 8, 8}));
  EXPECT_THAT(greys_of(cropped.get(all_of(cropped)).inputs), ElementsAre(1, 90));
}

// A program that classifies a file must see what its network was trained on.
TEST_F(ImageFolderTest, GivesWhatLoadImageGivesOfTheFile) {
  std::vector<std::uint8_t> rows(3 * 90 * 70);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::uint8_t>(i * i >> 4);
  tree_.write("cat/1.png", encode_png({.width = 90, .height = 70, .rows = rows}));
  tree_.write("cat/2.jpg", plain_jpeg(160, 320, 90, 20, 60));
  for (const ResizeOptions& resize : {ResizeOptions{.size = 16, .resize = 16}, ResizeOptions{.size = {9, 12}}}) {
    for (const int channels : {1, 3}) {
      const ImageFolder folder(tree_.dir(), {.resize = resize, .channels = channels});
      const Tensor images = folder.get(all_of(folder)).inputs;
      for (std::int64_t i = 0; i < folder.size(); ++i) {
        EXPECT_EQ(load_image(folder.file(i), channels, resize).to_vector<std::uint8_t>(),
                  images.narrow(i, 1).to_vector<std::uint8_t>());
      }
    }
  }
  EXPECT_THROW(load_image(tree_.dir() / "cat/1.png", 2, {}), std::invalid_argument);
  EXPECT_THROW(load_image(tree_.dir() / "cat/1.png", 3, {.size = 16, .resize = 8}), std::invalid_argument);
}

TEST_F(ImageFolderTest, WithoutASizeRefusesAnImageOfAnother) {
  tree_.write_grey("cat/1.png", 1);
  tree_.write("cat/2.png", plain_png(5, 4, 1, 1, 1));
  const ImageFolder folder(tree_.dir());
  EXPECT_THAT([&] { folder.get(all_of(folder)); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("cat/2.png has 5x4 pixels, and the first image 4x4")));
}

TEST_F(ImageFolderTest, NamesAFolderThatIsNone) {
  fs::remove_all(tree_.dir());
  expect_refused("", "no such folder");
  std::ofstream(tree_.dir()) << "a file";
  expect_refused("", "a file");
}

TEST_F(ImageFolderTest, NamesAFolderWithoutClasses) {
  expect_refused("", "no subfolder");
  tree_.write_grey("1.png", 1);
  expect_refused("", "images and no subfolder");
  tree_.write_grey(".hidden/1.png", 1);
  expect_refused("", "images and no subfolder");
}

TEST_F(ImageFolderTest, NamesAClassWithoutImages) {
  tree_.write_grey("cat/1.png", 1);
  fs::create_directory(tree_.dir() / "dog");
  expect_refused("dog", "none");
  tree_.write("dog/a.txt", {});
  tree_.write("dog/.1.png", {});
  expect_refused("dog", "none among 2 files");
}

TEST_F(ImageFolderTest, NamesTwoClassesThatDifferInCase) {
  tree_.write_grey("cat/1.png", 1);
  tree_.write_grey("Cat/1.png", 1);
  expect_refused("", "'Cat' and 'cat'");
}

TEST_F(ImageFolderTest, NamesWhatIsNoUtf8) {
  tree_.write_grey("c\xFFt/1.png", 1);
  expect_refused("c\xFFt", "bytes that are none");
  fs::remove_all(tree_.dir() / "c\xFFt");
  tree_.write_grey("cat/\xC3.png", 1);
  expect_refused("cat/\xC3.png", "bytes that are none");
  fs::remove(tree_.dir() / "cat/\xC3.png");
  tree_.write_grey("кот/猫.png", 1);
  tree_.write_grey("cat/1.png", 1);
  tree_.write("cat/\xC3.txt", {});  // no image, so that its name does not count
  EXPECT_THAT(ImageFolder(tree_.dir()).class_names(), ElementsAre("cat", "кот"));
}

TEST_F(ImageFolderTest, NamesALinkToAFolderAroundIt) {
  tree_.write_grey("cat/1.png", 1);
  fs::create_directory_symlink(tree_.dir() / "cat", tree_.dir() / "cat" / "again");
  expect_refused("cat/again", "a link to a folder that it lies in itself");
}

TEST_F(ImageFolderTest, NamesAFolderTooDeep) {
  std::string deep = "cat";
  for (int i = 0; i < 70; ++i) deep += "/d";
  tree_.write_grey(deep + "/1.png", 1);
  try {
    ImageFolder folder(tree_.dir());
    ADD_FAILURE() << "70 folders were taken";
  } catch (const DataError& error) {
    EXPECT_THAT(error.expected(), HasSubstr("at most 64 folders"));
  }
}

TEST_F(ImageFolderTest, NamesAFolderThatMayNotBeRead) {
  tree_.write_grey("cat/1.png", 1);
  tree_.write_grey("dog/1.png", 1);
  fs::permissions(tree_.dir() / "dog", fs::perms::none);
  const bool root = geteuid() == 0;
  constexpr uid_t kNobody = 65534;
  if (root && seteuid(kNobody) != 0) GTEST_SKIP() << "root may read everything, and cannot become somebody else";
  expect_refused("dog", "Permission denied");
  if (root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  fs::permissions(tree_.dir() / "dog", fs::perms::owner_all);
}

TEST_F(ImageFolderTest, NamesADamagedImageWhenItIsAskedFor) {
  tree_.write_grey("cat/1.png", 1);
  tree_.write("cat/2.png", bytes_of("no image"));
  tree_.write("cat/3.png", {});
  tree_.write_grey("cat/4.png", 4);
  fs::create_symlink("nowhere", tree_.dir() / "cat" / "5.png");
  ASSERT_EQ(mkfifo((tree_.dir() / "cat" / "6.png").c_str(), 0600), 0);
  fs::create_directory(tree_.dir() / "cat" / "7.png");
  const ImageFolder folder(tree_.dir());
  EXPECT_THAT(folder.get(std::vector<std::int64_t>{0, 3}).labels.to_vector<std::int32_t>(), SizeIs(2));
  const auto refuses = [&](std::vector<std::int64_t> indices, const char* file, const char* found) {
    EXPECT_THAT([&] { folder.get(indices); }, ThrowsMessage<DataError>(::testing::AllOf(HasSubstr(file), HasSubstr(found))));
  };
  const int before = num_threads();
  for (const int threads : {1, 2, 4}) {
    set_num_threads(threads);
    refuses({0, 1, 2, 3}, "cat/2.png", "found neither");
    refuses({3, 2, 1, 0}, "cat/3.png", "an empty file");
  }
  set_num_threads(before);
  refuses({4}, "cat/5.png", "No such file");
  refuses({5}, "cat/6.png", "a device or a pipe");
  EXPECT_THAT([&] { folder.in_memory(); }, ThrowsMessage<DataError>(::testing::AllOf(
                                               HasSubstr("cat/2.png"), HasSubstr("(4 of 6 images of the folder are damaged)"))));
}

TEST_F(ImageFolderTest, SkipsDamagedImagesIfItIsTold) {
  tree_.write("cat/0.png", bytes_of("no image"));
  tree_.write_grey("cat/1.png", 1);
  tree_.write_grey("dog/1.png", 11);
  tree_.write("dog/2.bmp", bytes_of("BM"));
  tree_.write_grey("dog/3.png", 13);
  const int before = num_threads();
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    const ImageFolder folder(tree_.dir(), {.skip_damaged = true});
    EXPECT_THAT(files_of(folder), ElementsAre("cat/1.png", "dog/1.png", "dog/3.png"));
    ASSERT_THAT(folder.damaged(), SizeIs(2));
    EXPECT_EQ(folder.damaged()[0].file, tree_.dir() / "cat/0.png");
    EXPECT_THAT(folder.damaged()[1].reason, HasSubstr("a BMP image"));
    const TensorDataset all = folder.in_memory();
    EXPECT_THAT(greys_of(all.images()), ElementsAre(1, 11, 13));
    EXPECT_THAT(all.labels().to_vector<std::int32_t>(), ElementsAre(0, 1, 1));
  }
  set_num_threads(before);
  fs::remove(tree_.dir() / "cat/1.png");
  expect_refused("cat", "none; 2 damaged images in all, the first: ", {.skip_damaged = true});
  fs::remove_all(tree_.dir() / "dog");
  expect_refused("", "1 files, all of them damaged", {.skip_damaged = true});
}

TEST_F(ImageFolderTest, CountsImagesWhileTheyAreRead) {
  for (int i = 0; i < 9; ++i) tree_.write_grey("cat/" + std::to_string(i) + ".png", 1);
  tree_.write("cat/9.png", bytes_of("no image"));
  std::mutex mutex;
  std::vector<std::pair<std::int64_t, std::int64_t>> counts;
  const ImageFolder folder(tree_.dir(), {.skip_damaged = true, .on_image = [&](std::int64_t done, std::int64_t all) {
                                           const std::scoped_lock lock(mutex);
                                           counts.emplace_back(done, all);
                                         }});
  const auto expect_counted = [&](std::int64_t all) {
    std::ranges::sort(counts);
    ASSERT_EQ(std::ssize(counts), all);
    for (std::int64_t i = 0; i < all; ++i) EXPECT_EQ(counts[static_cast<std::size_t>(i)], std::pair(i + 1, all));
    counts.clear();
  };
  expect_counted(10);
  folder.in_memory();
  expect_counted(9);
  folder.get(all_of(folder));
  EXPECT_THAT(counts, IsEmpty());
}

TEST_F(ImageFolderTest, EndsWhereItIsToldTo) {
  struct End {};
  for (int i = 0; i < 100; ++i) tree_.write_grey("cat/" + std::to_string(i) + ".png", 1);
  tree_.write("cat/0.png", bytes_of("no image"));
  std::atomic<int> calls = 0;
  const ImageFolderOptions options{.resize = ResizeOptions{.size = 4}, .on_image = [&](std::int64_t, std::int64_t) {
                                     ++calls;
                                     throw End();
                                   }};
  const ImageFolder folder(tree_.dir(), options);
  EXPECT_THROW(folder.in_memory(), End);
  EXPECT_LE(calls, num_threads());
  ImageFolderOptions skipping = options;
  skipping.skip_damaged = true;
  EXPECT_THROW(ImageFolder(tree_.dir(), skipping), End);
}

TEST_F(ImageFolderTest, NamesADamagedFirstImageThatShouldGiveTheSize) {
  tree_.write("cat/1.png", bytes_of("no image"));
  expect_refused("cat/1.png", "neither");
}

TEST_F(ImageFolderTest, NamesAFileThatIsGoneOrDamagedSinceItWasOpened) {
  tree_.write_grey("cat/1.png", 1);
  tree_.write_grey("cat/2.png", 2);
  const ImageFolder folder(tree_.dir(), {.skip_damaged = true});
  fs::resize_file(tree_.dir() / "cat/2.png", 30);
  EXPECT_THAT([&] { folder.get(all_of(folder)); }, ThrowsMessage<DataError>(HasSubstr("cat/2.png")));
  fs::remove(tree_.dir() / "cat/2.png");
  EXPECT_THAT([&] { folder.get(all_of(folder)); }, ThrowsMessage<DataError>(HasSubstr("No such file")));
}

TEST_F(ImageFolderTest, ComesIntoMemoryWithinALimit) {
  tree_.write_grey("cat/1.png", 1);
  tree_.write_grey("cat/2.png", 2);
  const ImageFolder folder(tree_.dir());
  EXPECT_EQ(folder.in_memory(96).images().shape(), (Shape{2, 3, 4, 4}));
  EXPECT_THAT([&] { folder.in_memory(95); },
              ThrowsMessage<DataError>(HasSubstr("images of at most 95 bytes in memory, found 2 images of 48 bytes")));
}

TEST_F(ImageFolderTest, BringsSomeImagesIntoMemory) {
  for (int i = 0; i < 4; ++i) tree_.write_grey("cat/" + std::to_string(i) + ".png", static_cast<std::uint8_t>(i));
  tree_.write_grey("dog/4.png", 4);
  tree_.write("dog/5.png", bytes_of("no image"));
  tree_.write("dog/6.png", bytes_of("no image"));
  const ImageFolder folder(tree_.dir());
  const TensorDataset some = folder.in_memory(std::vector<std::int64_t>{4, 0, 2}, 144);
  EXPECT_THAT(greys_of(some.images()), ElementsAre(4, 0, 2));
  EXPECT_THAT(some.labels().to_vector<std::int32_t>(), ElementsAre(1, 0, 0));
  EXPECT_THAT(
      [&] {
        folder.in_memory(std::vector<std::int64_t>{4, 0, 2}, 143);
      },
      ThrowsMessage<DataError>(HasSubstr("found 3 images of 48 bytes")));
  EXPECT_THAT(
      [&] {
        folder.in_memory(std::vector<std::int64_t>{0, 6, 5}, 144);
      },
      ThrowsMessage<DataError>(::testing::AllOf(HasSubstr("dog/6.png"), HasSubstr("(2 of 3 images of the folder"))));
  EXPECT_THROW(folder.in_memory(std::vector<std::int64_t>{7}, 144), std::invalid_argument);
}

TEST_F(ImageFolderTest, CountsFilesThatItLeavesOut) {
  tree_.write_grey("cat/1.png", 1);
  tree_.write_grey("2.png", 1);
  for (const char* name : {"cat/3.HEIC", "cat/below/4.gif", "cat/.hidden", "labels.csv"}) tree_.write(name, {});
  EXPECT_EQ(ImageFolder(tree_.dir()).left_out(), 3);
}

TEST_F(ImageFolderTest, RefusesWrongOptionsAndNumbers) {
  tree_.write_grey("cat/1.png", 1);
  EXPECT_THROW(ImageFolder(tree_.dir(), {.channels = 2}), std::invalid_argument);
  EXPECT_THROW(ImageFolder(tree_.dir(), {.resize = ResizeOptions{.size = 0}}), std::invalid_argument);
  const ImageFolder folder(tree_.dir());
  EXPECT_THROW(folder.get(std::vector<std::int64_t>{1}), std::invalid_argument);
  EXPECT_THROW(folder.get(std::vector<std::int64_t>{-1}), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(folder.file(1)), std::invalid_argument);
  EXPECT_EQ(folder.get({}).inputs.shape(), (Shape{0, 3, 4, 4}));
}

}  // namespace
}  // namespace gpucnn
