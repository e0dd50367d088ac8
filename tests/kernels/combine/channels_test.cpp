#include <gpucnn/kernels/combine/channels.h>

#include <numeric>

#include <gtest/gtest.h>

#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/values.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

class ChannelsTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ChannelsTest, devices(), device_name);

/// torch.cat((a, b), dim=1) of values in logical order.
std::vector<float> side_by_side(const std::vector<float>& a, const std::vector<float>& b, std::int64_t images) {
  std::vector<float> all;
  const auto append = [&](const std::vector<float>& from, std::int64_t n) {
    const std::ptrdiff_t size = std::ssize(from) / images;
    all.insert(all.end(), from.begin() + n * size, from.begin() + (n + 1) * size);
  };
  for (std::int64_t n = 0; n < images; ++n) {
    append(a, n);
    append(b, n);
  }
  return all;
}

TEST_P(ChannelsTest, PutsPartsSideBySideAndTakesThemBack) {
  for (const auto& shapes : {std::pair{Shape{2, 3, 4, 5}, Shape{2, 1, 4, 5}}, std::pair{Shape{1, 33, 1, 1}, Shape{1, 31, 1, 1}},
                             std::pair{Shape{3, 4}, Shape{3, 257}}, std::pair{Shape{2, 3, 7}, Shape{2, 5, 7}},
                             std::pair{Shape{2, 0, 3, 3}, Shape{2, 2, 3, 3}}, std::pair{Shape{5, 70, 31, 3}, Shape{5, 1, 31, 3}}}) {
    const Shape first = shapes.first, second = shapes.second;
    SCOPED_TRACE(first.string() + second.string());
    const std::vector<float> a = reference::random_floats(first.numel(), 1), b = reference::random_floats(second.numel(), 2);
    everywhere(device(), [&] {
      Tensor whole = empty(concat_shape(first, second)), one = empty(first), other = empty(second);
      put_channels(tensor(a, first), 0, whole, stream());
      put_channels(tensor(b, second), first[1], whole, stream());
      EXPECT_EQ(whole.to_vector<float>(), side_by_side(a, b, first[0]));
      take_channels(whole, 0, one, stream());
      take_channels(whole, first[1], other, stream());
      EXPECT_EQ(one.to_vector<float>(), a);
      EXPECT_EQ(other.to_vector<float>(), b);
      return whole.to_vector<float>();
    });
  }
}

TEST_P(ChannelsTest, ViewsMayBeginAnywhere) {
  const std::vector<float> a = reference::random_floats(24, 1);
  Tensor whole = unaligned(Tensor::zeros({2, 5, 2, 2}, DType::f32, device()));
  put_channels(unaligned(tensor(a, {2, 3, 2, 2})), 1, whole, stream());
  Tensor part = unaligned(empty({2, 3, 2, 2}));
  take_channels(whole, 1, part, stream());
  EXPECT_EQ(part.to_vector<float>(), a);
}

TEST_P(ChannelsTest, RefusesWhatDoesNotFit) {
  EXPECT_EQ(concat_shape({2, 3, 4, 4}, {2, 5, 4, 4}), (Shape{2, 8, 4, 4}));
  EXPECT_THAT(
      [] {
        concat_shape({2, 3, 4, 4}, {2, 5, 4, 3});
      },
      misuse("[2, 3, 4, 4] and [2, 5, 4, 3] must be [N, C, …] that differ in C"));
  EXPECT_THAT([] { concat_shape({2}, {2}); }, misuse("must be [N, C, …]"));
  Tensor whole = empty({2, 5}), part = empty({2, 3}), other = empty({3, 3}), bytes = empty({2, 3}, DType::u8);
  EXPECT_THAT([&] { put_channels(part, 3, whole, stream()); },
              misuse("put_channels: channels of [2, 3] from 3 on are none of [2, 5]"));
  EXPECT_THAT([&] { put_channels(part, -1, whole, stream()); }, misuse("from -1 on"));
  EXPECT_THAT([&] { take_channels(whole, 0, other, stream()); }, misuse("take_channels: channels of [3, 3]"));
  EXPECT_THAT([&] { put_channels(bytes, 0, whole, stream()); }, misuse("part must be f32"));
  EXPECT_THAT([&] { put_channels(whole, 0, whole, stream()); }, misuse("share memory"));
}

}  // namespace
}  // namespace gpucnn::kernels
