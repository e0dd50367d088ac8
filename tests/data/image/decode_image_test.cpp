#include <gpucnn/data/image/decode_image.h>

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/data/image/exif_orientation.h>

#include "data/image/encoded_images.h"

namespace gpucnn {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Values = std::vector<std::uint8_t>;

Values values_of(const Bytes& bytes, int channels = 3) { return decode_image(bytes, channels).to_vector<std::uint8_t>(); }

/// Decoding fails, names the file, and says these things in one line; nothing reaches stderr.
void expect_damage(const Bytes& bytes, const std::string& expected, const std::string& found) {
  ::testing::internal::CaptureStderr();
  try {
    decode_image(bytes, 3, "photos/cat.png");
    ADD_FAILURE() << "an image that is no image was taken; wanted: " << found;
  } catch (const DataError& error) {
    EXPECT_EQ(error.file(), "photos/cat.png");
    EXPECT_THAT(error.expected(), HasSubstr(expected));
    EXPECT_THAT(error.found(), HasSubstr(found));
    EXPECT_THAT(std::string(error.what()), ::testing::Not(HasSubstr("\n")));
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(DecodeImage, GivesAPngsColours) {
  const Bytes png = encode_png({.width = 2, .height = 1, .rows = {1, 2, 3, 250, 251, 252}});
  EXPECT_EQ(decode_image(png).shape(), (Shape{1, 3, 1, 2}));
  EXPECT_THAT(values_of(png), ElementsAre(1, 250, 2, 251, 3, 252));
  EXPECT_EQ(decode_image(png, 1).shape(), (Shape{1, 1, 1, 2}));
  EXPECT_THAT(values_of(png, 1), ElementsAre(2, 251));
}

TEST(DecodeImage, TakesPngsOfEveryKind) {
  // Grey of few bits is spread over the whole range.
  EXPECT_THAT(values_of(encode_png({.width = 3, .height = 1, .colour_type = 0, .bit_depth = 1, .rows = {0xA0}}), 1),
              ElementsAre(255, 0, 255));
  EXPECT_THAT(values_of(encode_png({.width = 4, .height = 1, .colour_type = 0, .bit_depth = 2, .rows = {0x1B}}), 1),
              ElementsAre(0, 85, 170, 255));
  EXPECT_THAT(values_of(encode_png({.width = 2, .height = 1, .colour_type = 0, .bit_depth = 4, .rows = {0x1F}}), 1),
              ElementsAre(17, 255));
  EXPECT_THAT(values_of(encode_png({.width = 2, .height = 1, .colour_type = 0, .rows = {9, 200}})),
              ElementsAre(9, 200, 9, 200, 9, 200));
  // Of 16 bits the upper 8, in grey and in colours.
  EXPECT_THAT(values_of(encode_png({.width = 2, .height = 1, .colour_type = 0, .bit_depth = 16, .rows = {7, 255, 8, 0}}), 1),
              ElementsAre(7, 8));
  EXPECT_THAT(values_of(encode_png({.width = 1, .height = 1, .bit_depth = 16, .rows = {1, 200, 2, 200, 3, 200}})),
              ElementsAre(1, 2, 3));
  // Transparency is dropped.
  EXPECT_THAT(values_of(encode_png({.width = 1, .height = 2, .colour_type = 4, .rows = {5, 0, 6, 255}}), 1), ElementsAre(5, 6));
  EXPECT_THAT(values_of(encode_png({.width = 1, .height = 1, .colour_type = 6, .rows = {1, 2, 3, 0}})), ElementsAre(1, 2, 3));
  const PngImage palette{
      .width = 3, .height = 1, .colour_type = 3, .bit_depth = 2, .rows = {0x24}, .palette = {1, 2, 3, 4, 5, 6, 7, 8, 9}};
  EXPECT_THAT(values_of(encode_png(palette)), ElementsAre(1, 7, 4, 2, 8, 5, 3, 9, 6) /* entries 0, 2, 1 */);
}

TEST(DecodeImage, TakesInterlacedPngsAsTheOthers) {
  PngImage image{.width = 21, .height = 13};
  image.rows.resize(21 * 13 * 3);
  std::iota(image.rows.begin(), image.rows.end(), std::uint8_t{0});
  const Values plain = values_of(encode_png(image));
  image.interlaced = true;
  EXPECT_EQ(values_of(encode_png(image)), plain);
}

TEST(DecodeImage, TellsFormatsByTheirContent) {
  EXPECT_THAT(decode_image(plain_jpeg(8, 8, 200, 200, 200), 1, "a.png").to_vector<std::uint8_t>(), Each(200));
  EXPECT_THAT(decode_image(plain_png(8, 8, 200, 200, 200), 1, "a.jpg").to_vector<std::uint8_t>(), Each(200));
}

TEST(DecodeImage, NamesWhatIsNoImage) {
  expect_damage({}, "a PNG or JPEG image", "an empty file");
  expect_damage(bytes_of("hello"), "a PNG or JPEG image", "neither");
  expect_damage(bytes_of("GIF89a…"), "a PNG or JPEG image", "a GIF image");
  expect_damage(bytes_of("BM12345"), "a PNG or JPEG image", "a BMP image");
  expect_damage(bytes_of("<!doctype html>"), "a PNG or JPEG image", "a text, such as HTML");
}

TEST(DecodeImage, RefusesEveryBeginningOfAFile) {
  PngImage noise{.width = 16, .height = 16};
  for (int i = 0; i < 768; ++i) noise.rows.push_back(static_cast<std::uint8_t>(i * i * 31 >> 3));
  for (const Bytes& whole : {encode_png(noise), plain_jpeg(16, 16, 10, 90, 60)}) {
    ASSERT_NO_THROW(decode_image(whole));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const std::span<const std::byte> part = std::span(whole).first(size);
      EXPECT_THROW(decode_image(part), DataError) << size << " of " << whole.size();
    }
  }
}

TEST(DecodeImage, NamesADamagedFile) {
  Bytes png = plain_png(16, 16, 1, 2, 3);
  png[png.size() - 20] ^= std::byte{0xFF};
  expect_damage(png, "a PNG image", "IDAT");
  Bytes jpeg = plain_jpeg(64, 64, 1, 2, 3);
  std::fill(jpeg.end() - 40, jpeg.end() - 2, std::byte{0xFF});
  expect_damage(jpeg, "a JPEG image", "");
}

TEST(DecodeImage, AcceptsPaddingBetweenTheSegmentsOfAJpeg) {
  const Bytes whole = plain_jpeg(32, 32, 200, 100, 50);
  Bytes padded = whole;
  padded.insert(padded.end() - 2, 6, std::byte{0});  // before the end marker
  EXPECT_EQ(decode_image(padded).to_vector<std::uint8_t>(), decode_image(whole).to_vector<std::uint8_t>());
  Bytes damaged = padded;
  damaged.resize(damaged.size() - 2);
  expect_damage(damaged, "a JPEG image", "");
}

TEST(DecodeImage, ChecksTheSizeBeforeItAllocates) {
  const Bytes png = plain_png(4, 4, 1, 2, 3), jpeg = plain_jpeg(8, 8, 1, 2, 3);
  expect_damage(with_png_size(png, 0, 0), "a PNG image", "");
  expect_damage(with_png_size(png, 0, 4), "a PNG image", "");
  expect_damage(with_png_size(png, 10'000, 10'000), "1 to 89478485 pixels", "10000x10000");
  expect_damage(with_png_size(png, 2'000'000'000, 1), "a PNG image", "");
  expect_damage(with_jpeg_size(jpeg, 0, 0), "a JPEG image", "");
  expect_damage(with_jpeg_size(jpeg, 8, 0), "a JPEG image", "");
  expect_damage(with_jpeg_size(jpeg, 10'000, 10'000), "1 to 89478485 pixels", "10000x10000");
  expect_damage(with_jpeg_size(jpeg, 65'500, 65'500), "1 to 89478485 pixels", "65500x65500");
  // A file so short cannot hold so many pixels, and is refused before there is memory for them.
  expect_damage(with_png_size(png, 9'000, 9'000), "bytes at least for 9000x9000 pixels", "the end of the file");
}

TEST(DecodeImage, TakesAnImageThatPacksAsWellAsAnyCan) {
  const Bytes png = plain_png(2000, 2000, 7, 7, 7);
  EXPECT_LT(png.size(), 2000 * 2000 * 3 / 700) << "a limit that is too strict would refuse it";
  const Values values = values_of(png, 1);
  EXPECT_EQ(std::ranges::count(values, 7), 2000 * 2000);
}

/// `size` zeros as zlib packs them: a thousandth of that.
std::string bomb(std::size_t size) {
  const std::string zeros(size, '\0');
  std::string packed(compressBound(size), '\0');
  uLongf length = packed.size();
  compress2(reinterpret_cast<Bytef*>(packed.data()), &length, reinterpret_cast<const Bytef*>(zeros.data()), size, 9);
  packed.resize(length);
  return packed;
}

TEST(DecodeImage, PassesOverTextsAndProfilesWithoutUnpackingThem) {
  const Bytes png = plain_png(2, 2, 9, 9, 9);
  const std::string packed = bomb(std::size_t{64} << 20);
  const std::string zero(1, '\0');
  EXPECT_THAT(values_of(with_chunk(png, "zTXt", "Comment" + zero + zero + packed)), Each(9));
  EXPECT_THAT(values_of(with_chunk(png, "iCCP", "profile" + zero + zero + packed)), Each(9));
  EXPECT_THAT(values_of(with_chunk(png, "iTXt", "Comment" + zero + "\1" + zero + zero + zero + packed)), Each(9));
  EXPECT_THAT(values_of(with_chunk(png, "tEXt", "Comment" + zero + std::string(20'000'000, 'x'))), Each(9));
  EXPECT_THAT(values_of(with_chunk(png, "gAMA", std::string("\0\0\1\1", 4))), Each(9)) << "gamma does not count";
  EXPECT_THAT(values_of(with_chunk(png, "iCCP", "no profile")), Each(9));
}

/// A little-endian Exif block whose one entry is `tag` = `value`.
std::string exif(int tag, int value) {
  std::string block("Exif\0\0II*\0\x08\0\0\0\x01\0", 16);
  for (const int byte : {tag & 0xFF, tag >> 8, 3, 0, 1, 0, 0, 0, value & 0xFF, value >> 8, 0, 0, 0, 0, 0, 0}) {
    block.push_back(static_cast<char>(byte));
  }
  return block;
}

TEST(DecodeImage, TurnsAJpegUpright) {
  const Bytes jpeg = plain_jpeg(24, 8, 50, 50, 50);
  const auto shape_of = [&](std::string_view block) { return decode_image(with_segment(jpeg, 0xE1, block)).shape(); };
  for (const int orientation : {1, 2, 3, 4}) EXPECT_EQ(shape_of(exif(0x0112, orientation)), (Shape{1, 3, 8, 24}));
  for (const int orientation : {5, 6, 7, 8}) EXPECT_EQ(shape_of(exif(0x0112, orientation)), (Shape{1, 3, 24, 8}));
}

TEST(DecodeImage, TakesAJpegWithoutASensibleOrientationAsItIs) {
  const Bytes jpeg = plain_jpeg(24, 8, 50, 50, 50);
  const std::string good = exif(0x0112, 6);
  std::vector<std::string> blocks{exif(0x0112, 0), exif(0x0112, 9), exif(0x0100, 6), "", "Exif", "http://ns.adobe.com/xap/1.0/"};
  for (std::size_t size = 0; size + 8 < good.size(); ++size) blocks.push_back(good.substr(0, size));
  std::string far = good;
  far[12] = far[13] = '\x7F';  // a directory beyond the end
  blocks.push_back(far);
  for (const std::string& block : blocks) {
    EXPECT_EQ(decode_image(with_segment(jpeg, 0xE1, block)).shape(), (Shape{1, 3, 8, 24})) << block.size();
  }
}

TEST(DecodeImage, RefusesOtherChannels) {
  const Bytes png = plain_png(1, 1, 1, 2, 3);
  for (const int channels : {-1, 0, 2, 4}) EXPECT_THROW(decode_image(png, channels), std::invalid_argument);
}

TEST(DecodeImage, ReadsAFileAndNamesIt) {
  const std::filesystem::path file = std::filesystem::temp_directory_path() / ("gpucnn_image_" + std::to_string(getpid()));
  const Bytes png = plain_png(3, 2, 1, 2, 3);
  std::ofstream(file, std::ios::binary).write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
  EXPECT_EQ(load_image(file).to_vector<std::uint8_t>(), values_of(png));
  std::filesystem::resize_file(file, png.size() - 1);
  const auto expect_error = [&](const std::string& found) {
    try {
      load_image(file);
      ADD_FAILURE() << found;
    } catch (const DataError& error) {
      EXPECT_EQ(error.file(), file.string());
      EXPECT_THAT(error.found(), HasSubstr(found));
    }
  };
  expect_error("the end of the file");
  std::filesystem::resize_file(file, kMaxImageBytes + 1);  // a hole
  expect_error("536870913 bytes");
  std::filesystem::remove(file);
  expect_error("No such file");
}

}  // namespace
}  // namespace gpucnn
