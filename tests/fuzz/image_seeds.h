#pragma once

#include <string>
#include <vector>

#include "data/image/encoded_images.h"

namespace fuzz {

inline std::string text_of(const gpucnn::Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Decodes the bytes whole and resized, to grey and to colours, and reads each pixel. Images are small, so that many are tried.
void decode_every_way(std::string_view bytes);

}  // namespace fuzz
