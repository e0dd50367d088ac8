#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <gpucnn/io/export_onnx.h>
#include <gpucnn/io/import_onnx.h>

#include "fuzz_target.h"
#include "layers/exported_layers.h"
#include "memory_file.h"

namespace fs = std::filesystem;
using namespace gpucnn;

namespace {

/// What `export_onnx` writes of a network.
std::string exported(const Module& model, const Shape& x) {
  std::string folder = (fs::temp_directory_path() / "fuzz-onnx-XXXXXX").string();
  if (!mkdtemp(folder.data())) throw std::runtime_error("there is no folder for temporary files");
  const fs::path file = fs::path(folder) / "seed.onnx";
  export_onnx(model, x, file, {.metadata = {{"class_names", "cat,dog"}}});
  std::ifstream stream(file, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  fs::remove_all(folder);
  return bytes;
}

/// The recorded files of PyTorch's exporters.
void add_recorded(std::vector<std::string>& all) {
  for (const auto& entry : fs::directory_iterator(GPUCNN_ONNX_CORPUS)) {
    if (entry.path().extension() != ".onnx") continue;
    std::ifstream stream(entry.path(), std::ios::binary);
    all.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
}

}  // namespace

std::vector<std::string> fuzz::seeds() {
  std::vector<std::string> all;
  for (const auto& [name, layer] : exported_layers()) all.push_back(exported(*layer, kExportedX));
  all.push_back(exported(
      Sequential{Conv2d(1, 2, {.kernel_size = 1}), BatchNorm2d(2), ReLU(), MaxPool2d(2), Flatten(), Linear(2, 2)}, {1, 1, 2, 2}));
  add_recorded(all);
  return all;
}

void fuzz::run(std::string_view bytes) {
  static MemoryFile file;
  file.set(bytes);
  const ImportedOnnx read = import_onnx(file.path());
  if (read.input[0] != 1 || read.model->output_shape(read.input.with(0, 2)).rank() < 1) std::abort();
}
