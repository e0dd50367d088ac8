#include "data/image/encoded_images.h"

#include <png.h>
#include <turbojpeg.h>
#include <zlib.h>

#include <algorithm>
#include <stdexcept>

namespace gpucnn {
namespace {

constexpr std::size_t kPngHeaderEnd = 33;  // signature, and the chunk IHDR

void append(Bytes& bytes, std::uint64_t value, int count) {
  for (int shift = 8 * (count - 1); shift >= 0; shift -= 8) bytes.push_back(static_cast<std::byte>(value >> shift));
}

void append(Bytes& bytes, std::string_view text) {
  for (const char c : text) bytes.push_back(static_cast<std::byte>(c));
}

void append_chunk(Bytes& bytes, const std::string& type, const std::string& data) {
  const std::string checked = type + data;
  append(bytes, data.size(), 4);
  append(bytes, checked);
  append(bytes, crc32(0, reinterpret_cast<const Bytef*>(checked.data()), static_cast<uInt>(checked.size())), 4);
}

void write_bytes(png_structp png, png_bytep from, std::size_t count) {
  auto* bytes = static_cast<Bytes*>(png_get_io_ptr(png));
  const auto* begin = reinterpret_cast<const std::byte*>(from);
  bytes->insert(bytes->end(), begin, begin + count);
}

[[noreturn]] void give_up(png_structp, png_const_charp message) { throw std::logic_error(message); }

}  // namespace

Bytes encode_png(const PngImage& image) {
  Bytes bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, give_up, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &bytes, write_bytes, nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height), image.bit_depth,
               image.colour_type, image.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (!image.palette.empty()) {
    png_set_PLTE(png, info, reinterpret_cast<png_const_colorp>(image.palette.data()), static_cast<int>(image.palette.size() / 3));
  }
  png_write_info(png, info);
  const std::size_t stride = png_get_rowbytes(png, info);
  std::vector<png_bytep> rows;
  for (int y = 0; y < image.height; ++y) {
    rows.push_back(const_cast<png_bytep>(image.rows.data()) + static_cast<std::size_t>(y) * stride);
  }
  png_write_image(png, rows.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

Bytes plain_png(int width, int height, std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
  PngImage image{.width = width, .height = height};
  for (int i = 0; i < width * height; ++i) image.rows.insert(image.rows.end(), {red, green, blue});
  return encode_png(image);
}

Bytes plain_jpeg(int width, int height, std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
  std::vector<unsigned char> rows;
  for (int i = 0; i < width * height; ++i) rows.insert(rows.end(), {red, green, blue});
  const tjhandle handle = tjInitCompress();
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  if (tjCompress2(handle, rows.data(), width, 0, height, TJPF_RGB, &memory, &size, TJSAMP_444, 95, 0) != 0) {
    throw std::logic_error(tjGetErrorStr2(handle));
  }
  const auto* begin = reinterpret_cast<const std::byte*>(memory);
  Bytes bytes(begin, begin + size);
  tjFree(memory);
  tjDestroy(handle);
  return bytes;
}

Bytes with_chunk(const Bytes& png, const std::string& type, const std::string& data) {
  Bytes bytes(png.begin(), png.begin() + kPngHeaderEnd);
  append_chunk(bytes, type, data);
  bytes.insert(bytes.end(), png.begin() + kPngHeaderEnd, png.end());
  return bytes;
}

Bytes with_png_size(Bytes png, std::uint32_t width, std::uint32_t height) {
  Bytes bytes(png.begin(), png.begin() + 8);
  std::string header;
  for (const std::uint32_t value : {width, height}) {
    for (int shift = 24; shift >= 0; shift -= 8) header.push_back(static_cast<char>(value >> shift));
  }
  for (std::size_t i = 24; i < 29; ++i) header.push_back(static_cast<char>(png[i]));
  append_chunk(bytes, "IHDR", header);
  bytes.insert(bytes.end(), png.begin() + kPngHeaderEnd, png.end());
  return bytes;
}

Bytes with_jpeg_size(Bytes jpeg, std::uint16_t width, std::uint16_t height) {
  for (std::size_t at = 2;;
       at += 2 + std::to_integer<std::size_t>(jpeg.at(at + 2)) * 256 + std::to_integer<std::size_t>(jpeg.at(at + 3))) {
    const auto marker = std::to_integer<int>(jpeg.at(at + 1));
    if (marker != 0xC0 && marker != 0xC2) continue;
    jpeg.at(at + 5) = static_cast<std::byte>(height >> 8);
    jpeg.at(at + 6) = static_cast<std::byte>(height);
    jpeg.at(at + 7) = static_cast<std::byte>(width >> 8);
    jpeg.at(at + 8) = static_cast<std::byte>(width);
    return jpeg;
  }
}

Bytes with_segment(const Bytes& jpeg, std::uint8_t marker, std::string_view data) {
  Bytes bytes(jpeg.begin(), jpeg.begin() + 2);
  append(bytes, 0xFF00U | marker, 2);
  append(bytes, data.size() + 2, 2);
  append(bytes, data);
  bytes.insert(bytes.end(), jpeg.begin() + 2, jpeg.end());
  return bytes;
}

Bytes bytes_of(std::string_view text) {
  Bytes bytes;
  append(bytes, text);
  return bytes;
}

}  // namespace gpucnn
