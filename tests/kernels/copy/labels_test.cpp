#include <gpucnn/kernels/copy/labels.h>

#include <gtest/gtest.h>

#include "device_test.h"
#include "misuse.h"

namespace gpucnn::kernels {
namespace {

class LabelsTest : public DeviceTest {
 protected:
  template <class T>
  std::vector<std::int32_t> convert(const std::vector<T>& labels, std::int64_t num_classes) {
    Tensor y = empty({labels.size()}, DType::i32);
    to_labels(tensor(labels, Shape{labels.size()}), num_classes, y, stream());
    return y.to_vector<std::int32_t>();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, LabelsTest, devices(), device_name);

TEST_P(LabelsTest, AreTakenFromBytesAndIntegers) {
  const std::vector<std::int32_t> expected{0, 9, 200};
  EXPECT_EQ(convert<std::uint8_t>({0, 9, 200}, 256), expected);
  EXPECT_EQ(convert<std::int32_t>({0, 9, 200}, 201), expected);
  EXPECT_EQ(convert<std::int64_t>({0, 9, 200}, 201), expected);
  EXPECT_EQ(convert<std::int64_t>({}, 0), std::vector<std::int32_t>{});
}

TEST_P(LabelsTest, OutsideTheClassesAreRefusedWithTheirPlace) {
  EXPECT_THAT([&] { convert<std::uint8_t>({3, 10, 11}, 10); }, misuse("to_labels: label 10 at index 1 is outside [0, 10)"));
  EXPECT_THAT([&] { convert<std::int32_t>({0, 1, -1}, 10); }, misuse("to_labels: label -1 at index 2 is outside [0, 10)"));
  EXPECT_THAT([&] { convert<std::int64_t>({std::int64_t{1} << 32}, 10); }, misuse("label 4294967296 at index 0"));
}

TEST_P(LabelsTest, TheIgnoredLabelPassesWhereverItLies) {
  const auto convert = [&](const auto& labels, std::int32_t ignored) {
    Tensor y = empty({labels.size()}, DType::i32);
    to_labels(tensor(labels, Shape{labels.size()}), 10, ignored, y, stream());
    return y.to_vector<std::int32_t>();
  };
  using Labels = std::vector<std::int32_t>;
  EXPECT_EQ(convert(Labels{3, -100, 9}, -100), (Labels{3, -100, 9}));
  EXPECT_EQ(convert(std::vector<std::int64_t>{10, 0, 10}, 10), (Labels{10, 0, 10}));
  EXPECT_EQ(convert(std::vector<std::uint8_t>{255, 0}, 255), (Labels{255, 0}));
  EXPECT_EQ(convert(Labels{3, 4}, 4), (Labels{3, 4}));
  EXPECT_THAT([&] { convert(Labels{-100, -1, 0}, -100); }, misuse("to_labels: label -1 at index 1 is outside [0, 10)"));
  // What is -100 in its last 32 bits only is another label.
  const std::vector<std::int64_t> far{(std::int64_t{1} << 32) - 100};
  EXPECT_THAT([&] { convert(far, -100); }, misuse("to_labels: label 4294967196 at index 0"));
}

TEST_P(LabelsTest, OfAnyClassMustOnlyFitI32) {
  const auto convert = [&](const auto& labels) {
    Tensor y = empty({labels.size()}, DType::i32);
    to_i32(tensor(labels, Shape{labels.size()}), y, stream());
    return y.to_vector<std::int32_t>();
  };
  using Labels = std::vector<std::int32_t>;
  using Far = std::vector<std::int64_t>;
  EXPECT_EQ(convert(std::vector<std::uint8_t>{0, 255}), (Labels{0, 255}));
  EXPECT_EQ(convert(Labels{-2147483648, -100, 2147483647}), (Labels{-2147483648, -100, 2147483647}));
  EXPECT_EQ(convert(Far{-2147483648, -100, 2147483647}), (Labels{-2147483648, -100, 2147483647}));
  EXPECT_THAT([&] { convert(Far{0, 2147483648, 2147483649}); }, misuse("to_i32: label 2147483648 at index 1 is not an i32"));
  EXPECT_THAT([&] { convert(Far{0, 0, -2147483649}); }, misuse("to_i32: label -2147483649 at index 2 is not an i32"));
  Tensor f = empty({2}), y = empty({2}, DType::i32);
  EXPECT_THAT([&] { to_i32(f, y, stream()); }, misuse("to_i32: labels must be u8, i32 or i64, got f32"));
}

TEST_P(LabelsTest, OutsideTheClassesAreToldOnceByACallThatWaits) {
  std::vector<std::int32_t> labels(5000, 9);
  for (const std::size_t n : {4000, 3001 + 1024}) labels[n] = 11;
  labels[3001] = 10;
  const Tensor x = tensor(labels, Shape{labels.size()});
  Tensor y = empty(x.shape(), DType::i32);
  EXPECT_THAT(
      [&] {
        to_labels(x, 10, y, stream());
        stream().synchronize();
      },
      misuse("to_labels: label 10 at index 3001 is outside [0, 10)"));
  to_labels(x, 12, y, stream());
  stream().synchronize();
  EXPECT_EQ(y.to_vector<std::int32_t>(), labels);
}

TEST_P(LabelsTest, MayBeConvertedInPlaceAndInViews) {
  Tensor all = tensor<std::int32_t>({7, 0, 2, 1, 7}, {5});
  Tensor y = all.view(1, {3});
  to_labels(y, 3, y, stream());
  EXPECT_EQ(all.to_vector<std::int32_t>(), (std::vector<std::int32_t>{7, 0, 2, 1, 7}));
}

TEST_P(LabelsTest, RefuseOtherTypesAndShapes) {
  Tensor x = empty({4}, DType::i32), three = empty({3}, DType::i32), table = empty({2, 2}, DType::i32), f = empty({4}), none;
  EXPECT_THAT([&] { to_labels(f, 10, x, stream()); }, misuse("to_labels: labels must be u8, i32 or i64, got f32"));
  EXPECT_THAT([&] { to_labels(none, 10, x, stream()); }, misuse("to_labels: labels is undefined"));
  EXPECT_THAT([&] { to_labels(table, 10, x, stream()); }, misuse("to_labels: labels must have 1 dimensions, got [2, 2]"));
  EXPECT_THAT([&] { to_labels(x, 10, three, stream()); }, misuse("to_labels: y must be [4], got [3]"));
  EXPECT_THAT([&] { to_labels(x, -1, x, stream()); }, misuse("to_labels: num_classes must be in [0, 2^31), got -1"));
  EXPECT_THAT([&] { to_labels(x, std::int64_t{1} << 31, x, stream()); }, misuse("to_labels: num_classes must be in [0, 2^31)"));
}

}  // namespace
}  // namespace gpucnn::kernels
