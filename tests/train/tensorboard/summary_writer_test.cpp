#include <gpucnn/train/tensorboard/summary_writer.h>

#include <sys/resource.h>

#include <csignal>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/train/report/picture.h>
#include <gpucnn/train/tensorboard/crc32c.h>

#include "io/temporary_folder.h"
#include "train/tensorboard/event_reader.h"

namespace gpucnn {
namespace {

using testing::doubles_of;
using testing::Field;
using testing::fields_of;
using ::testing::MatchesRegex;
using testing::read_bytes;
using testing::records_of;
using testing::TemporaryFolder;

TEST(Crc32c, IsThatOfRfc3720) {
  EXPECT_EQ(tensorboard::crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(tensorboard::crc32c(std::string(32, '\xFF')), 0x62A8AB43U);
  EXPECT_EQ(tensorboard::crc32c("123456789"), 0xE3069283U);
}

/// The value of the summary in an event.
std::map<std::uint64_t, Field> value_in(std::string_view record) {
  return fields_of(fields_of(fields_of(record).at(5).bytes).at(1).bytes);
}

TEST(SummaryWriterTest, WritesAScalarByteForByte) {
  const TemporaryFolder folder;
  SummaryWriter writer(folder / "run");
  writer.add_scalar("loss/train", 0.5, 300);
  const std::string file = read_bytes(writer.path());
  const std::vector<std::string_view> records = records_of(file);
  ASSERT_EQ(records.size(), 2U);
  // The wall time is 9 bytes in front.
  EXPECT_EQ(records[0].substr(9), std::string("\x10\x00\x1A\x0D", 4) + "brain.Event:2");
  EXPECT_EQ(records[1].substr(9),
            std::string("\x10\xAC\x02\x2A\x13\x0A\x11\x0A\x0A", 9) + "loss/train" + std::string("\x15\x00\x00\x00\x3F", 5));
  // Framed: length, its checksum, bytes, theirs.
  const std::string_view head = std::string_view(file).substr(0, 8),
                         tail = std::string_view(file).substr(12 + records[0].size(), 4);
  EXPECT_EQ(Field::from<std::uint32_t>(std::string_view(file).substr(8, 4)), tensorboard::masked_crc32c(head));
  EXPECT_EQ(Field::from<std::uint32_t>(tail), tensorboard::masked_crc32c(records[0]));
  EXPECT_EQ(tensorboard::masked_crc32c("123456789"), 0xC78AB0E5U);
}

TEST(SummaryWriterTest, NamesFilesAsTensorBoardWants) {
  const TemporaryFolder folder;
  const SummaryWriter first(folder.path()), second(folder.path());
  EXPECT_THAT(first.path().filename().string(), MatchesRegex("events\\.out\\.tfevents\\.[0-9]{10}\\..+\\.[0-9]+\\.[0-9]+"));
  EXPECT_LT(first.path().filename().string().substr(0, 30), second.path().filename().string().substr(0, 30));
}

TEST(SummaryWriterTest, WritesAnImageWithItsSize) {
  const TemporaryFolder folder;
  SummaryWriter writer(folder.path());
  writer.add_image("a", Tensor::full({1, 3, 2, 5}, 0.5F), 1);
  const std::string file = read_bytes(writer.path());
  const auto image = fields_of(value_in(records_of(file).at(1)).at(4).bytes);
  EXPECT_EQ(image.at(1).number, 2U);
  EXPECT_EQ(image.at(2).number, 5U);
  EXPECT_EQ(image.at(3).number, 3U);
  EXPECT_EQ(image.at(4).bytes, report::png_of(report::picture_of(Tensor::full({1, 3, 2, 5}, 0.5F), 5)));
}

TEST(SummaryWriterTest, CountsNumbersInBuckets) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values{0, 0, -2, 1, 1.01F, 3, -0.0F, kNan, kInfinity, -kInfinity, 1e30F};
  const TemporaryFolder folder;
  SummaryWriter writer(folder.path());
  writer.add_histogram("h", Tensor::from(values, {11}), 1);
  const std::string file = read_bytes(writer.path());
  const auto histogram = fields_of(value_in(records_of(file).at(1)).at(5).bytes);
  EXPECT_EQ(histogram.at(1).real64(), -2);
  EXPECT_EQ(histogram.at(2).real64(), double{1e30F});
  EXPECT_EQ(histogram.at(3).real64(), 8);
  EXPECT_NEAR(histogram.at(4).real64(), double{1e30F}, 1e14);
  const std::vector<double> limits = doubles_of(histogram.at(6).bytes), counts = doubles_of(histogram.at(7).bytes);
  ASSERT_EQ(limits.size(), counts.size());
  EXPECT_EQ(counts.front(), 0);
  EXPECT_EQ(counts.back(), 1);
  for (std::size_t i = 1; i < limits.size(); ++i) {
    double expected = 0;
    for (const float value : values) expected += double{value} >= limits[i - 1] && double{value} < limits[i];
    EXPECT_EQ(counts[i], expected) << "from " << limits[i - 1] << " to " << limits[i];
  }
}

TEST(SummaryWriterTest, WritesNoBucketForNothing) {
  const TemporaryFolder folder;
  SummaryWriter writer(folder.path());
  writer.add_histogram("h", Tensor::full({2}, std::numeric_limits<float>::quiet_NaN()), 1);
  const std::string file = read_bytes(writer.path());
  const auto histogram = fields_of(value_in(records_of(file).at(1)).at(5).bytes);
  EXPECT_EQ(histogram.at(3).real64(), 0);
  EXPECT_TRUE(histogram.at(6).bytes.empty());
}

TEST(SummaryWriterTest, TellsFromWhichStepARunGoesOn) {
  const TemporaryFolder folder;
  const SummaryWriter writer(folder.path(), {.purge_step = 7});
  const std::string file = read_bytes(writer.path());
  const auto start = fields_of(records_of(file).at(1));
  EXPECT_EQ(start.at(2).number, 7U);
  EXPECT_EQ(fields_of(start.at(7).bytes).at(1).number, 1U);
}

TEST(SummaryWriterTest, RefusesWhatItCannotWrite) {
  const TemporaryFolder folder;
  SummaryWriter writer(folder.path());
  EXPECT_THROW(writer.add_scalar("\xFF", 1, 1), std::invalid_argument);
  EXPECT_THROW(writer.add_image("a", Tensor::zeros({1, 2, 4, 4}), 1), std::invalid_argument);
  EXPECT_THROW(writer.add_image("a", Tensor(), 1), std::invalid_argument);
  EXPECT_THROW(writer.add_png("a", "GIF89a", 1), std::invalid_argument);
  EXPECT_THROW(writer.add_histogram("a", Tensor::from(std::vector<std::int32_t>{1}, {1}), 1), std::invalid_argument);
  SummaryWriter moved = std::move(writer);
  moved.close();
  EXPECT_THROW(moved.add_scalar("a", 1, 1), std::logic_error);
  EXPECT_THROW(SummaryWriter("/proc/nothing"), OutputError);
}

TEST(SummaryWriterTest, KeepsWholeRecordsWhereTheDiskIsFull) {
  const TemporaryFolder folder;
  SummaryWriter writer(folder.path());
  writer.add_scalar("before", 1, 1);
  const std::string before = read_bytes(writer.path());
  const rlimit small{before.size() + 100, RLIM_INFINITY};
  rlimit usual{};
  getrlimit(RLIMIT_FSIZE, &usual);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_THROW(writer.add_histogram("much", Tensor::randn({1000}, 1), 1), OutputError);
  setrlimit(RLIMIT_FSIZE, &usual);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_bytes(writer.path()), before);
  writer.add_scalar("after", 1, 2);
  const std::string file = read_bytes(writer.path());
  EXPECT_EQ(records_of(file).size(), 3U);
}

}  // namespace
}  // namespace gpucnn
