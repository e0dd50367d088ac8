#include <turbojpeg.h>

#include <algorithm>
#include <memory>
#include <new>
#include <string_view>

#include <gpucnn/core/error.h>
#include <gpucnn/data/image/decoders.h>

namespace gpucnn {
namespace {

constexpr const char* kExpected = "a JPEG image";
constexpr int kMaxDivision = 8;

struct Destroy {
  void operator()(void* handle) const noexcept { tjDestroy(handle); }
};
using Handle = std::unique_ptr<void, Destroy>;

[[noreturn]] void fail(const EncodedImage& image, tjhandle handle) {
  throw DataError(image.name, 0, kExpected, tjGetErrorStr2(handle));
}

/// Whether what failed last is bytes between two segments, which some cameras leave there and which no pixel comes from.
bool is_padded(tjhandle handle) {
  return tjGetErrorCode(handle) == TJERR_WARNING &&
         std::string_view(tjGetErrorStr2(handle)).find("extraneous bytes before marker") != std::string_view::npos;
}

const unsigned char* data_of(const EncodedImage& image) { return reinterpret_cast<const unsigned char*>(image.bytes.data()); }

/// Four inks as Adobe stores them, inverted: 255 is none. As PIL's conversion from CMYK.
Pixels from_inks(const Pixels& inks) {
  Pixels pixels = Pixels::empty(inks.height, inks.width, 3);
  const std::size_t count = static_cast<std::size_t>(inks.height) * static_cast<std::size_t>(inks.width);
  const std::uint8_t* from = inks.values.get();
  std::uint8_t* to = pixels.values.get();
  for (std::size_t i = 0; i < count; ++i, from += 4, to += 3) {
    const int light = from[3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - from[c]) * light + 128, ink = ((product >> 8) + product) >> 8;  // the product by 255, rounded
      to[c] = static_cast<std::uint8_t>(std::clamp(light - ink, 0, 255));
    }
  }
  return pixels;
}

/// The largest of 1, 2, 4 and 8 by which the image may be divided.
int division_of(Size2 full, Size2 enough) {
  int division = 1;
  while (enough.height > 0 && division < kMaxDivision && full.height / (2 * division) >= enough.height &&
         full.width / (2 * division) >= enough.width) {
    division *= 2;
  }
  return division;
}

}  // namespace

bool is_jpeg(std::span<const std::byte> bytes) noexcept {
  return bytes.size() >= 3 && bytes[0] == std::byte{0xFF} && bytes[1] == std::byte{0xD8} && bytes[2] == std::byte{0xFF};
}

DecodedJpeg decode_jpeg(const EncodedImage& image, Size2 enough) {
  const Handle handle(tjInitDecompress());
  if (!handle) throw std::bad_alloc();
  int width = -1, height = -1, sampling = -1, space = -1;
  const auto size = static_cast<unsigned long>(image.bytes.size());
  // It also fails where it has no name for how colours are sampled, which it can read all the same.
  if (tjDecompressHeader3(handle.get(), data_of(image), size, &width, &height, &sampling, &space) != 0 &&
      (width < 1 || height < 1 || space < 0)) {
    fail(image, handle.get());
  }
  check_extents(image, static_cast<std::uint64_t>(height), static_cast<std::uint64_t>(width));
  const bool inks = space == TJCS_CMYK || space == TJCS_YCCK, grey = space == TJCS_GRAY;
  const tjscalingfactor scaling{1, division_of({height, width}, enough)};
  Pixels pixels = Pixels::empty(TJSCALED(height, scaling), TJSCALED(width, scaling), inks ? 4 : grey ? 1 : 3);
  const int format = inks ? TJPF_CMYK : grey ? TJPF_GRAY : TJPF_RGB;
  const auto decode = [&](int flags) {
    return tjDecompress2(handle.get(), data_of(image), size, pixels.values.get(), pixels.width, 0, pixels.height, format, flags) ==
           0;
  };
  // Damage gives warnings and grey areas otherwise. Hundreds of passes over a few bytes are an attack.
  if (!decode(TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS)) {
    // The error that is kept is that of the last warning, so damage behind the padding is still seen.
    if (is_padded(handle.get())) decode(TJFLAG_LIMITSCANS);
    if (!is_padded(handle.get())) fail(image, handle.get());
  }
  return {inks ? from_inks(pixels) : std::move(pixels), {height, width}};
}

}  // namespace gpucnn
