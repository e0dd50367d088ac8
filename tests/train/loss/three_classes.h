#pragma once

#include <cstdint>
#include <vector>

#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/tensor_dataset.h>

/// What the tests of losses in a training learn from.
namespace gpucnn {

/// 20 images of 2 x 2 pixels with 3 classes, in batches of 5.
inline DataLoader loader_on(Device device) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 20; ++i) {
    for (int pixel = 0; pixel < 4; ++pixel) pixels.push_back(static_cast<std::uint8_t>(13 * i + 50 * pixel));
    labels.push_back(i % 3);
  }
  return DataLoader(TensorDataset(Tensor::from(pixels, {20, 1, 2, 2}), Tensor::from(labels, {20})).to(device), {.batch_size = 5});
}

}  // namespace gpucnn
