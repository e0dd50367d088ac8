#include <gpucnn/core/tensor.h>

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/random.h>

#include "device_test.h"

namespace gpucnn {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::ThrowsMessage;

template <class T>
std::vector<T> counting(std::int64_t count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), T{0});
  return values;
}

/// Tensors on either device.
class TensorTest : public DeviceTest {
 protected:
  Tensor zeros(const Shape& shape, DType dtype = DType::f32) const { return Tensor::zeros(shape, dtype, device()); }
};
INSTANTIATE_TEST_SUITE_P(Devices, TensorTest, devices(), device_name);

TEST(Tensor, ThatIsUndefinedHasNoMemoryAndSaysSo) {
  const Tensor none;
  EXPECT_FALSE(none.defined());
  EXPECT_EQ(none.bytes(), nullptr);
  EXPECT_FALSE(none.clone().defined());
  EXPECT_FALSE(none.to(Device::cpu()).defined());
  const auto says_undefined = ThrowsMessage<std::invalid_argument>(HasSubstr("undefined"));
  EXPECT_THAT([&] { none.data<float>(); }, says_undefined);
  EXPECT_THAT([&] { none.to_vector<float>(); }, says_undefined);
  EXPECT_THAT([&] { none.item(); }, says_undefined);
  EXPECT_THROW(none.narrow(0, 0), std::invalid_argument);
  EXPECT_THROW(none.view(0, {1}), std::invalid_argument);
  EXPECT_THROW(Tensor::zeros({1}).copy_from(none), std::invalid_argument);
  EXPECT_THROW(Tensor().copy_from(Tensor::zeros({1})), std::invalid_argument);
}

TEST_P(TensorTest, KnowsItsShapeTypePlaceAndSize) {
  const Tensor x = empty({4, 3, 2, 5}, DType::i64);
  EXPECT_TRUE(x.defined());
  EXPECT_EQ(x.shape(), (Shape{4, 3, 2, 5}));
  EXPECT_EQ(x.rank(), 4);
  EXPECT_EQ(x.dim(1), 3);
  EXPECT_EQ(x.numel(), 120);
  EXPECT_EQ(x.nbytes(), 960U);
  EXPECT_EQ(x.dtype(), DType::i64);
  EXPECT_EQ(x.device(), device());
}

TEST_P(TensorTest, FromAndToVectorSpeakPyTorchsOrder) {
  const Shape shape{2, 3, 4, 5};
  EXPECT_EQ(tensor(counting<float>(120), shape).to_vector<float>(), counting<float>(120));
  EXPECT_EQ(tensor(counting<std::uint8_t>(120), shape).to_vector<std::uint8_t>(), counting<std::uint8_t>(120));
  EXPECT_EQ(tensor(counting<std::int32_t>(120), shape).to_vector<std::int32_t>(), counting<std::int32_t>(120));
  EXPECT_EQ(tensor(counting<std::int64_t>(120), {120}).to_vector<std::int64_t>(), counting<std::int64_t>(120));
}

TEST(Tensor, OfImagesIsChannelsLastInMemory) {
  const Tensor x = Tensor::from(counting<float>(12), {1, 3, 2, 2});
  EXPECT_THAT(std::vector<float>(x.data<float>(), x.data<float>() + 12), ElementsAre(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11));
  const Tensor rows = Tensor::from(counting<float>(12), {3, 2, 2});
  EXPECT_EQ(std::vector<float>(rows.data<float>(), rows.data<float>() + 12), counting<float>(12));
}

