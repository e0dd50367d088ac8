// Trains a network with a layer of one's own: on a GPU in captured steps, its kernel among them.
#include <cstdio>
#include <string>

#include "shrink.h"

using namespace gpucnn;

int main() {
  try {
    std::string why;
    const Device device = Device::best(&why);
    std::printf("%s\n", why.c_str());
    Sequential model{Conv2d(3, 16, {.kernel_size = 3, .padding = 1}), Shrink(), MaxPool2d(4), Flatten(), Linear(16 * 8 * 8, 10)};
    model.to(device);
    Adam optimizer(model.parameters());
    const DatasetSplits shapes = make_shapes(/*train_count=*/640, /*test_count=*/10);
    DataLoader loader(shapes.train.to(device), {.batch_size = 32, .shuffle = true});
    Trainer trainer(model, optimizer, loader);
    Metrics first, last;
    for (int epoch = 0; epoch < 5; ++epoch) {
      trainer.start_epoch();
      while (trainer.step()) {
      }
      last = trainer.finish();
      if (epoch == 0) first = last;
      std::printf("Epoch %d: loss %.4f\n", epoch + 1, last.loss());
    }
    return last.loss() < first.loss() ? 0 : 1;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
