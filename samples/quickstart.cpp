#include <gpucnn/gpucnn.h>

#include <cstdio>
#include <vector>

using namespace gpucnn;

int main() {
  SimpleCNN model(/*num_classes=*/10);
  std::printf("%s", model.summary({4, 3, 32, 32}).c_str());

  Tensor inputs = Tensor::randn({4, 3, 32, 32}, /*seed=*/0);
  Tensor labels = Tensor::from(std::vector{3, 8, 1, 6}, {4});

  Tensor outputs = model(inputs);  // [4, 3, 32, 32] -> [4, 10]
  std::printf("Output shape: %s\n", outputs.shape().string().c_str());

  CrossEntropyLoss criterion;
  Adam optimizer(model.parameters(), {.lr = 1e-3});

  optimizer.zero_grad();
  Tensor loss = criterion(outputs, labels);  // a scalar
  model.backward(criterion.backward());
  optimizer.step();
  std::printf("Training step loss: %.4f\n", static_cast<double>(loss.item()));
}
