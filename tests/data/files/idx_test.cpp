#include <gpucnn/data/files/idx.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>

#include "data/files/idx_bytes.h"
#include "data/files/test_folder.h"

namespace gpucnn {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

class Idx : public ::testing::Test {
 protected:
  /// The file damaged in this way is refused.
  void expect_refused(const std::string& text, std::uint64_t offset, const std::string& expected, const std::string& found) const {
    const fs::path file = folder_.write("file", text);
    expect_damage([&] { read_idx(file); }, file, offset, expected, found);
  }

  const TestFolder folder_{"idx"};
};

TEST_F(Idx, ReadsEveryRankPackedOrNotWhateverTheName) {
  const std::vector<std::vector<std::uint32_t>> shapes{{5},    {3, 4}, {2, 3, 4}, {2, 3, 4, 5}, {2, 1, 3, 2, 2}, {1, 2, 1, 2, 1, 2},
                                                       {0, 7}, {3, 0}};
  for (const std::vector<std::uint32_t>& extents : shapes) {
    const std::vector<std::int64_t> shape(extents.begin(), extents.end());
    const std::vector<std::uint8_t> numbers = some_numbers(static_cast<std::size_t>(Shape::from(shape).numel()));
    const std::string text = idx_bytes(extents, numbers);
    for (const std::string& stored : {text, gzip(text), gzip(text.substr(0, 7)) + gzip(text.substr(7))}) {
      for (const char* name : {"plain", "packed.gz"}) {
        const Tensor read = read_idx(folder_.write(name, stored));
        EXPECT_EQ(read.shape(), Shape::from(shape));
        EXPECT_EQ(read.to_vector<std::uint8_t>(), numbers) << Shape::from(shape).string() << ' ' << name;
      }
    }
  }
}

TEST_F(Idx, ReadsMoreThanAChunkOfPackedData) {
  std::vector<std::uint8_t> numbers(300'000);
  std::uint32_t word = 1;
  for (std::uint8_t& number : numbers) number = static_cast<std::uint8_t>((word = word * 1664525U + 1013904223U) >> 24);
  const std::string packed = gzip(idx_bytes({300, 1000}, numbers));
  ASSERT_GT(packed.size(), 200'000U);
  EXPECT_EQ(read_idx(folder_.write("file", packed)).to_vector<std::uint8_t>(), numbers);
}

TEST_F(Idx, NamesAFileThatIsNone) {
  expect_refused("", 0, "4 bytes more", "the end of the file");
  expect_refused(std::string("\0\0\x08", 3), 3, "1 bytes more", "the end of the file");
  expect_refused("PK\x03\x04 and so on", 0, "begins with 00 00", "50 4B");
  expect_refused(gzip("hello, world"), 0, "begins with 00 00 (unpacked)", "68 65");
  expect_damage([&] { read_idx(folder_ / "none"); }, folder_ / "none", 0, "a file that can be read", "No such file");
  expect_damage([&] { read_idx(folder_.path()); }, folder_.path(), 0, "a file", "a directory");
}

TEST_F(Idx, NamesATypeOrARankThatItDoesNotRead) {
  expect_refused(idx_bytes({2}, some_numbers(8), 0x0D), 2, "08 (unsigned bytes)", "0D (floats)");
  expect_refused(idx_bytes({2}, some_numbers(2), 0x09), 2, "08 (unsigned bytes)", "09 (signed bytes)");
  expect_refused(idx_bytes({2}, some_numbers(2), 0x07), 2, "08 (unsigned bytes)", "07");
  expect_refused(idx_bytes({}, some_numbers(1)), 3, "1 to 6 dimensions", "0");
  expect_refused(idx_bytes({1, 1, 1, 1, 1, 1, 1}, some_numbers(1)), 3, "1 to 6 dimensions", "7");
}

TEST_F(Idx, NamesExtentsThatTheFileDoesNotHoldBeforeItTakesMemory) {
  expect_refused(idx_bytes({2, 3}, some_numbers(5)), 4, "at most 5 bytes", "[2, 3]");
  for (const std::vector<std::uint32_t>& huge : std::vector<std::vector<std::uint32_t>>{
           {4'000'000'000}, {4'294'967'295, 4'294'967'295}, {4'294'967'295, 4'294'967'295, 4'294'967'295, 4'294'967'295}}) {
    const std::string text = idx_bytes(huge, some_numbers(100));
    expect_refused(text, 4, "at most 100 bytes", "4");
    expect_refused(gzip(text), 4, "extents whose numbers a file of this size holds", "4");
  }
}

TEST_F(Idx, NamesAFileThatEndsEarlyOrLate) {
  const std::string text = idx_bytes({3, 4}, some_numbers(12));
  expect_refused(text.substr(0, 9), 9, "3 bytes more", "the end of the file");
  expect_refused(text + "xy", 24, "the end of the file behind 12 numbers ([3, 4])", "2 bytes more");
  expect_refused(gzip(text.substr(0, 20)), 20, "4 bytes more (unpacked)", "the end of the data");
  expect_refused(gzip(text + "x"), 24, "the end of the data (unpacked)", "more bytes");
}

TEST_F(Idx, NamesPackedDataThatIsCutOrDamaged) {
  const std::string packed = gzip(idx_bytes({30, 40}, some_numbers(1200)));
  for (const std::size_t size : {std::size_t{2}, std::size_t{9}, packed.size() / 2, packed.size() - 9, packed.size() - 1}) {
    expect_refused(packed.substr(0, size), size, "the rest of the gzip data", "the end of the file");
  }
  std::string damaged = packed;
  damaged[packed.size() - 6] ^= 1;  // the checksum
  expect_refused(damaged, packed.size() - 4, "gzip data", "incorrect data check");
  expect_refused(packed + "rest", packed.size() + 2, "gzip data", "incorrect header check");
  damaged = packed;
  damaged[2] = 7;  // the method
  expect_refused(damaged, 4, "gzip data", "unknown compression method");
}

}  // namespace
}  // namespace gpucnn
