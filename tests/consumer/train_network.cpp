// A network in a list of layers, trained on drawn shapes, which need no download.
#include <cstdio>

#include <gpucnn/gpucnn.h>

using namespace gpucnn;

int main() {
  Sequential network{Conv2d(3, 16, {.kernel_size = 3, .padding = 1}),
                     ReLU(),
                     MaxPool2d(2),  // [N, 3, 32, 32] -> [N, 16, 16, 16]
                     Conv2d(16, 32, {.kernel_size = 3, .padding = 1}),
                     ReLU(),
                     MaxPool2d(2),  // [N, 32, 8, 8]
                     Flatten(),
                     Linear(32 * 8 * 8, 10)};  // [N, 10]
  const DatasetSplits shapes = make_shapes();
  DataLoader train(shapes.train, {.batch_size = 64, .shuffle = true}), test(shapes.test, {.batch_size = 128});
  Adam optimizer(network.parameters(), {.lr = 1e-3});
  const FitResult result = fit(network, optimizer, train, test, {.epochs = 8});
  save_safetensors("network.safetensors", network.state_dict());
  const double accuracy = result.epochs.back().test.accuracy();
  std::printf("%.1f %% right\n", 100 * accuracy);
  return accuracy > 0.8 ? 0 : 1;
}
