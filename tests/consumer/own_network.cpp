// A network of one's own: a class that passes its layers to Sequential. It may be moved about while an optimizer works on it.
#include <cstdio>
#include <vector>

#include <gpucnn/gpucnn.h>

using namespace gpucnn;

class TinyNet : public Sequential {
 public:
  explicit TinyNet(int num_classes)
      : Sequential{{"features", Sequential{Conv2d(1, 8, {.kernel_size = 5, .stride = 2}), ReLU(), MaxPool2d(2)}},  // [N, 8, 6, 6]
                   {"classifier", Sequential{Flatten(), Linear(8 * 6 * 6, num_classes)}}} {}  // [N, num_classes]
};

float training_step(TinyNet& model, Optimizer& optimizer, const Tensor& inputs, const Tensor& labels) {
  CrossEntropyLoss criterion;
  optimizer.zero_grad();
  const float loss = criterion(model(inputs), labels).item();
  model.backward(criterion.backward());
  optimizer.step();
  return loss;
}

int main() {
  const Tensor inputs = Tensor::randn({6, 1, 28, 28}, /*seed=*/1);
  const Tensor labels = Tensor::from(std::vector<std::int32_t>{0, 1, 2, 0, 1, 2}, {6});

  TinyNet built(/*num_classes=*/3);
  Adam optimizer(built.parameters(), {.lr = 1e-2});
  const float first = training_step(built, optimizer, inputs, labels);

  std::vector<TinyNet> models;
  models.push_back(std::move(built));  // the optimizer follows
  float last = first;
  for (int step = 0; step < 20; ++step) last = training_step(models[0], optimizer, inputs, labels);
  std::printf("%sLoss: %.4f at first, %.4f after the move\n", models[0].summary({6, 1, 28, 28}).c_str(), first, last);
  return last < first / 2 ? 0 : 1;
}
