#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <algorithm>
#include <array>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/data/deflate_ratio.h>
#include <gpucnn/data/image/decoders.h>

namespace gpucnn {
namespace {

constexpr std::size_t kSignature = 8;
constexpr const char* kExpected = "a PNG image";

/// What libpng reads from, and what it says when it gives up. Nothing in it needs a destructor: libpng leaves by longjmp.
struct Source {
  const std::byte* bytes;
  std::size_t size, at;
  std::jmp_buf failed;
  std::array<char, 200> message;
};

void read_bytes(png_structp png, png_bytep to, std::size_t count) {
  auto* source = static_cast<Source*>(png_get_io_ptr(png));
  if (count > source->size - source->at) {
    source->at = source->size;
    png_error(png, "the end of the file");
  }
  std::memcpy(to, source->bytes + source->at, count);
  source->at += count;
}

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* source = static_cast<Source*>(png_get_error_ptr(png));
  std::snprintf(source->message.data(), source->message.size(), "%s", message);
  std::longjmp(source->failed, 1);
}

// What libpng warns of in chunks that it can do without makes no image worse. The library never prints.
void on_warning(png_structp, png_const_charp) {}

/// Runs `step`, which calls libpng; false where libpng gave up. No frame between has anything to destroy.
template <class Step>
bool try_step(Source& source, const Step& step) {
  if (setjmp(source.failed) != 0) return false;  // NOLINT: libpng's way
  step();
  return true;
}

class PngReader {
 public:
  explicit PngReader(const EncodedImage& image) : image_(image), source_{image.bytes.data(), image.bytes.size(), 0, {}, {}} {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source_, on_error, on_warning);
    if (png_) info_ = png_create_info_struct(png_);
    if (!info_) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  Pixels read() {
    require([this] {
      png_set_read_fn(png_, &source_, read_bytes);
      // Texts, profiles and the like are passed over, not unpacked: nothing here needs them, and they may be bombs.
      png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
      png_read_info(png_, info_);
    });
    check_size();
    const int type = png_get_color_type(png_, info_);
    const bool grey = (type & PNG_COLOR_MASK_COLOR) == 0;
    int passes = 1;
    require([&] {
      if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
      if (grey) png_set_expand_gray_1_2_4_to_8(png_);
      png_set_strip_16(png_);
      png_set_strip_alpha(png_);
      passes = png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
    });
    Pixels pixels = Pixels::empty(static_cast<int>(png_get_image_height(png_, info_)),
                                  static_cast<int>(png_get_image_width(png_, info_)), grey ? 1 : 3);
    const std::size_t row_bytes = pixels.row_bytes();
    if (png_get_rowbytes(png_, info_) != row_bytes) fail("samples of another layout");
    std::uint8_t* const values = pixels.values.get();
    const int height = pixels.height;
    require([this, values, row_bytes, height, passes] {
      for (int pass = 0; pass < passes; ++pass) {
        for (int y = 0; y < height; ++y) png_read_row(png_, values + static_cast<std::size_t>(y) * row_bytes, nullptr);
      }
      png_read_end(png_, nullptr);
    });
    return pixels;
  }

 private:
  template <class Step>
  void require(const Step& step) {
    if (!try_step(source_, step)) fail(source_.message.data());
  }

  [[noreturn]] void fail(const char* found) const { throw DataError(image_.name, source_.at, kExpected, found); }

  /// Before anything is allocated for the pixels.
  void check_size() {
    const std::uint64_t height = png_get_image_height(png_, info_), width = png_get_image_width(png_, info_);
    check_extents(image_, height, width);
    // A row of an interlaced image is in parts, which make it no shorter.
    const std::uint64_t packed = height * png_get_rowbytes(png_, info_) / kMaxDeflateRatio;
    if (packed > image_.bytes.size()) {
      throw DataError(image_.name, image_.bytes.size(), formatted("{} bytes at least for {}x{} pixels", packed, width, height),
                      "the end of the file");
    }
  }

  const EncodedImage& image_;
  Source source_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace

bool is_png(std::span<const std::byte> bytes) noexcept {
  return bytes.size() >= kSignature && png_sig_cmp(reinterpret_cast<png_const_bytep>(bytes.data()), 0, kSignature) == 0;
}

Pixels decode_png(const EncodedImage& image) { return PngReader(image).read(); }

}  // namespace gpucnn
