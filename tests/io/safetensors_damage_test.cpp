#include <chrono>
#include <cstring>

#include <sys/stat.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/memory/allocator.h>
#include <gpucnn/core/random.h>
#include <gpucnn/io/safetensors.h>
#include <gpucnn/io/safetensors/header.h>
#include <gpucnn/layers/linear.h>
#include <io/safetensors_bytes.h>
#include <io/temporary_folder.h>

#include "float_environments.h"

namespace gpucnn {
namespace {

using testing::file_of;
using ::testing::HasSubstr;
using testing::length_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

/// What reading a file of these bytes is refused with. Fails the test if it is not, or if the error lacks a part.
struct Refusal {
  explicit Refusal(const std::string& bytes) {
    const TemporaryFolder folder;
    write_bytes(folder / "x", bytes);
    const std::uint64_t asked = allocator_stats(Device::cpu()).system_allocations;
    try {
      load_safetensors(folder / "x");
      ADD_FAILURE() << "was read: " << bytes;
    } catch (const DataError& error) {
      EXPECT_EQ(error.file(), (folder / "x").string());
      EXPECT_LE(error.offset(), bytes.size());
      offset = error.offset();
      expected = error.expected();
      found = error.found();
    }
    EXPECT_EQ(allocator_stats(Device::cpu()).system_allocations, asked) << "memory was asked for before the header was checked";
  }
  std::uint64_t offset = 0;
  std::string expected, found;
};

/// The same of a header with one entry `t` of this description and 4 bytes of data.
Refusal entry(const std::string& description) { return Refusal(file_of(R"({"t":)" + description + "}", 4)); }

TEST(LoadSafetensors, RefusesWhatIsNotAFile) {
  const TemporaryFolder folder;
  const auto found = [](const std::filesystem::path& path) -> std::string {
    try {
      load_safetensors(path);
    } catch (const DataError& error) {
      return error.found();
    }
    return "a tensor file";
  };
  mkfifo((folder / "pipe").c_str(), 0600);
  EXPECT_EQ(found(folder / "missing"), "No such file or directory");
  EXPECT_EQ(found(folder.path()), "a directory without it");
  EXPECT_EQ(found("/dev/zero"), "a device or a pipe");
  EXPECT_EQ(found(folder / "pipe"), "a device or a pipe");
}

TEST(LoadSafetensors, RefusesNumbersThatNoDoubleHoldsWhereExceptionsTrap) {
  // The parser converts them before it hands them over, and overflows.
  const ForcedFloatEnvironment callers({.name = "trapping", .traps = true});
  for (const char* number : {"1e999", "-1e999", "1e-999"}) {
    EXPECT_THROW(safetensors::parse_header("x", std::string(R"({"t":)") + number + "}", 4), DataError);
  }
}

TEST(LoadSafetensors, RefusesFilesWithoutAWholeHeader) {
  EXPECT_EQ(Refusal("").found, "an empty file");
  EXPECT_EQ(Refusal("1234567").found, "a file of 7 bytes");
  const Refusal beyond(length_bytes(3) + "{}");
  EXPECT_EQ(beyond.expected, "a header of 3 bytes");
  EXPECT_EQ(beyond.found, "the end of the file after 2: it was cut short");
  EXPECT_EQ(Refusal(length_bytes(~std::uint64_t{0}) + "{}").found, "one of 18446744073709551615 bytes");
  EXPECT_EQ(Refusal(length_bytes(1000) + "no JSON").found, "data of another format");
}

TEST(LoadSafetensors, RefusesHeadersAboveTheFormatsLimit) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", length_bytes(100'000'001) + "{");
  std::filesystem::resize_file(folder / "x", 200'000'000);  // a hole, which takes no space
  try {
    load_safetensors(folder / "x");
    ADD_FAILURE();
  } catch (const DataError& error) {
    EXPECT_EQ(error.expected(), "a header of at most 100000000 bytes");
  }
}

TEST(LoadSafetensors, RefusesWhatIsNotJson) {
  EXPECT_EQ(Refusal(file_of("")).expected, "a header that begins with {");
  EXPECT_EQ(Refusal(file_of(" {}")).expected, "a header that begins with {");
  EXPECT_EQ(Refusal(file_of("{\"a\": nul}")).expected, "a header in JSON");
  EXPECT_EQ(Refusal(file_of("{")).expected, "a header in JSON");
  EXPECT_EQ(Refusal(file_of("{}{}")).expected, "a header in JSON");
  EXPECT_EQ(Refusal(file_of(std::string("{}\0", 3))).expected, "a header in JSON");
  EXPECT_EQ(Refusal(file_of("{\"\xFF\":{}}")).expected, "a header in JSON");
}

TEST(LoadSafetensors, NamesTheByteThatIsWrong) {
  EXPECT_EQ(Refusal(file_of("{?}")).offset, 9U);
  EXPECT_EQ(Refusal(file_of(R"({"t":"text"})")).offset, 8U + 10U);  // the text's last quotation mark
}

TEST(LoadSafetensors, RefusesEntriesOfTheWrongKind) {
  for (const char* value : {"1", "-1", "1.5", "null", "true", "[]", "\"text\""}) {
    EXPECT_EQ(entry(value).expected, "an object that describes tensor \"t\"");
    EXPECT_EQ(Refusal(file_of(R"({"__metadata__":)" + std::string(value) + "}")).expected, "an object of texts as __metadata__");
  }
  EXPECT_EQ(Refusal(file_of(R"({"__metadata__":{"k":1}})")).expected, "a text as __metadata__ \"k\"");
  EXPECT_EQ(Refusal(file_of(R"({"__metadata__":{"k":{}}})")).found, "an object");
}

TEST(LoadSafetensors, RefusesIncompleteAndUnknownDescriptions) {
  const std::string all = "dtype, shape and data_offsets of tensor \"t\"";
  EXPECT_EQ(entry("{}").expected, all);
  EXPECT_EQ(entry(R"({"dtype":"F32","shape":[1]})").expected, all);
  EXPECT_EQ(entry(R"({"dtype":"F32","data_offsets":[0,4]})").expected, all);
  EXPECT_EQ(entry(R"({"shape":[1],"data_offsets":[0,4]})").expected, all);
  EXPECT_EQ(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"strides":[1]})").found, "\"strides\"");
}

