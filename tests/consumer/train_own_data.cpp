// Training on data of one's own: two tensors, and a loader that shuffles them into batches.
#include <cstdio>
#include <vector>

#include <gpucnn/gpucnn.h>

using namespace gpucnn;
// 8x8 grey images, brighter above (class 0) or below (class 1).
TensorDataset make_dataset(std::size_t count, std::uint64_t seed) {
  std::vector<float> pixels = Tensor::randn({count, 1, 8, 8}, seed).to_vector<float>();
  std::vector<std::int32_t> labels(count);
  for (std::size_t n = 0; n < count; ++n) {
    labels[n] = static_cast<std::int32_t>(n % 2);
    for (std::size_t p = 0; p < 32; ++p) pixels[64 * n + 32 * (n % 2) + p] += 1.0F;
  }
  return {Tensor::from(pixels, {count, 1, 8, 8}), Tensor::from(labels, {count})};
}

int main() {
  Sequential model{Conv2d(1, 8, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2), Flatten(), Linear(128, 2)};
  CrossEntropyLoss criterion;
  SGD optimizer(model.parameters(), {.lr = 0.05, .momentum = 0.9});

  DataLoader loader(make_dataset(500, /*seed=*/1), {.batch_size = 32, .shuffle = true, .seed = 7});
  for (int epoch = 0; epoch < 3; ++epoch) {
    for (auto [inputs, labels] : loader) {
      optimizer.zero_grad();
      criterion(model(inputs), labels);
      model.backward(criterion.backward());
      optimizer.step();
    }
  }
  const TensorDataset test = make_dataset(200, /*seed=*/2);
  const auto answers = argmax(model.predict(test.images())).to_vector<std::int64_t>();
  int right = 0;
  for (std::size_t n = 0; n < answers.size(); ++n) right += answers[n] == static_cast<std::int64_t>(n % 2);
  std::printf("%d of 200 right\n", right);
  return right > 190 ? 0 : 1;
}
