// What is in this picture? Loads a checkpoint, which a trained model would have left, and classifies a buffer of RGB bytes.
#include <cstdio>
#include <string>
#include <vector>

#include <gpucnn/gpucnn.h>

using namespace gpucnn;

const Normalize kNormalize{{0.4914, 0.4822, 0.4465}, {0.2470, 0.2435, 0.2616}};

// rgb: 32 rows of 32 pixels of 3 bytes, as an image file decodes.
std::pair<std::int64_t, float> classify(SimpleCNN& model, const std::vector<std::uint8_t>& rgb) {
  const Tensor logits = model.predict(kNormalize(Tensor::from_nhwc(rgb, {1, 3, 32, 32})));
  const std::int64_t best = argmax(logits).to_vector<std::int64_t>()[0];
  return {best, softmax(logits).to_vector<float>()[static_cast<std::size_t>(best)]};
}

int main() {
  const std::string file = "classify_rgb.safetensors";
  SimpleCNN trained;
  save_safetensors(file, trained.init(/*seed=*/7).state_dict(), {{"model", "SimpleCNN"}});

  SimpleCNN model;
  const auto [state, metadata] = load_safetensors(file);
  model.load_state_dict(state);

  std::vector<std::uint8_t> rgb(32 * 32 * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i % 3 == 0 ? 255 : i / 96);
  const auto [best, probability] = classify(model, rgb);
  std::printf("%s says: class %d, %.1f %%\n", printable(metadata.at("model")).c_str(), static_cast<int>(best), 100 * probability);
  return std::pair(best, probability) == classify(trained, rgb) && probability > 0.1F ? 0 : 1;
}