TEST(LoadSafetensors, RefusesDTypesThatAreNoTexts) {
  for (const char* dtype : {"7", "null", "[]", "{}"}) {
    const Refusal refusal = entry(R"({"shape":[1],"data_offsets":[0,4],"dtype":)" + std::string(dtype) + "}");
    EXPECT_EQ(refusal.expected, "a text as dtype of tensor \"t\"");
    EXPECT_THAT(refusal.found, ::testing::AnyOf(dtype, "a list", "an object"));
  }
}

// Its shape says nothing about its bytes, but its place must be in order.
TEST(LoadSafetensors, RefusesATensorOfAnUnknownDTypeWhoseDataIsNotThere) {
  const auto odd = [](const std::string& offsets) {
    return Refusal(file_of(R"({"t":{"dtype":"F4","shape":[99999999999,99999999999],"data_offsets":)" + offsets + "}}", 4));
  };
  EXPECT_EQ(odd("[4,0]").expected, "data_offsets of tensor \"t\" in order");
  EXPECT_EQ(odd("[0,5]").found, "only 4 bytes of data");
  EXPECT_EQ(odd("[0,3]").found, "1 bytes more");
}

TEST(LoadSafetensors, RefusesImpossibleShapes) {
  const auto shape = [](const std::string& text) { return entry(R"({"dtype":"F32","data_offsets":[0,4],"shape":)" + text + "}"); };
  for (const char* text : {"[-1]", "[1.0]", "[\"1\"]", "[null]", "[[1]]", "[9223372036854775808]", "[99999999999999999999]"}) {
    EXPECT_THAT(shape(text).expected, HasSubstr("whole numbers from 0 to 2^63 - 1")) << text;
  }
  EXPECT_EQ(shape("1").expected, "a list as shape of tensor \"t\"");
  EXPECT_EQ(shape("[1,1,1,1,1,1,2]").found, "[0, 4]");
  for (const char* text : {"[4294967296,4294967296]", "[9223372036854775807]", "[4294967296,4294967296,0]"}) {
    EXPECT_THAT(shape(text).expected, HasSubstr("whose bytes 63 bits count")) << text;
  }
}

TEST(LoadSafetensors, RefusesOffsetsThatAreNotTheShapes) {
  const auto offsets = [](const std::string& text) { return entry(R"({"dtype":"F32","shape":[1],"data_offsets":)" + text + "}"); };
  for (const char* text : {"[]", "[0]", "[0,4,4]", "[0,-4]", "[0,4.0]", "[0,\"4\"]", "[0,18446744073709551616]"}) {
    EXPECT_THAT(offsets(text).expected, HasSubstr("two data_offsets")) << text;
  }
  for (const char* text : {"[0,3]", "[0,5]", "[4,0]", "[0,0]", "[18446744073709551615,3]"}) {
    EXPECT_THAT(offsets(text).expected, HasSubstr("data_offsets of tensor \"t\" 4 bytes apart")) << text;
  }
}

TEST(LoadSafetensors, RefusesDataWithGapsOverlapsAndEnds) {
  const auto two = [](const std::string& first, const std::string& second, std::size_t data) {
    return Refusal(file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
                               R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}",
                           data));
  };
  EXPECT_EQ(two("[0,4]", "[5,9]", 9).found, "tensor \"b\" at [5, 9)");        // a gap
  EXPECT_EQ(two("[5,9]", "[1,5]", 9).expected, "a tensor at data offset 0");  // a gap in front
  EXPECT_EQ(two("[3,7]", "[0,4]", 8).found, "tensor \"a\" at [3, 7)");        // an overlap
  EXPECT_EQ(two("[0,4]", "[0,4]", 4).found, "tensor \"b\" at [0, 4)");        // the same bytes twice
  EXPECT_EQ(two("[0,4]", "[4,8]", 7).found, "only 7 bytes of data");          // a truncated file
  EXPECT_EQ(two("[0,4]", "[4,8]", 0).found, "only 0 bytes of data");          // nothing but a header
  EXPECT_EQ(two("[0,4]", "[4,8]", 10).found, "2 bytes more");                 // bytes that belong to nobody
  EXPECT_EQ(two("[0,4]", "[4,8]", 10).expected, "the end of the file");
}

