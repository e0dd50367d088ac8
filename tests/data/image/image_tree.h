#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "data/image/encoded_images.h"

namespace gpucnn {

/// A folder of files for a test, gone with it.
class ImageTree {
 public:
  ImageTree() {
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
  }
  ~ImageTree() { std::filesystem::remove_all(dir_); }
  ImageTree(const ImageTree&) = delete;
  ImageTree& operator=(const ImageTree&) = delete;

  const std::filesystem::path& dir() const { return dir_; }

  /// Writes a file and the folders above it.
  void write(const std::string& name, const Bytes& bytes) const {
    std::filesystem::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }

  /// A grey image of 4x4 pixels.
  void write_grey(const std::string& name, std::uint8_t grey) const { write(name, plain_png(4, 4, grey, grey, grey)); }

 private:
  std::filesystem::path dir_ = std::filesystem::temp_directory_path() / ("gpucnn_image_tree_" + std::to_string(getpid()));
};

}  // namespace gpucnn
