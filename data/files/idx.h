#pragma once

#include <filesystem>

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// The numbers of an IDX file of unsigned bytes (the format of MNIST: LeCun, Cortes and Burges, "The MNIST database of handwritten
/// digits", 1998) as u8 of the file's extents, 1 to `Shape::kMaxRank` of them. A file packed by gzip is unpacked, whatever its
/// name. Throws `DataError` for a file that is no such, ends early, or holds more than it says. Memory is taken for no more than
/// the file can hold.
GPUCNN_API Tensor read_idx(const std::filesystem::path& file);

}  // namespace gpucnn
