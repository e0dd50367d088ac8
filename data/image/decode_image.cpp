#include <gpucnn/data/image/decode_image.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <gpucnn/core/error.h>
#include <gpucnn/core/host/input_file.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/data/image/exif_orientation.h>
#include <gpucnn/data/image/image_reader.h>
#include <gpucnn/data/image/resized_pixels.h>

namespace gpucnn {
namespace {

constexpr const char* kExpected = "a PNG or JPEG image";

/// What the bytes are instead, as far as their beginning shows it.
std::string kind_of(std::span<const std::byte> bytes) {
  struct Kind {
    std::string_view begin;
    const char* name;
  };
  constexpr std::array<Kind, 8> kKinds{{{"GIF8", "a GIF image"},
                                        {"BM", "a BMP image"},
                                        {"RIFF", "a WebP image or another RIFF file"},
                                        {std::string_view("II*\0", 4), "a TIFF image"},
                                        {std::string_view("MM\0*", 4), "a TIFF image"},
                                        {"P5", "a PGM image"},
                                        {"P6", "a PPM image"},
                                        {"<", "a text, such as HTML"}}};
  if (bytes.empty()) return "an empty file";
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const Kind& kind : kKinds) {
    if (text.starts_with(kind.begin)) return kind.name;
  }
  return "neither";
}

[[noreturn]] void fail_kind(const EncodedImage& image) { throw DataError(image.name, 0, kExpected, kind_of(image.bytes)); }

Tensor as_tensor(const Pixels& pixels) {
  return Tensor::from_nhwc(std::span<const std::uint8_t>(pixels.values.get(), pixels.bytes()),
                           {1, pixels.channels, pixels.height, pixels.width});
}

void check_channels(const char* who, int channels) {
  if (channels != 1 && channels != 3) throw std::invalid_argument(formatted("{}: channels must be 1 or 3, got {}", who, channels));
}

bool is_turned(int orientation) { return orientation >= 5; }

Size2 turned(Size2 size, bool turn) { return turn ? Size2(size.width, size.height) : size; }

}  // namespace

void check_extents(const EncodedImage& image, std::uint64_t height, std::uint64_t width) {
  const auto max_pixels = static_cast<std::uint64_t>(image.max_pixels);
  if (height < 1 || width < 1 || height > max_pixels || width > max_pixels || height * width > max_pixels) {
    throw DataError(image.name, 0, formatted("an image of 1 to {} pixels", max_pixels), formatted("{}x{}", width, height));
  }
}

std::vector<std::byte> read_image_file(const std::filesystem::path& file) {
  const InputFile input(file);
  if (input.size() > kMaxImageBytes) {
    input.fail(kMaxImageBytes, formatted("at most {} bytes", kMaxImageBytes), formatted("{} bytes", input.size()));
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(input.size()));
  input.read(0, bytes);
  return bytes;
}

Pixels decode_pixels(const EncodedImage& image, int channels) {
  if (is_png(image.bytes)) return with_channels(decode_png(image), channels);
  if (!is_jpeg(image.bytes)) fail_kind(image);
  return with_channels(upright(decode_jpeg(image, 0).pixels, exif_orientation(image.bytes)), channels);
}

void decode_resized(const EncodedImage& image, int channels, const ResizeOptions& options, std::uint8_t* to) {
  Pixels pixels;
  Size2 full = 0;
  if (is_png(image.bytes)) {
    pixels = decode_png(image);
    full = {pixels.height, pixels.width};
  } else if (is_jpeg(image.bytes)) {
    const int orientation = exif_orientation(image.bytes);
    const int shorter = options.resize.value_or(0);
    const Size2 wanted = options.resize ? Size2(shorter) : turned(options.size, is_turned(orientation));
    DecodedJpeg jpeg = decode_jpeg(image, {2 * wanted.height, 2 * wanted.width});
    pixels = upright(std::move(jpeg.pixels), orientation);
    full = turned(jpeg.full, is_turned(orientation));
  } else {
    fail_kind(image);
  }
  pixels = with_channels(std::move(pixels), channels);
  resize_pixels(pixels.values.get(), {pixels.height, pixels.width}, channels, plan_resize(full, options), options.size, to);
}

Tensor decode_image(std::span<const std::byte> bytes, int channels, const std::string& name) {
  check_channels("decode_image", channels);
  return as_tensor(decode_pixels({bytes, name, kMaxImagePixels}, channels));
}

Tensor load_image(const std::filesystem::path& file, int channels) {
  check_channels("load_image", channels);
  const std::vector<std::byte> bytes = read_image_file(file);
  const std::string name = file.string();
  return as_tensor(decode_pixels({bytes, name, kMaxImagePixels}, channels));
}

Tensor load_image(const std::filesystem::path& file, int channels, const ResizeOptions& resize) {
  check_channels("load_image", channels);
  check_resize("load_image", resize);
  const std::vector<std::byte> bytes = read_image_file(file);
  const std::string name = file.string();
  Tensor image = Tensor::empty({1, channels, resize.size.height, resize.size.width}, DType::u8);
  decode_resized({bytes, name, kMaxImagePixels}, channels, resize, image.data<std::uint8_t>());
  return image;
}

}  // namespace gpucnn