TEST(LoadSafetensors, RefusesDuplicateNames) {
  EXPECT_EQ(Refusal(file_of(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                            R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"))
                .found,
            "\"a\" twice");
  EXPECT_EQ(entry(R"({"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]})").found, "\"dtype\" twice");
  EXPECT_EQ(Refusal(file_of(R"({"__metadata__":{"k":"1","k":"2"}})")).found, "\"k\" twice");
  EXPECT_EQ(Refusal(file_of(R"({"__metadata__":{},"__metadata__":{}})")).found, "\"__metadata__\" twice");
}

TEST(LoadSafetensors, QuotesNoEscapeSequence) {
  const std::string escaped = "\"\\x1b]0;owned\\x07\\x0a\\u009b\\u202e\"";
  const std::string name = R"("\u001b]0;owned\u0007\n\u009b\u202e")";
  EXPECT_EQ(Refusal(file_of("{" + name + ":1}")).expected, "an object that describes tensor " + escaped);
  EXPECT_EQ(Refusal(file_of("{" + name + ":{" + name + ":1}}")).found, escaped);
  EXPECT_EQ(Refusal(file_of(R"({"__metadata__":{)" + name + ":1}}")).expected, "a text as __metadata__ " + escaped);
  EXPECT_EQ(Refusal(file_of("{" + name + R"(:{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 1)).found,
            "tensor " + escaped + " at [1, 2)");
  EXPECT_EQ(Refusal(file_of("\x1b[2J")).found, "\"\\x1b[2J\"");
  EXPECT_EQ(Refusal(file_of("{\"\xff\"")).found, "a syntax error at \"\"\\xff\"");
}

TEST(LoadSafetensors, ReadsManyTensorsInLinearTime) {
  constexpr int kTensors = 200'000;
  std::string header = "{";
  for (int i = 0; i < kTensors; ++i) {
    header += fmt::format(R"({}"t{:06}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", i > 0 ? "," : "", i);
  }
  const TemporaryFolder folder;
  write_bytes(folder / "x", file_of(header + "}"));
  const auto start = std::chrono::steady_clock::now();
  const StateDict state = load_safetensors(folder / "x").first;
  ASSERT_EQ(state.size(), kTensors);
  EXPECT_TRUE(state.contains("t123456"));
  // A search of all names before each of them takes minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  try {
    Linear(2, 2).load_state_dict(state);
    ADD_FAILURE();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(),
                 "load_state_dict: missing weight, bias; unexpected t000000, t000001, t000002, t000003, t000004 and 199,995 more");
  }
}

TEST(LoadSafetensors, QuotesOnlyTheBeginningOfALongText) {
  const Refusal refusal = entry("\"" + std::string(5000, 'x') + "\"");
  EXPECT_LT(refusal.found.size(), 100U);
}

// Thousands of damaged files: each is refused or read, and nothing else happens (the sanitizers watch).
TEST(LoadSafetensors, SurvivesDamageAnywhere) {
  constexpr int kFiles = 20'000;
  const TemporaryFolder folder;
  StateDict state;
  state.add("features.0.weight", Tensor::randn({2, 3, 2, 2}, 1));
  state.add("classifier.bias", Tensor::zeros({3}));
  state.add("labels", Tensor::zeros({5}, DType::u8));
  save_safetensors(folder / "x", state, {{"model", "SimpleCNN"}});
  const std::string whole = testing::read_bytes(folder / "x");
  const std::string useful = "0123456789[]{}\",:-.eE \\u\xFF";

  int refused = 0;
  for (int i = 0; i < kFiles; ++i) {
    const RandomStream random(7, Purpose::shuffle, 0, static_cast<std::uint64_t>(i));
    std::string bytes = whole;
    const std::uint32_t changes = 1 + random.below(0, 3);
    for (std::uint32_t change = 0; change < changes; ++change) {
      char& byte = bytes[random.below(3 * change + 1, static_cast<std::uint32_t>(bytes.size()))];
      byte = random.below(3 * change + 2, 2) == 0 ? static_cast<char>(byte ^ 1 << random.below(3 * change + 3, 8))
                                                  : useful[random.below(3 * change + 3, static_cast<std::uint32_t>(useful.size()))];
    }
    if (i % 8 == 0) bytes.resize(random.below(20, static_cast<std::uint32_t>(bytes.size())));
    std::filesystem::remove(folder / "y");  // some file systems flush a file that is cut to nothing and written again
    write_bytes(folder / "y", bytes);
    try {
      const auto [read, metadata] = load_safetensors(folder / "y");
      EXPECT_LE(read.size(), 3U);
    } catch (const DataError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, kFiles / 4);
  EXPECT_LT(refused, kFiles);  // damage to the data alone cannot be seen
}

}  // namespace
}  // namespace gpucnn
