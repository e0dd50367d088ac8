#include <bit>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/io/safetensors.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <io/safetensors_bytes.h>
#include <io/temporary_folder.h>

#include "float_environments.h"
#include "misuse.h"

namespace gpucnn {
namespace {

using testing::bytes_of;
using ::testing::ElementsAre;
using testing::entry_of;
using testing::file_of;
using testing::file_of_tensor;
using testing::TemporaryFolder;
using testing::write_bytes;

StateDict state_of(const std::string& bytes) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", bytes);
  return load_safetensors(folder / "x").first;
}

/// A file of values as one tensor of this dtype.
template <class From>
std::string file_as(const std::string& dtype, const std::vector<From>& values) {
  return file_of_tensor(dtype, "[" + std::to_string(values.size()) + "]", bytes_of(values));
}

/// The tensor that is read of it.
template <class To, class From>
std::vector<To> read_as(const std::string& dtype, const std::vector<From>& values) {
  const StateDict state = state_of(file_as(dtype, values));
  return state.at("t").to_vector<To>();
}

/// The same where the caller computes in an environment of its own.
template <class From>
std::vector<float> read_in(const CallersEnvironment& environment, const std::string& dtype, const std::vector<From>& values) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder / "x";  // the standard library computes to join names
  write_bytes(file, file_as(dtype, values));
  const ForcedFloatEnvironment callers(environment);
  return load_safetensors(file).first.at("t").template to_vector<float>();
}

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

/// IEEE 754's binary16 by its definition.
double value_of_half(std::uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double sign = half >> 15 ? -1 : 1;
  if (exponent == 31) return fraction ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  return exponent == 0 ? sign * std::ldexp(fraction, -24) : sign * std::ldexp(1024 + fraction, exponent - 25);
}

TEST(SafetensorsDTypes, EveryF16IsReadExactlyInEveryEnvironment) {
  std::vector<std::uint16_t> halves(1 << 16);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  for (const CallersEnvironment& environment : callers_environments()) {
    const std::vector<float> values = read_in(environment, "F16", halves);
    ASSERT_EQ(values.size(), halves.size());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < halves.size(); ++i) {
      const double expected = value_of_half(halves[i]);
      const bool same = std::isnan(expected) ? std::isnan(values[i]) : bits_of(values[i]) == bits_of(static_cast<float>(expected));
      wrong += same ? 0 : 1;
    }
    EXPECT_EQ(wrong, 0U) << environment.name;
  }
}

TEST(SafetensorsDTypes, F64IsRoundedToTheNearestInEveryEnvironment) {
  constexpr double kInf = std::numeric_limits<double>::infinity(), kUlp = 0x1p-23;
  const std::vector<double> doubles{0.1,  1 + kUlp / 2, 1 + 3 * kUlp / 2, -(1 + kUlp / 2 + 0x1p-50), 1e-45, 0x1p-150, 1e300, -kInf,
                                    -0.0, 5e-324};
  const std::vector<float> expected{0.1F, 1.0F,      1 + 2 * 0x1p-23F, -(1 + 0x1p-23F), 0x1p-149F,
                                    0.0F, HUGE_VALF, -HUGE_VALF,       -0.0F,           0.0F};
  for (const CallersEnvironment& environment : callers_environments()) {
    const std::vector<float> values = read_in(environment, "F64", doubles);
    for (std::size_t i = 0; i < doubles.size(); ++i) EXPECT_EQ(bits_of(values[i]), bits_of(expected[i])) << environment.name << i;
  }
  EXPECT_TRUE(std::isnan(read_as<float>("F64", std::vector{std::numeric_limits<double>::quiet_NaN()})[0]));
}

TEST(SafetensorsDTypes, IntegersAndBoolsBecomeWhatHoldsThem) {
  EXPECT_THAT((read_as<std::int32_t>("I8", std::vector<std::int8_t>{-128, 0, 127})), ElementsAre(-128, 0, 127));
  EXPECT_THAT((read_as<std::int32_t>("I16", std::vector<std::int16_t>{-32768, 32767})), ElementsAre(-32768, 32767));
  EXPECT_THAT((read_as<std::int32_t>("U16", std::vector<std::uint16_t>{0, 65535})), ElementsAre(0, 65535));
  EXPECT_THAT((read_as<std::int64_t>("U32", std::vector<std::uint32_t>{0, 4294967295U})), ElementsAre(0, 4294967295));
  EXPECT_THAT((read_as<std::int64_t>("U64", std::vector<std::uint64_t>{9223372036854775807U})), ElementsAre(9223372036854775807));
  EXPECT_THAT((read_as<std::uint8_t>("BOOL", std::vector<std::uint8_t>{0, 1, 255})), ElementsAre(0, 1, 1));
  EXPECT_THAT((read_as<std::uint8_t>("U8", std::vector<std::uint8_t>{0, 1, 255})), ElementsAre(0, 1, 255));
  EXPECT_THAT((read_as<std::int64_t>("I64", std::vector<std::int64_t>{-5})), ElementsAre(-5));
}

