// What one process does on two GPUs in turn. Skipped where there are not two.
#include <gtest/gtest.h>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/error.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/train/trainer.h>

#include "layers/layers.h"

namespace gpucnn {
namespace {

struct Training {
  explicit Training(Device device)
      : optimizer((model.init(1).to(device), model.parameters())),
        loader(TensorDataset{random_tensor({20, 3, 2, 2}, 1), Tensor::zeros({20}, DType::i32)}.to(device), {.batch_size = 8}),
        trainer(model, optimizer, loader) {}
  Sequential model{Flatten(), Linear(12, 8), Linear(8, 3)};
  Adam optimizer;
  DataLoader loader;
  Trainer trainer;
};

TEST(SeveralGpus, TrainInTurn) {
  if (!backend::cuda_usable(1, nullptr)) GTEST_SKIP() << "there are not two GPUs";
  Training first(Device::cuda(0)), second(Device::cuda(1));
  std::vector<Tensor> elsewhere;
  for (int epoch = 0; epoch < 3; ++epoch) {
    first.trainer.start_epoch();
    second.trainer.start_epoch();
    // New memory of the other GPU between two steps on one, which must not lead the second astray.
    const auto step_twice = [&](Trainer& trainer, Device other) {
      bool more = trainer.step();
      elsewhere.push_back(Tensor::empty({1000 * (1 + static_cast<int>(elsewhere.size()))}, DType::f32, other));
      more = trainer.step() && more;
      return more;
    };
    while (step_twice(first.trainer, Device::cuda(1)) && step_twice(second.trainer, Device::cuda(0))) {
    }
    while (second.trainer.step()) {
    }
    first.trainer.finish();
    second.trainer.finish();
  }
  EXPECT_EQ(all_values(first.model), all_values(second.model));
  second.model.to(Device::cuda(0));
  EXPECT_EQ(all_values(first.model), all_values(second.model));
}

TEST(SeveralGpus, CopyBetweenThem) {
  if (!backend::cuda_usable(1, nullptr)) GTEST_SKIP() << "there are not two GPUs";
  const Tensor values = random_tensor({1000}, 1);
  EXPECT_EQ(gpucnn::values(values.to(Device::cuda(0)).to(Device::cuda(1)).to(Device::cuda(0))), gpucnn::values(values));
}

}  // namespace
}  // namespace gpucnn
