#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <gpucnn/core/tensor.h>
#include <gpucnn/data/files/unpacked_file.h>

namespace gpucnn {

/// An IDX file of unsigned bytes whose head was read and fits the file. All calls throw `DataError`.
class IdxFile {
 public:
  explicit IdxFile(const std::filesystem::path& path);

  const Shape& shape() const noexcept { return shape_; }
  /// Throws unless the file has so many dimensions; `meaning` says what they are.
  void require_rank(int rank, const std::string& meaning) const;

  /// The first `count` slices of dimension 0, once. The rest is looked through, so that damage there is found too.
  Tensor read(std::int64_t count);

  /// At the file's extent number `dim`.
  [[noreturn]] void fail_extent(int dim, const std::string& expected, const std::string& found) const;
  /// At element `index`.
  [[noreturn]] void fail_element(std::int64_t index, const std::string& expected, const std::string& found) const;

 private:
  UnpackedFile file_;
  Shape shape_;
};

}  // namespace gpucnn
