#include <gpucnn/core/shape.h>

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpucnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr std::int64_t kHuge = std::int64_t{1} << 40;

TEST(Shape, KeepsItsExtentsInOrder) {
  const std::vector<float> values(12);
  const Shape shape{values.size(), 3, 32U, std::int8_t{5}};
  EXPECT_EQ(shape.rank(), 4);
  EXPECT_THAT(std::vector(shape.begin(), shape.end()), ElementsAre(12, 3, 32, 5));
  EXPECT_EQ(shape[3], 5);
  EXPECT_EQ(shape.numel(), 12 * 3 * 32 * 5);
  EXPECT_EQ(shape.string(), "[12, 3, 32, 5]");
}

TEST(Shape, OfRankZeroIsAScalar) {
  EXPECT_EQ(Shape().rank(), 0);
  EXPECT_EQ(Shape().numel(), 1);
  EXPECT_EQ(Shape().string(), "[]");
}

TEST(Shape, ComparesRankAndExtents) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  EXPECT_NE(Shape(), Shape{0});
}

TEST(Shape, IsMadeFromARunTimeList) {
  EXPECT_EQ(Shape::from(std::vector<std::int64_t>{4, 3}), (Shape{4, 3}));
  EXPECT_EQ(Shape::from({}), Shape());
  EXPECT_THAT([] { Shape::from(std::vector<std::int64_t>(7, 1)); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("at most 6 dimensions, got 7")));
  EXPECT_THROW(Shape::from(std::vector<std::int64_t>{2, -1}), std::invalid_argument);
}

TEST(Shape, WithChangesOneExtentOfACopy) {
  const Shape shape{128, 3, 32, 32};
  EXPECT_EQ(shape.with(0, 80), (Shape{80, 3, 32, 32}));
  EXPECT_EQ(shape[0], 128);
  EXPECT_THROW(shape.with(4, 1), std::invalid_argument);
  EXPECT_THROW(shape.with(-1, 1), std::invalid_argument);
  EXPECT_THROW(shape.with(1, -3), std::invalid_argument);
  EXPECT_THROW((Shape{kHuge, 2}.with(1, kHuge)), std::invalid_argument);
}

TEST(Shape, RefusesADimensionThatIsNotThere) {
  EXPECT_THAT([] { return Shape(4, 3)[2]; }, ThrowsMessage<std::invalid_argument>(HasSubstr("no dimension 2 in [4, 3]")));
  EXPECT_THROW((Shape{4, 3}[-1]), std::invalid_argument);
}

TEST(Shape, RefusesNegativeExtentsAndNamesThem) {
  EXPECT_THAT([] { return Shape(4, -3); }, ThrowsMessage<std::invalid_argument>(HasSubstr("got -3")));
  EXPECT_THROW((Shape{~std::uint64_t{0}}), std::invalid_argument);
}

TEST(Shape, RefusesMoreElementsThan63BitsCount) {
  EXPECT_EQ((Shape{kHuge, std::int64_t{1} << 22}).numel(), std::int64_t{1} << 62);
  EXPECT_THAT([] { return Shape(kHuge, kHuge); }, ThrowsMessage<std::invalid_argument>(HasSubstr("63 bits")));
}

TEST(Shape, WithAnExtentOfZeroIsEmptyWhateverTheOthersAre) {
  EXPECT_EQ((Shape{kHuge, kHuge, 0}).numel(), 0);
  EXPECT_EQ((Shape{0, kHuge, kHuge}).numel(), 0);
}

}  // namespace
}  // namespace gpucnn
