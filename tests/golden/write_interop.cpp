// write_interop DIR: SimpleCNN's weights after a few steps, and what they make of some images, for check_interop.py.
#include <gpucnn/gpucnn.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <vector>

using namespace gpucnn;

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_interop DIR\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  SimpleCNN model;
  CrossEntropyLoss criterion;
  Adam optimizer(model.parameters());
  const Tensor inputs = Tensor::randn({8, 3, 32, 32}, /*seed=*/1);
  const Tensor labels = Tensor::from(std::vector{0, 1, 2, 3, 4, 5, 6, 7}, {8});
  for (int step = 0; step < 5; ++step) {
    optimizer.zero_grad();
    criterion(model(inputs), labels);
    model.backward(criterion.backward());
    optimizer.step();
  }
  StateDict example;
  example.add("inputs", inputs);
  example.add("logits", model.predict(inputs));
  save_safetensors(folder / "weights.safetensors", model.state_dict());
  save_safetensors(folder / "example.safetensors", example);
} catch (const std::exception& error) {
  std::fprintf(stderr, "write_interop: %s\n", error.what());
  return 1;
}