TEST(Tensor, FromNhwcTakesInterleavedPixelsAsTheyAre) {
  const std::vector<std::uint8_t> rgb{1, 2, 3, 4, 5, 6};  // two pixels
  const Tensor image = Tensor::from_nhwc(rgb, {1, 3, 1, 2});
  EXPECT_THAT(image.to_vector<std::uint8_t>(), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_EQ(std::vector<std::uint8_t>(image.data<std::uint8_t>(), image.data<std::uint8_t>() + 6), rgb);
  EXPECT_THAT(Tensor::from_nhwc(std::vector<float>{1, 2}, {1, 2, 1, 1}).to_vector<float>(), ElementsAre(1, 2));
  EXPECT_THROW(Tensor::from_nhwc(rgb, {3, 1, 2}), std::invalid_argument);
  EXPECT_THROW(Tensor::from_nhwc(rgb, {1, 3, 2, 2}), std::invalid_argument);
}

TEST(Tensor, FromRefusesAnotherNumberOfElements) {
  EXPECT_THAT(
      [] {
        Tensor::from(std::vector<float>(5), {2, 3});
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("[2, 3] holds 6 elements, the data has 5")));
  EXPECT_THROW(Tensor::from(std::vector<float>(7), {2, 3}), std::invalid_argument);
  EXPECT_THROW(Tensor::from(std::vector<float>(1), {0}), std::invalid_argument);
}

TEST(Tensor, RefusesToBeReadAsAnotherType) {
  Tensor labels = Tensor::zeros({3}, DType::i32);
  EXPECT_THAT([&] { labels.data<float>(); }, ThrowsMessage<std::invalid_argument>(HasSubstr("is i32, asked for as f32")));
  EXPECT_THROW(labels.to_vector<std::int64_t>(), std::invalid_argument);
  EXPECT_THROW(labels.item(), std::invalid_argument);
}

TEST_P(TensorTest, TheCpuReadsItsOwnMemoryOnly) {
  Tensor x = zeros({2});
  const Tensor& same = x;
  EXPECT_EQ(reinterpret_cast<std::byte*>(x.device_data<float>()), x.bytes());
  EXPECT_EQ(same.device_data<float>(), x.device_data<float>());
  EXPECT_THROW(x.device_data<std::int32_t>(), std::invalid_argument);
  if (device() == Device::cpu()) {
    EXPECT_EQ(x.data<float>(), x.device_data<float>());
    EXPECT_EQ(same.data<float>(), x.device_data<float>());
    return;
  }
  const auto names_the_way_out =
      ThrowsMessage<std::invalid_argument>(AllOf(HasSubstr("lies on cuda"), HasSubstr("to(Device::cpu())")));
  EXPECT_THAT([&] { x.data<float>(); }, names_the_way_out);
  EXPECT_THAT([&] { same.data<float>(); }, names_the_way_out);
  EXPECT_EQ(x.to(Device::cpu()).data<float>()[1], 0);
}

TEST_P(TensorTest, ZerosAndFullFill) {
  EXPECT_THAT(zeros({100}, DType::i64).to_vector<std::int64_t>(), Each(0));
  EXPECT_THAT(Tensor::full({2, 3, 4, 5}, 0.1F, device()).to_vector<float>(), Each(0.1F));
}

TEST_P(TensorTest, MayBeEmptyOrAScalar) {
  EXPECT_TRUE(zeros({0, 3, 32, 32}).defined());
  EXPECT_TRUE(tensor(std::vector<float>{}, {0, 3}).to_vector<float>().empty());
  EXPECT_TRUE(empty({0}).clone().defined());
  EXPECT_EQ(Tensor::full({}, 3, device()).item(), 3);
  EXPECT_EQ(Tensor::full({1, 1}, 3, device()).item(), 3);
  EXPECT_THAT([&] { zeros({2}).item(); }, ThrowsMessage<std::invalid_argument>(HasSubstr("expects one element, got [2]")));
}

TEST(Tensor, CopiedAsAHandleSharesMemory) {
  Tensor x = Tensor::zeros({3});
  const Tensor same = x;
  x.data<float>()[2] = 7;
  EXPECT_THAT(same.to_vector<float>(), ElementsAre(0, 0, 7));
  EXPECT_EQ(x.to(Device::cpu()).bytes(), x.bytes());
}

TEST(Tensor, CloneIsDeep) {
  Tensor x = Tensor::from(counting<float>(12), {1, 3, 2, 2});
  const Tensor copy = x.clone();
  x.data<float>()[0] = 99;
  EXPECT_EQ(copy.to_vector<float>(), counting<float>(12));
  EXPECT_EQ(copy.shape(), x.shape());
}

TEST_P(TensorTest, CopyFromOverwritesValuesOfTheSameShapeAndType) {
  Tensor x = zeros({2, 3});
  x.copy_from(tensor(counting<float>(6), {2, 3}));
  EXPECT_EQ(x.to_vector<float>(), counting<float>(6));
  x.copy_from(x);
  EXPECT_EQ(x.to_vector<float>(), counting<float>(6));
  EXPECT_THAT(
      [&] {
        x.copy_from(zeros({3, 2}));
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("expects [2, 3] f32, got [3, 2] f32")));
  EXPECT_THROW(x.copy_from(zeros({2, 3}, DType::i32)), std::invalid_argument);
}

TEST(Tensor, NarrowSharesSlicesOfDimensionZero) {
  Tensor x = Tensor::from(counting<float>(48), {4, 3, 2, 2});
  Tensor middle = x.narrow(1, 2);
  EXPECT_EQ(middle.shape(), (Shape{2, 3, 2, 2}));
  std::vector<float> expected = counting<float>(48);
  EXPECT_EQ(middle.to_vector<float>(), std::vector<float>(expected.begin() + 12, expected.begin() + 36));
  EXPECT_EQ(middle.narrow(1, 1).to_vector<float>(), std::vector<float>(expected.begin() + 24, expected.begin() + 36));
  middle.data<float>()[0] = -1;
  EXPECT_EQ(x.to_vector<float>()[12], -1);
  EXPECT_EQ(middle.clone().narrow(0, 1).to_vector<float>()[0], -1);
  EXPECT_EQ(x.narrow(4, 0).numel(), 0);
  EXPECT_EQ(x.narrow(0, 4).bytes(), x.bytes());
}

TEST(Tensor, NarrowRefusesSlicesThatAreNotThere) {
  const Tensor x = Tensor::zeros({4, 2});
  for (const auto& [first, count] : {std::pair{0, 5}, {3, 2}, {5, 0}, {-1, 2}, {0, -1}})
    EXPECT_THROW(x.narrow(first, count), std::invalid_argument);
  EXPECT_THROW(x.narrow(1, std::numeric_limits<std::int64_t>::max()), std::invalid_argument);
  EXPECT_THROW(Tensor::full({}, 1).narrow(0, 1), std::invalid_argument);
}

TEST_P(TensorTest, ViewIsAnotherShapeOverPartOfTheMemory) {
  Tensor x = tensor(counting<std::int32_t>(12), {12});
  EXPECT_THAT(x.view(4, {2, 2}).to_vector<std::int32_t>(), ElementsAre(4, 5, 6, 7));
  EXPECT_EQ(x.view(0, {12}).bytes(), x.bytes());
  EXPECT_THROW(x.view(9, {2, 2}), std::invalid_argument);
  EXPECT_THROW(x.view(-1, {2}), std::invalid_argument);
}

TEST_P(TensorTest, KeepsItsMemoryForAsLongAsAViewLives) {
  Tensor part;
  {
    const Tensor whole = tensor(counting<float>(1000), {1000});
    part = whole.narrow(500, 2);
  }
  const Tensor other = zeros({1000});
  EXPECT_THAT(part.to_vector<float>(), ElementsAre(500, 501));
}

TEST_P(TensorTest, RefusesWhatNoMemoryHolds) {
  EXPECT_THROW(empty({std::int64_t{1} << 45}), OutOfMemory);
  EXPECT_THAT([&] { empty({std::int64_t{1} << 62}); }, ThrowsMessage<std::invalid_argument>(HasSubstr("63 bits")));
}

TEST_P(TensorTest, RefusesValuesThatNoMemoryHolds) {
  for (const int bits : {45, 60}) {
    const Shape shape{std::int64_t{1} << bits};
    EXPECT_THROW(Tensor::randn(shape, 1, device()), OutOfMemory) << bits;
    EXPECT_THROW(Tensor::full(shape, 1, device()), OutOfMemory) << bits;
    EXPECT_THROW(zeros(shape), OutOfMemory) << bits;
  }
}

TEST_P(TensorTest, CopiesBetweenViewsThatOverlap) {
  for (const std::int64_t to : {0, 1, 3}) {
    for (const std::int64_t from : {0, 1, 3}) {
      Tensor x = tensor(counting<float>(4096), {4096});
      std::vector<float> expected = counting<float>(4096);
      std::copy_n(counting<float>(4096).begin() + from, 4000, expected.begin() + to);
      x.narrow(to, 4000).copy_from(x.narrow(from, 4000));
      EXPECT_EQ(x.to_vector<float>(), expected) << "from " << from << " to " << to;
    }
  }
}

TEST_P(TensorTest, GoesToAnotherDeviceAndBackWithItsValues) {
  for (const Shape& shape : {Shape{4, 3, 5, 2}, Shape{7}, Shape{}, Shape{0, 3}}) {
    const Tensor x = Tensor::randn(shape, 1);
    const Tensor there = x.to(device());
    EXPECT_EQ(there.device(), device());
    EXPECT_EQ(there.to_vector<float>(), x.to_vector<float>());
    EXPECT_EQ(there.clone().to(Device::cpu()).to_vector<float>(), x.to_vector<float>());
    EXPECT_EQ(there.to(device()).bytes(), there.bytes());
  }
}

TEST_P(TensorTest, SlicesCopyFromAndToAnyDevice) {
  const Tensor x = Tensor::randn({6, 3, 2, 2}, 1);
  Tensor there = zeros({6, 3, 2, 2});
  for (const std::int64_t i : {5, 0, 3, 1, 4, 2}) there.narrow(i, 1).copy_from(x.narrow(i, 1));
  EXPECT_EQ(there.to_vector<float>(), x.to_vector<float>());
  EXPECT_EQ(there.narrow(2, 3).to_vector<float>(), x.narrow(2, 3).to_vector<float>());
  Tensor here = Tensor::zeros({2, 3, 2, 2});
  here.copy_from(there.narrow(3, 2));
  EXPECT_EQ(here.to_vector<float>(), x.narrow(3, 2).to_vector<float>());
}

// ---- randn -----------------------------------------------------------------------------------------------------------------

TEST(Randn, IsStandardNormal) {
  constexpr int kCount = 100'000;
  const std::vector<float> values = Tensor::randn({kCount}, 3).to_vector<float>();
  double sum = 0, squares = 0, fourth = 0;
  for (const float value : values) {
    const double v = static_cast<double>(value);
    ASSERT_TRUE(std::isfinite(v));
    sum += v;
    squares += v * v;
    fourth += v * v * v * v;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.02);
  EXPECT_NEAR(squares / kCount, 1, 0.03);
  EXPECT_NEAR(fourth / kCount, 3, 0.2);
}

TEST(Randn, IsBoxAndMullersTransformInLogicalOrder) {
  const RandomStream random(11, Purpose::normal);
  const std::vector<float> values = Tensor::randn({2, 3, 4, 5}, 11).to_vector<float>();
  for (std::size_t e = 0; e < values.size(); ++e) {
    const double radius = std::sqrt(-2 * std::log(1 - static_cast<double>(random.uniform(2 * e))));
    EXPECT_FLOAT_EQ(values[e],
                    static_cast<float>(radius * std::cos(2 * std::numbers::pi * static_cast<double>(random.uniform(2 * e + 1)))));
  }
}

TEST(Randn, DependsOnTheSeedOnly) {
  EXPECT_EQ(Tensor::randn({50}, 1).to_vector<float>(), Tensor::randn({50}, 1).to_vector<float>());
  EXPECT_NE(Tensor::randn({50}, 1).to_vector<float>(), Tensor::randn({50}, 2).to_vector<float>());
}

TEST(Tensor, HasAnotherVersionAfterEachWriteThatItSees) {
  Tensor tensor = Tensor::zeros({4});
  std::vector<std::uint64_t> seen{0};
  const auto expect_other = [&] {
    EXPECT_THAT(seen, Not(Contains(tensor.version())));
    seen.push_back(tensor.version());
  };
  expect_other();
  tensor.copy_from(Tensor::full({4}, 1));
  expect_other();
  tensor.view(2, {1}).copy_from(Tensor::full({1}, 2));
  expect_other();
  tensor.rewrite<float>()[0] = 3;
  expect_other();
  std::as_const(tensor).data<float>();
  std::as_const(tensor).bytes();
  tensor.to_vector<float>();
  EXPECT_EQ(tensor.version(), seen.back());
  EXPECT_THAT(seen, Not(Contains(Tensor::from(std::vector<float>{1}, {1}).version())));
}

TEST(Tensor, HasNoVersionOnceItHasGivenAPointerToWriteThrough) {
  const auto pointers = std::vector<void (*)(Tensor&)>{[](Tensor& t) { t.data<float>(); }, [](Tensor& t) { t.bytes(); },
                                                       [](Tensor& t) { t.view(1, {1}).device_data<float>(); }};
  for (const auto& pointer : pointers) {
    Tensor tensor = Tensor::zeros({4});
    pointer(tensor);
    EXPECT_EQ(tensor.version(), 0U);
    tensor.copy_from(Tensor::full({4}, 1));
    EXPECT_EQ(tensor.version(), 0U);
  }
  EXPECT_EQ(Tensor().version(), 0U);
  EXPECT_EQ(Tensor::empty({4}).version(), 0U);
}

}  // namespace
}  // namespace gpucnn
