#pragma once

#include <cstdint>
#include <vector>

#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/optim/adam.h>

#include "device_test.h"
#include "layers/layers.h"

/// What the tests of Trainer train.
namespace gpucnn {

/// `size` images of random bytes with labels 0, 1, 2, 0, …
inline TensorDataset bytes(std::int64_t size, const Shape& image, Device device) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  for (const float value : reference::random_floats(size * image.with(0, 1).numel(), 1)) {
    pixels.push_back(static_cast<std::uint8_t>((value + 1) * 127));
  }
  for (std::int64_t n = 0; n < size; ++n) labels.push_back(static_cast<std::int32_t>(n % 3));
  return TensorDataset(Tensor::from(pixels, image.with(0, size)), Tensor::from(labels, {size})).to(device);
}

inline Sequential small_model() { return Sequential{Flatten(), Linear(12, 8), Dropout(0.5), Linear(8, 3)}; }

/// A model, its optimizer and the batches it learns from: 25 images, so that an epoch is 10, 10 and 5.
struct Training {
  explicit Training(Device device, double lr = 1e-2)
      : optimizer((model.init(3).to(device), model.parameters()), {.lr = lr}),
        loader(bytes(25, {0, 3, 2, 2}, device), {.batch_size = 10,
                                                 .shuffle = true,
                                                 .seed = 5,
                                                 .normalize = Normalize{{0.5, 0.4, 0.3}, {0.2, 0.3, 0.25}},
                                                 .crop_padding = 1,
                                                 .flip = true}) {}
  Sequential model = small_model();
  Adam optimizer;
  DataLoader loader;
};

class TrainerTest : public DeviceTest {};

}  // namespace gpucnn
