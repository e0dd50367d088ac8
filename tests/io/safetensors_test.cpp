#include <gpucnn/io/safetensors.h>

#include <limits>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device_test.h"
#include "io/temporary_folder.h"

namespace gpucnn {
namespace {

using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

/// A file made by hand from the format's definition: an i32 vector, an empty and a scalar u8 tensor, and one text about itself.
std::string hand_written() {
  const std::string header =
      R"({"__metadata__":{"model":"by \"hand\""},"a":{"dtype":"I32","shape":[2],"data_offsets":[0,8]},)"
      R"("none":{"dtype":"U8","shape":[0,3],"data_offsets":[8,8]},"one":{"dtype":"U8","shape":[],"data_offsets":[8,9]}})";
  std::string bytes(1, static_cast<char>((header.size() + 7) / 8 * 8));
  bytes.append(7, '\0');
  bytes += header;
  bytes.append((8 - header.size() % 8) % 8, ' ');
  bytes += {1, 2, 0, 0, '\xFE', '\xFF', '\xFF', '\xFF', 42};
  return bytes;
}

TEST(LoadSafetensors, ReadsAFileWrittenByHand) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", hand_written());
  const auto [state, metadata] = load_safetensors(folder / "x");
  EXPECT_EQ(metadata, (Metadata{{"model", "by \"hand\""}}));
  ASSERT_EQ(state.size(), 3U);
  EXPECT_EQ(state.at("a").shape(), Shape{2});
  EXPECT_EQ(state.at("a").to_vector<std::int32_t>(), (std::vector<std::int32_t>{513, -2}));
  EXPECT_EQ(state.at("none").shape(), (Shape{0, 3}));
  EXPECT_EQ(state.at("one").shape(), Shape{});
  EXPECT_EQ(state.at("one").to_vector<std::uint8_t>(), std::vector<std::uint8_t>{42});
}

TEST(SaveSafetensors, WritesThatFileByteForByte) {
  StateDict state;
  state.add("a", Tensor::from(std::vector<std::int32_t>{513, -2}, {2}));
  state.add("none", Tensor::empty({0, 3}, DType::u8));
  state.add("one", Tensor::from(std::vector<std::uint8_t>{42}, {}));
  const TemporaryFolder folder;
  save_safetensors(folder / "x", state, {{"model", "by \"hand\""}});
  EXPECT_EQ(read_bytes(folder / "x"), hand_written());
}

TEST(SaveSafetensors, WritesRank4InTheOrderOfPyTorch) {
  StateDict state;
  state.add("image", Tensor::from_nhwc(std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6}, {1, 3, 1, 2}));
  const TemporaryFolder folder;
  save_safetensors(folder / "x", state);
  const std::string bytes = read_bytes(folder / "x");
  EXPECT_EQ(bytes.substr(bytes.size() - 6), "\1\4\2\5\3\6");
}

TEST(Safetensors, RoundTripKeepsValuesShapesNamesAndOrder) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  StateDict state;
  state.add("z.bias", Tensor::from(std::vector<float>{0.1F, -0.0F, kInf, 1e-45F}, {4}));
  state.add("a.weight", Tensor::randn({5, 3, 2, 7}, 1));
  state.add("scalar", Tensor::full({}, 2.5F));
  state.add("empty", Tensor::zeros({2, 0, 3, 4}));
  state.add("rank 6", Tensor::randn({1, 2, 3, 1, 2, 3}, 2));
  state.add("größe \"\\\n", Tensor::zeros({1}));
  const Metadata metadata{{"mean", "0.4914 0.4822 0.4465"}, {"", ""}, {"names", "[\"cat\",\"größe\"]"}};
  const TemporaryFolder folder;
  save_safetensors(folder / "x", state, metadata);
  const auto [loaded, loaded_metadata] = load_safetensors(folder / "x");

  EXPECT_EQ(loaded_metadata, metadata);
  ASSERT_EQ(loaded.size(), state.size());
  for (auto was = state.begin(), is = loaded.begin(); was != state.end(); ++was, ++is) {
    EXPECT_EQ(is->first, was->first);
    EXPECT_EQ(is->second.shape(), was->second.shape());
    EXPECT_EQ(is->second.to_vector<float>(), was->second.to_vector<float>());
  }
}