TEST(SafetensorsDTypes, RankFourIsConvertedAndKeepsPyTorchsOrder) {
  std::vector<std::int16_t> values(2 * 3 * 2 * 2);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int16_t>(i);
  const Tensor images = state_of(file_of_tensor("I16", "[2,3,2,2]", bytes_of(values))).at("t");
  EXPECT_EQ(images.shape(), (Shape{2, 3, 2, 2}));
  EXPECT_EQ(images.to_vector<std::int32_t>(), std::vector<std::int32_t>(values.begin(), values.end()));
}

TEST(SafetensorsDTypes, ConvertsMoreThanOnePiece) {
  std::vector<std::uint16_t> values(5 << 20);  // 10 MiB
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint16_t>(i * 7);
  EXPECT_EQ((read_as<std::int32_t>("U16", values)), std::vector<std::int32_t>(values.begin(), values.end()));
  const Tensor images = state_of(file_of_tensor("U16", "[5,2,524288,1]", bytes_of(values))).at("t");
  EXPECT_EQ(images.to_vector<std::int32_t>(), std::vector<std::int32_t>(values.begin(), values.end()));
}

TEST(SafetensorsDTypes, ATensorThatNobodyCanHoldIsLeftOutAndTheRestIsRead) {
  const std::string header = "{" + entry_of("scale", "F8_E4M3", "[3]", 0, 3) + "," +
                             entry_of("deep", "U8", "[1,1,1,1,1,1,1]", 3, 4) + "," + entry_of("large", "U64", "[2]", 4, 20) + "," +
                             entry_of("odd", "?\\u001b", "[1,5]", 20, 21) + "," + entry_of("bias", "F32", "[1]", 21, 25) + "}";
  const StateDict state =
      state_of(file_of(header, std::string(4, '\1') + bytes_of(std::vector{std::uint64_t{1} << 63, std::uint64_t{1}}) + "x" +
                                   bytes_of(std::vector{2.5F})));
  EXPECT_EQ(state.size(), 1U);
  EXPECT_EQ(state.at("bias").item(), 2.5F);
  EXPECT_EQ(state.left_out(), (StateDict::LeftOut{{"scale", "the file holds it as \"F8_E4M3\", which is not read"},
                                                  {"deep", "it has 7 dimensions, and at most 6 are read"},
                                                  {"large", "the file holds it as U64, and a value does not fit i64"},
                                                  {"odd", "the file holds it as \"?\\x1b\", which is not read"}}));
}

TEST(SafetensorsDTypes, OnlyWhoAsksForAnOddTensorFails) {
  const auto file = [](const std::string& odd) {
    return file_of("{" + entry_of("weight", "F32", "[1,1]", 0, 4) + "," + entry_of(odd, "F8_E5M2", "[1]", 4, 5) + "}", 5);
  };
  Linear linear(1, 1), without_bias(1, 1, {.bias = false});
  EXPECT_THAT([&] { linear.load_state_dict(state_of(file("bias")), /*strict=*/false); },
              misuse("load_state_dict: bias was left out: the file holds it as \"F8_E5M2\", which is not read"));
  EXPECT_THAT([&] { without_bias.load_state_dict(state_of(file("bias"))); }, misuse("load_state_dict: unexpected bias"));
  EXPECT_THAT(without_bias.load_state_dict(state_of(file("bias")), /*strict=*/false).unexpected_keys, ElementsAre("bias"));
  EXPECT_THAT([&] { state_of(file("bias")).at("bias"); }, misuse("'bias' was left out: the file holds it as"));
}

TEST(SafetensorsDTypes, AFileOfHalvesLoadsIntoAModelAndItsCountStays) {
  const std::string header = "{" + entry_of("weight", "F16", "[2]", 0, 4) + "," + entry_of("bias", "BF16", "[2]", 4, 8) + "," +
                             entry_of("running_mean", "F64", "[2]", 8, 24) + "," + entry_of("running_var", "I8", "[2]", 24, 26) +
                             "," + entry_of("num_batches_tracked", "I64", "[]", 26, 34) + "}";
  BatchNorm2d norm(2);
  norm.load_state_dict(
      state_of(file_of(header, bytes_of(std::vector<std::uint16_t>{0x3C00, 0x3555, 0x3F80, 0xC000}) +
                                   bytes_of(std::vector<double>{0.1, -2}) + "\x3\x4" + bytes_of(std::vector<std::int64_t>{7}))));
  const StateDict state = norm.state_dict();
  EXPECT_THAT(state.at("weight").to_vector<float>(), ElementsAre(1.0F, 0.333251953125F));
  EXPECT_THAT(state.at("bias").to_vector<float>(), ElementsAre(1.0F, -2.0F));
  EXPECT_THAT(state.at("running_mean").to_vector<float>(), ElementsAre(0.1F, -2.0F));
  EXPECT_THAT(state.at("running_var").to_vector<float>(), ElementsAre(3.0F, 4.0F));
  EXPECT_THAT(state.at("num_batches_tracked").to_vector<std::int64_t>(), ElementsAre(7));
}

}  // namespace
}  // namespace gpucnn
