#include <turbojpeg.h>

#include <numeric>
#include <stdexcept>

#include "fuzz_target.h"
#include "image_seeds.h"

namespace {

std::string jpeg(int width, int height, int format, int sampling, int flags) {
  std::vector<unsigned char> rows(static_cast<std::size_t>(width * height * tjPixelSize[format]));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<unsigned char>(i * i >> 3);
  const tjhandle handle = tjInitCompress();
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  if (tjCompress2(handle, rows.data(), width, 0, height, format, &memory, &size, sampling, 60, flags) != 0) {
    throw std::logic_error(tjGetErrorStr2(handle));
  }
  std::string bytes(reinterpret_cast<const char*>(memory), size);
  tjFree(memory);
  tjDestroy(handle);
  return bytes;
}

}  // namespace

std::vector<std::string> fuzz::seeds() {
  std::vector<std::string> all;
  for (const int flags : {0, TJFLAG_PROGRESSIVE}) {
    for (const int sampling : {TJSAMP_444, TJSAMP_422, TJSAMP_420, TJSAMP_411, TJSAMP_440}) {
      all.push_back(jpeg(17, 9, TJPF_RGB, sampling, flags));
    }
    all.push_back(jpeg(17, 9, TJPF_GRAY, TJSAMP_GRAY, flags));
    all.push_back(jpeg(17, 9, TJPF_CMYK, TJSAMP_444, flags));
    all.push_back(jpeg(64, 48, TJPF_RGB, TJSAMP_420, flags));
  }
  const gpucnn::Bytes plain = gpucnn::plain_jpeg(8, 16, 1, 2, 3);
  for (const char* exif : {"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0",
                           "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0"}) {
    all.push_back(text_of(gpucnn::with_segment(plain, 0xE1, std::string_view(exif, 28))));
  }
  all.push_back(text_of(gpucnn::with_jpeg_size(plain, 0, 0)));
  all.push_back(text_of(gpucnn::with_jpeg_size(plain, 64, 64)));
  return all;
}

void fuzz::run(std::string_view bytes) { decode_every_way(bytes); }