TEST(Safetensors, RoundTripKeepsEveryDType) {
  StateDict state;
  state.add("u8", Tensor::from(std::vector<std::uint8_t>{0, 255, 7}, {3}));
  state.add("i32", Tensor::from(std::vector<std::int32_t>{-1, std::numeric_limits<std::int32_t>::min()}, {2}));
  state.add("i64", Tensor::from(std::vector<std::int64_t>{-1, std::numeric_limits<std::int64_t>::max()}, {2}));
  Tensor halves = Tensor::empty({1, 2, 1, 2}, DType::bf16);
  for (std::uint16_t i = 0; i < 4; ++i) halves.data<bf16>()[i].bits = static_cast<std::uint16_t>(0x3F80 + i);
  state.add("bf16", halves);
  const TemporaryFolder folder;
  save_safetensors(folder / "x", state);
  const StateDict loaded = load_safetensors(folder / "x").first;

  EXPECT_EQ(loaded.at("u8").to_vector<std::uint8_t>(), state.at("u8").to_vector<std::uint8_t>());
  EXPECT_EQ(loaded.at("i32").to_vector<std::int32_t>(), state.at("i32").to_vector<std::int32_t>());
  EXPECT_EQ(loaded.at("i64").to_vector<std::int64_t>(), state.at("i64").to_vector<std::int64_t>());
  ASSERT_EQ(loaded.at("bf16").shape(), halves.shape());
  for (std::uint16_t i = 0; i < 4; ++i) EXPECT_EQ(loaded.at("bf16").data<bf16>()[i].bits, 0x3F80 + i);
}

class SafetensorsTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, SafetensorsTest, devices(), device_name);

TEST_P(SafetensorsTest, CarriesTensorsFromAnyDevice) {
  StateDict there, here;
  for (const Shape& shape : {Shape{5, 3, 2, 7}, Shape{10, 4}, Shape{}, Shape{2, 0, 3, 4}, Shape{401, 3, 32, 32}}) {
    const Tensor tensor = Tensor::randn(shape, 1);
    here.add(shape.string(), tensor);
    there.add(shape.string(), tensor.to(device()));
  }
  const TemporaryFolder folder;
  save_safetensors(folder / "here", here);
  save_safetensors(folder / "there", there);
  EXPECT_TRUE(read_bytes(folder / "there") == read_bytes(folder / "here"));
  for (const auto& [name, loaded] : load_safetensors(folder / "there").first) {
    EXPECT_EQ(loaded.device(), Device::cpu());
    EXPECT_TRUE(loaded.to(device()).to_vector<float>() == here.at(name).to_vector<float>()) << name;
  }
}

// Readers that map the file take a tensor where it lies, so it must lie where its type may.
TEST(SaveSafetensors, PutsWiderTypesFirstSoThatAllAreAligned) {
  StateDict state;
  state.add("bytes", Tensor::zeros({3}, DType::u8));
  state.add("b", Tensor::zeros({1}));
  state.add("a", Tensor::zeros({1}));
  state.add("count", Tensor::zeros({}, DType::i64));
  const TemporaryFolder folder;
  save_safetensors(folder / "x", state);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : load_safetensors(folder / "x").first) names.push_back(name);
  EXPECT_THAT(names, ::testing::ElementsAre("count", "b", "a", "bytes"));
  EXPECT_EQ((read_bytes(folder / "x").size() - 8 - 8 - 3) % 8, 0U);
}

TEST(Safetensors, CarriesImagesLargerThanOnePiece) {
  StateDict state;
  state.add("images", Tensor::randn({401, 3, 32, 32}, 3));
  const TemporaryFolder folder;
  save_safetensors(folder / "x", state);
  const StateDict loaded = load_safetensors(folder / "x").first;
  EXPECT_EQ(loaded.at("images").to_vector<float>(), state.at("images").to_vector<float>());
}

TEST(SaveSafetensors, GivesTheSameBytesForTheSameInput) {
  StateDict state;
  state.add("weight", Tensor::randn({4, 3, 3, 3}, 5));
  const TemporaryFolder folder;
  save_safetensors(folder / "x", state, {{"b", "1"}, {"a", "2"}});
  save_safetensors(folder / "y", state, {{"a", "2"}, {"b", "1"}});
  EXPECT_EQ(read_bytes(folder / "x"), read_bytes(folder / "y"));
}

TEST(Safetensors, AnEmptyStateIsAFile) {
  const TemporaryFolder folder;
  save_safetensors(folder / "x", {});
  EXPECT_EQ(read_bytes(folder / "x"), std::string("\x8\0\0\0\0\0\0\0{}      ", 16));
  EXPECT_TRUE(load_safetensors(folder / "x").first.empty());
}

TEST(SaveSafetensors, RefusesWhatTheFormatCannotHold) {
  const TemporaryFolder folder;
  StateDict reserved, undefined, not_utf8;
  reserved.add("__metadata__", Tensor::zeros({1}));
  undefined.add("weight", Tensor{});
  not_utf8.add("\xFF", Tensor::zeros({1}));
  EXPECT_THROW(save_safetensors(folder / "x", reserved), std::invalid_argument);
  EXPECT_THROW(save_safetensors(folder / "x", undefined), std::invalid_argument);
  EXPECT_THROW(save_safetensors(folder / "x", not_utf8), std::invalid_argument);
  EXPECT_THROW(save_safetensors(folder / "x", {}, {{"name", "\xC3"}}), std::invalid_argument);
  EXPECT_THAT(folder.list(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace gpucnn
