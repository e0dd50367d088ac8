// interop write DIR MODEL: the weights of a model after a few steps, and what they make of some images, for interop.py to check.
// interop check DIR MODEL: the other way round.
#include <gpucnn/gpucnn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

using namespace gpucnn;

namespace {

constexpr double kTolerance = 1e-5;  // of the largest logit

/// SimpleCNN for its own images; others for images so large that ResNets begin as torchvision's do.
Shape image_of(const std::string& model) { return model == "simple_cnn" ? Shape{3, 32, 32} : Shape{3, 96, 96}; }

void write(const std::filesystem::path& folder, const std::string& name) {
  std::filesystem::create_directories(folder);
  const Shape image = image_of(name);
  const auto model = make_model(name, image, 10);
  model->init(/*seed=*/0);
  CrossEntropyLoss criterion;
  Adam optimizer(model->parameters());
  const Tensor inputs = Tensor::randn({8, image[0], image[1], image[2]}, /*seed=*/1);
  const Tensor labels = Tensor::from(std::vector{0, 1, 2, 3, 4, 5, 6, 7}, {8});
  for (int step = 0; step < 5; ++step) {
    optimizer.zero_grad();
    criterion((*model)(inputs), labels);
    model->backward(criterion.backward());
    optimizer.step();
  }
  StateDict example;
  example.add("inputs", inputs);
  example.add("logits", model->predict(inputs));
  save_safetensors(folder / "weights.safetensors", model->state_dict());
  save_safetensors(folder / "example.safetensors", example);
}

void check(const std::filesystem::path& folder, const std::string& name) {
  const auto model = make_model(name, image_of(name), 10);
  model->load_state_dict(load_safetensors(folder / "weights.safetensors").first);
  const StateDict example = load_safetensors(folder / "example.safetensors").first;
  const std::vector<float> ours = model->predict(example.at("inputs")).to_vector<float>();
  const std::vector<float> theirs = example.at("logits").to_vector<float>();
  if (ours.size() != theirs.size()) throw std::runtime_error("the logits have another shape");
  double largest = 0, gap = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    largest = std::max(largest, std::abs(double{theirs[i]}));
    gap = std::max(gap, std::abs(double{ours[i]} - double{theirs[i]}));
  }
  std::printf("%s: the logits differ by %.1e of the largest one\n", folder.c_str(), gap / largest);
  if (!(gap <= kTolerance * largest)) throw std::runtime_error("that is too much: the weights do not mean the same here and there");
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string verb = argc == 4 ? argv[1] : "";
  if (verb == "write") {
    write(argv[2], argv[3]);
  } else if (verb == "check") {
    check(argv[2], argv[3]);
  } else {
    std::fprintf(stderr, "usage: interop write|check DIR MODEL\n");
    return 2;
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "interop: %s\n", error.what());
  return 1;
}
