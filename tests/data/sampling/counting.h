#pragma once

#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/tensor_dataset.h>

namespace gpucnn {

/// `size` examples: a pixel of `first` + i with that label.
inline TensorDataset counting(std::int64_t size, Device device = {}, std::int32_t first = 0) {
  std::vector<float> pixels(static_cast<std::size_t>(size));
  std::iota(pixels.begin(), pixels.end(), static_cast<float>(first));
  std::vector<std::int32_t> labels(static_cast<std::size_t>(size));
  std::iota(labels.begin(), labels.end(), first);
  return {Tensor::from(pixels, {size, 1, 1, 1}, device), Tensor::from(labels, {size}, device)};
}

/// The labels of one epoch in their order. Each image has its label's pixel.
inline std::vector<std::int32_t> labels_of_epoch(DataLoader& loader) {
  std::vector<std::int32_t> seen;
  for (auto [inputs, labels] : loader) {
    const std::vector<std::int32_t> some = labels.to_vector<std::int32_t>();
    const std::vector<float> pixels = inputs.to_vector<float>();
    EXPECT_EQ(std::vector<std::int32_t>(pixels.begin(), pixels.end()), some) << "images and labels went different ways";
    seen.insert(seen.end(), some.begin(), some.end());
  }
  return seen;
}

}  // namespace gpucnn
