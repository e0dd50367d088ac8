// onnx_networks check DIR: imports the ONNX files that torch_onnx.py wrote, and holds what they predict to PyTorch's outputs.
// onnx_networks write DIR: ONNX files of every layer, of models and of drawn networks, each with an input and what it becomes here,
// for check_onnx.py. A name that ends in ".folded" has its norms folded.
#include <gpucnn/gpucnn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "layers/exported_layers.h"
#include "train/drawn_network.h"

using namespace gpucnn;

namespace {

void write(const std::filesystem::path& folder, const std::string& name, const Module& model, const Tensor& x) {
  StateDict example;
  example.add("input", x);
  example.add("output", model.predict(x));
  for (const bool fold : {false, true}) {
    const std::string file = name + (fold ? ".folded" : "");
    export_onnx(model, x.shape(), folder / (file + ".onnx"), {.fold_batch_norm = fold, .metadata = {{"class_names", "cat,dog"}}});
    save_safetensors(folder / (file + ".safetensors"), example);
  }
}

/// A model of make_model after some steps of training.
void write_model(const std::filesystem::path& folder, const std::string& name, std::int64_t side) {
  const Shape image{3, side, side};
  const auto model = make_model(name, image, 10);
  model->init(/*seed=*/0);
  CrossEntropyLoss criterion;
  Adam optimizer(model->parameters());
  const Tensor inputs = Tensor::randn({4, 3, side, side}, /*seed=*/1);
  const Tensor labels = Tensor::from(std::vector{0, 1, 2, 3}, {4});
  for (int step = 0; step < 3; ++step) {
    optimizer.zero_grad();
    criterion((*model)(inputs), labels);
    model->backward(criterion.backward());
    optimizer.step();
  }
  write(folder, name, *model, inputs);
}

void write_all(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  for (auto& [name, layer] : exported_layers()) {
    draw_values(*layer);
    write(folder, name, *layer, Tensor::from(reference::random_floats(kExportedX.numel(), 3), kExportedX));
  }
  for (const char* name : {"lenet5", "resnet18", "resnet20", "resnet9", "simple_cnn"}) write_model(folder, name, 32);
  write_model(folder, "resnet50", 65);
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const DrawnNetwork network(seed);
    const std::vector<float> x = reference::random_floats(network.x.numel(), static_cast<unsigned>(seed));
    write(folder, "drawn" + std::to_string(seed), *network.model, Tensor::from(x, network.x));
  }
}

/// What differs, as a part of the largest output; throws for a file that cannot be imported.
double gap_of(const std::filesystem::path& file) {
  const StateDict example = load_safetensors(std::filesystem::path(file).replace_extension(".safetensors")).first;
  const ImportedOnnx read = import_onnx(file);
  const std::vector<float> ours = read.model->predict(example.at("input")).to_vector<float>();
  const std::vector<float> theirs = example.at("output").to_vector<float>();
  if (ours.size() != theirs.size()) throw std::runtime_error("the output has another shape");
  double largest = 0, gap = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    largest = std::max(largest, std::abs(double{theirs[i]}));
    gap = std::max(gap, std::abs(double{ours[i]} - double{theirs[i]}));
  }
  return gap / largest;
}

int check_all(const std::filesystem::path& folder) {
  constexpr double kTolerance = 1e-5;  // of the largest output
  int files = 0, failed = 0;
  double largest = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".onnx") continue;
    ++files;
    try {
      const double gap = gap_of(entry.path());
      largest = std::max(largest, gap);
      if (gap <= kTolerance) continue;
      std::printf("%s: the outputs differ by %.1e of the largest one\n", entry.path().filename().c_str(), gap);
    } catch (const std::exception& error) {
      std::printf("%s\n", error.what());
    }
    ++failed;
  }
  std::printf("%d of %d files agree; the largest difference is %.1e of the largest output\n", files - failed, files, largest);
  return failed == 0 && files > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string verb = argc == 3 ? argv[1] : "";
  if (verb == "check") return check_all(argv[2]);
  if (verb != "write") {
    std::fprintf(stderr, "usage: onnx_networks write|check DIR\n");
    return 2;
  }
  write_all(argv[2]);
} catch (const std::exception& error) {
  std::fprintf(stderr, "onnx_networks: %s\n", error.what());
  return 1;
}
