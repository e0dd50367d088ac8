// The nodes of a captured step: those of SimpleCNN are those that benchmarks/step_nodes.txt lists, of which
// benchmarks/gpu_account.py tells what each costs. On the stand-in only: NVIDIA's libraries queue as many kernels for a call as
// they like.
#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/precision.h>
#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/models/simple_cnn.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/train/trainer.h>

#include "cuda_on_cpu/standins/standin.h"
#include "device_test.h"

namespace gpucnn {
namespace {

/// The nodes of the step that `fit` captures, by the names of their launches: batch as in network_bench.
std::vector<std::string> captured_nodes(Sequential& model, Precision precision, Device device) {
  constexpr std::int64_t kBatch = 4, kImages = 3 * kBatch;  // the first step warms up, the second is captured
  const std::vector<std::uint8_t> pixels(kImages * 3 * 32 * 32, 100);
  const std::vector<std::int32_t> labels(kImages, 1);
  const TensorDataset data(Tensor::from(pixels, {kImages, 3, 32, 32}, device), Tensor::from(labels, {kImages}, device));
  DataLoader loader(
      data, {.batch_size = kBatch, .shuffle = true, .normalize = Normalize{{0.5, 0.5, 0.5}, {0.25, 0.25, 0.25}}, .device = device});
  model.to(device).set_precision(precision);
  Adam optimizer(model.parameters());
  Trainer trainer(model, optimizer, loader);
  trainer.start_epoch();
  while (trainer.step()) {
  }
  trainer.finish();
  std::vector<const char*> names(1000);
  const int count = gpucnn_standin_graph_nodes(names.data(), static_cast<int>(names.size()));
  return {names.begin(), names.begin() + count};
}

/// The lines of the file that begin with the precision, without it.
std::vector<std::string> listed_nodes(const std::string& precision) {
  std::ifstream file("../benchmarks/step_nodes.txt");
  EXPECT_TRUE(file) << "benchmarks/step_nodes.txt is not there";
  std::vector<std::string> nodes;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(precision + ' ')) nodes.push_back(line.substr(precision.size() + 1));
  }
  return nodes;
}

class StepNodes : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Gpu, StepNodes, testing::Values(Device::cuda()), device_name);

TEST_P(StepNodes, AreThoseOfTheAccount) {
  if (!gpucnn_standin_graph_nodes) return;  // a real GPU, where scripts/gpu_check takes a skipped test for a failure
  for (const auto& [precision, name] : {std::pair{Precision::fp32, "fp32"}, {Precision::tf32, "tf32"}, {Precision::bf16, "bf16"}}) {
    SimpleCNN model;
    const std::vector<std::string> nodes = captured_nodes(model, precision, device());
    std::string lines;
    for (const std::string& node : nodes) lines += std::string(name) + ' ' + node + '\n';
    EXPECT_THAT(nodes, testing::ElementsAreArray(listed_nodes(name))) << "the nodes are:\n" << lines;
  }
}

/// The nodes of a convolution and what stands behind it, without those of the convolution and of the layers after that.
std::vector<std::string> nodes_behind_conv(Sequential behind, Precision precision, Device device) {
  Sequential model{Conv2d(3, 4, {.kernel_size = 3, .stride = 4}), std::move(behind), Flatten(), Linear(256, 10)};
  std::vector<std::string> nodes = captured_nodes(model, precision, device);
  std::erase_if(nodes, [](const std::string& node) {
    return node.find("norm") == std::string::npos && !node.starts_with("activation") && node != "add";
  });
  return nodes;
}

TEST_P(StepNodes, OfANormAreSevenWithItsReluOrASum) {
  if (!gpucnn_standin_graph_nodes) return;
  std::vector<std::string> expected{"norm_sums", "norm_statistics", "batch_norm2d_update", "normalize",
                                    "norm_sums", "norm_terms",      "normalize_backward"};
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    EXPECT_EQ(nodes_behind_conv(Sequential{BatchNorm2d(4), ReLU()}, precision, device()), expected);
  }
  expected.emplace_back("add");  // the gradients of both branches
  EXPECT_EQ(nodes_behind_conv(Sequential{{"block", ResidualBlock({BatchNorm2d(4)})}}, Precision::fp32, device()), expected);
}

}  // namespace
}  // namespace gpucnn
