#include <gpucnn/data/files/idx.h>

#include <gpucnn/data/files/idx_file.h>

namespace gpucnn {

Tensor read_idx(const std::filesystem::path& file) {
  IdxFile idx(file);
  return idx.read(idx.shape()[0]);
}

}  // namespace gpucnn
