#include <gpucnn/core/memory/layout.h>

#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace gpucnn {
namespace {

/// A type of each size an element can have.
template <class T>
class Layout : public ::testing::Test {};
using Items = ::testing::Types<std::uint8_t, std::uint16_t, float, std::int64_t>;
TYPED_TEST_SUITE(Layout, Items);

template <class T>
std::vector<T> counting(const Shape& shape) {
  std::vector<T> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(i % 251);
  return values;
}

template <class T>
std::vector<T> to_memory(const std::vector<T>& logical, const Shape& shape) {
  std::vector<T> memory(logical.size());
  layout::to_memory(reinterpret_cast<const std::byte*>(logical.data()), reinterpret_cast<std::byte*>(memory.data()), shape,
                    sizeof(T));
  return memory;
}

TYPED_TEST(Layout, OfImagesIsChannelsLastAndComesBack) {
  for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{1, 33, 3, 1}, Shape{3, 16, 1, 7}, Shape{2, 1, 4, 4}, Shape{2, 5, 1, 1}}) {
    const auto logical = counting<TypeParam>(shape);
    const auto memory = to_memory(logical, shape);
    const std::int64_t C = shape[1], H = shape[2], W = shape[3];
    std::size_t i = 0;
    for (std::int64_t n = 0; n < shape[0]; ++n) {
      for (std::int64_t h = 0; h < H; ++h) {
        for (std::int64_t w = 0; w < W; ++w) {
          for (std::int64_t c = 0; c < C; ++c) {
            ASSERT_EQ(memory[i++], logical[static_cast<std::size_t>(((n * C + c) * H + h) * W + w)]) << shape.string();
          }
        }
      }
    }
    std::vector<TypeParam> back(logical.size());
    layout::to_logical(reinterpret_cast<const std::byte*>(memory.data()), reinterpret_cast<std::byte*>(back.data()), shape,
                       sizeof(TypeParam));
    EXPECT_EQ(back, logical) << shape.string();
  }
}

TYPED_TEST(Layout, OfOtherRanksIsAsWritten) {
  for (const Shape& shape : {Shape{}, Shape{7}, Shape{3, 5}, Shape{2, 3, 4}, Shape{2, 3, 2, 3, 2}}) {
    const auto logical = counting<TypeParam>(shape);
    EXPECT_EQ(to_memory(logical, shape), logical) << shape.string();
  }
}

TEST(LayoutIsSame, WhereTheOrdersAgree) {
  EXPECT_TRUE(layout::is_same({2, 3, 4}));
  EXPECT_TRUE(layout::is_same({2, 1, 4, 4}));
  EXPECT_TRUE(layout::is_same({2, 3, 1, 1}));
  EXPECT_TRUE(layout::is_same({0, 3, 4, 4}));
  EXPECT_FALSE(layout::is_same({1, 3, 1, 2}));
  EXPECT_FALSE(layout::is_same({1, 3, 2, 1}));
}

}  // namespace
}  // namespace gpucnn
