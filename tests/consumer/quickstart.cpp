// The smallest program: SimpleCNN learns one batch of random images by heart.
#include <cstdio>

#include <gpucnn/gpucnn.h>

using namespace gpucnn;

int main() {
  SimpleCNN model(/*num_classes=*/10);
  CrossEntropyLoss criterion;
  Adam optimizer(model.parameters(), {.lr = 1e-3});

  const Tensor inputs = Tensor::randn({4, 3, 32, 32}, /*seed=*/1);
  const Tensor labels = Tensor::from(std::vector<std::int32_t>{3, 1, 4, 1}, {4});

  float first = 0, last = 0;
  for (int step = 0; step < 20; ++step) {
    optimizer.zero_grad();
    Tensor outputs = model(inputs);            // [4, 3, 32, 32] -> [4, 10]
    Tensor loss = criterion(outputs, labels);  // a scalar on the device
    model.backward(criterion.backward());
    optimizer.step();
    last = loss.item();
    if (step == 0) first = last;
  }
  std::printf("Loss: %.4f at first, %.4f after 20 steps\n", first, last);
  return last < first / 2 ? 0 : 1;
}
