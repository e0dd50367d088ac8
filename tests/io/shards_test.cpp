#include <filesystem>
#include <string>

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/io/safetensors.h>
#include <gpucnn/io/safetensors/shard_index.h>
#include <io/safetensors_bytes.h>
#include <io/temporary_folder.h>

namespace gpucnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::TemporaryFolder;
using testing::write_bytes;

constexpr const char* kIndex = "model.safetensors.index.json";

/// A folder with two shards, `weight` in a and `bias` and an odd tensor in b, and an index of this weight_map.
class Shards {
 public:
  explicit Shards(const std::string& weight_map = R"({"weight":"a","bias":"b","odd":"b"})") {
    StateDict first;
    first.add("weight", Tensor::randn({2, 3}, 1));
    save_safetensors(folder / "a", first, {{"format", "pt"}, {"part", "1"}});
    write_bytes(folder / "b",
                testing::file_of("{" + testing::entry_of("bias", "F16", "[1]", 0, 2) + "," +
                                     testing::entry_of("odd", "F4", "[1]", 2, 3) + R"(,"__metadata__":{"part":"2","b":""}})",
                                 std::string("\0\x3C\1", 3)));
    write_bytes(folder / kIndex, R"({"metadata":{"total_size":123,"more":[{"weight_map":1}]},"weight_map":)" + weight_map + "}");
  }

  /// What reading it is refused with.
  std::string refusal() const {
    try {
      load_safetensors(folder.path());
    } catch (const DataError& error) {
      return error.what();
    }
    return "was read";
  }

  const TemporaryFolder folder;
};

TEST(Shards, AreReadAsOneStateByTheIndexOrTheFolder) {
  const Shards shards;
  for (const std::filesystem::path& path : {shards.folder / kIndex, shards.folder.path()}) {
    const auto [state, metadata] = load_safetensors(path);
    EXPECT_EQ(state.size(), 2U);
    EXPECT_EQ(state.at("weight").to_vector<float>(), Tensor::randn({2, 3}, 1).to_vector<float>());
    EXPECT_THAT(state.at("bias").to_vector<float>(), ElementsAre(1.0F));
    EXPECT_THAT(state.left_out(), ElementsAre(Pair("odd", HasSubstr("F4"))));
    EXPECT_EQ(metadata, (Metadata{{"format", "pt"}, {"part", "1"}, {"b", ""}})) << "the first shard counts";
  }
}

TEST(Shards, MustBeWhatTheIndexSays) {
  const Shards fewer(R"({"weight":"a","bias":"b"})"), elsewhere(R"({"weight":"a","bias":"a","odd":"b"})"),
      more(R"({"weight":"a","bias":"b","odd":"b","scale":"b"})"), absent(R"({"weight":"a","bias":"b","odd":"b","scale":"c"})");
  EXPECT_THAT(fewer.refusal(), HasSubstr("model.safetensors.index.json names, found tensor \"odd\" here"));
  EXPECT_THAT(elsewhere.refusal(), HasSubstr("expected tensor \"bias\", as the index "));
  EXPECT_THAT(elsewhere.refusal(), HasSubstr("says, found no tensor of that name"));
  EXPECT_THAT(more.refusal(), HasSubstr("expected tensor \"scale\", as the index "));
  EXPECT_THAT(absent.refusal(), HasSubstr("expected the file \"c\" beside the index, found no such file"));
  const Shards swapped(R"({"weight":"b","bias":"a","odd":"b"})");
  EXPECT_THAT(swapped.refusal(), HasSubstr("expected tensor \"weight\" in \"b\", as the index says, found tensor \"weight\" here"));
}

TEST(Shards, DamageOfAShardIsItsOwn) {
  const Shards shards;
  std::filesystem::resize_file(shards.folder / "a", 100);
  EXPECT_THAT(shards.refusal(), HasSubstr("/a: at byte"));
  std::filesystem::remove(shards.folder / "a");
  mkfifo((shards.folder / "a").c_str(), 0600);
  EXPECT_THAT(shards.refusal(), HasSubstr("/a: expected a file, found a device or a pipe"));
}

TEST(Shards, AFolderWithoutAnIndexSaysSo) {
  const TemporaryFolder folder;
  try {
    load_safetensors(folder.path());
    ADD_FAILURE();
  } catch (const DataError& error) {
    EXPECT_EQ(error.expected(), "a file, or a folder with model.safetensors.index.json");
  }
}

/// What an index is refused with.
std::string refusal_of(const std::string& text) {
  try {
    safetensors::parse_shard_index("i", text);
  } catch (const DataError& error) {
    EXPECT_LE(error.offset(), text.size());
    return error.expected() + ", found " + error.found();
  }
  return "was read";
}

TEST(ShardIndex, NamesNoFileOutsideItsFolder) {
  for (const char* name : {"../a", "/etc/a", "b/a", "..", ".", "", "./a", "a/", "a\\u0000b"}) {
    EXPECT_THAT(refusal_of(R"({"weight_map":{"t":")" + std::string(name) + "\"}}"),
                HasSubstr("a file beside the index for tensor \"t\""))
        << name;
  }
}

TEST(ShardIndex, MustHaveOneMapOfTexts) {
  EXPECT_EQ(refusal_of("{}"), "a weight_map, found none");
  EXPECT_EQ(refusal_of(R"({"metadata":{"weight_map":{"t":"a"}}})"), "a weight_map, found none");
  for (const char* text : {"1", "-1", "1.5", "null", "true", "\"text\"", "[]", "[{\"weight_map\":{}}]"}) {
    EXPECT_THAT(refusal_of(text), HasSubstr("a JSON object with a weight_map")) << text;
    EXPECT_THAT(refusal_of(R"({"weight_map":)" + std::string(text) + "}"), HasSubstr("an object as weight_map")) << text;
    if (text[0] != '"') {
      EXPECT_THAT(refusal_of(R"({"weight_map":{"t":)" + std::string(text) + "}}"),
                  HasSubstr("the name of a file for tensor \"t\""));
    }
  }
  EXPECT_THAT(refusal_of(R"({"weight_map":{"t":{}}})"), HasSubstr("the name of a file for tensor \"t\", found an object"));
  EXPECT_THAT(refusal_of(R"({"weight_map":{"t":"a","t":"a"}})"), HasSubstr("\"t\" twice"));
  EXPECT_THAT(refusal_of(R"({"weight_map":{},"weight_map":{}})"), HasSubstr("a second one"));
  for (const std::string& text :
       {std::string(""), std::string("{"), std::string("{}{}"), std::string("{}\0", 3), std::string("{\"\xFF\":1}")}) {
    EXPECT_THAT(refusal_of(text), HasSubstr("an index in JSON")) << text;
  }
  EXPECT_THAT(refusal_of(R"({"weight_map":{"\u001b[2J":1}})"), HasSubstr("\"\\x1b[2J\""));
}

TEST(ShardIndex, KeepsTheMapAloneHoweverDeepTheRestIs) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  const auto index =
      safetensors::parse_shard_index("i", R"({"a":)" + deep + R"(,"weight_map":{"t":"x"},"z":{"t":{"weight_map":"y"}}})");
  EXPECT_THAT(index, ElementsAre(Pair("t", "x")));
}

}  // namespace
}  // namespace gpucnn
