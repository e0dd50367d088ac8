// Two threads that use one GPU at the same time, each for a network of its own.
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/gpu/graph_capture.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/train/trainer.h>

#include "device_test.h"
#include "layers/layers.h"

namespace gpucnn {
namespace {

/// Where two threads wait for each other; not for ever, because one may have failed.
class Meeting {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    const int round = round_;
    if (++here_ == 2) {
      here_ = 0;
      ++round_;
      met_.notify_all();
      return;
    }
    met_.wait_for(lock, std::chrono::seconds(10), [&] { return round_ != round; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable met_;
  int here_ = 0, round_ = 0;
};

/// A layer that two networks pass at the same time. Replays do not call it.
class Meet : public Module {
 public:
  explicit Meet(std::shared_ptr<Meeting> meeting) : meeting_(std::move(meeting)) {}
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context&) const override {
    ++forwards;
    if (meeting_) meeting_->wait();
    return x;
  }
  Tensor gradients(const Tensor& dy, Context&) override {
    if (meeting_) meeting_->wait();
    return dy;
  }
  mutable int forwards = 0;

 private:
  std::shared_ptr<Meeting> meeting_;
};

struct Outcome {
  std::vector<double> losses;
  std::vector<float> values;
  int forwards;
  bool operator==(const Outcome&) const = default;
};

/// Trains for three epochs of batches of 4, 4 and 2.
Outcome train(Device device, unsigned seed, const std::shared_ptr<Meeting>& meeting) {
  // 33 x 32 channels go to cuDNN; the Linear goes to cuBLASLt.
  Sequential model{Conv2d(33, 32, {.kernel_size = 1}), ReLU(), Flatten(), Meet(meeting), Linear(32, 8), Dropout(0.5), Linear(8, 3)};
  model.init(seed).to(device);
  Adam optimizer(model.parameters(), {.lr = 1e-2});
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 10; ++i) labels.push_back(i % 3);
  DataLoader loader(TensorDataset{random_tensor({10, 33, 1, 1}, seed), Tensor::from(labels, {10})}.to(device),
                    {.batch_size = 4, .shuffle = true});
  Trainer trainer(model, optimizer, loader);
  Outcome outcome;
  for (int epoch = 0; epoch < 3; ++epoch) {
    trainer.start_epoch();
    Metrics seen;
    while (trainer.step()) seen += trainer.take();
    outcome.losses.push_back((seen += trainer.finish()).loss());
  }
  outcome.values = all_values(model);
  outcome.forwards = model.at<Meet>("3").forwards;
  return outcome;
}

class TwoThreadsTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, TwoThreadsTest, testing::Values(Device::cuda()), device_name);

TEST_P(TwoThreadsTest, CaptureAtOnceAndLearnAsEachAlone) {
  const auto meeting = std::make_shared<Meeting>();
  auto other = std::async(std::launch::async, [&] { return train(device(), 2, meeting); });
  const Outcome one = train(device(), 1, meeting), two = other.get();
  EXPECT_EQ(one.forwards, 4) << "for each of two batch sizes one step is run and one captured";
  EXPECT_EQ(one, train(device(), 1, nullptr));
  EXPECT_EQ(two, train(device(), 2, nullptr));
}

TEST_P(TwoThreadsTest, ReplayWhileTheOtherCaptures) {
  // Without meetings: whatever each is at.
  auto other = std::async(std::launch::async, [&] { return train(device(), 2, nullptr); });
  const Outcome one = train(device(), 1, nullptr), two = other.get();
  EXPECT_EQ(one, train(device(), 1, nullptr));
  EXPECT_EQ(two, train(device(), 2, nullptr));
}

TEST_P(TwoThreadsTest, NothingOfAnotherThreadIsCaptured) {
  const Tensor x = Tensor::full({4}, -2, device());
  Tensor captured = Tensor::full({4}, 5, device()), elsewhere = Tensor::full({4}, 5, device());
  std::unique_ptr<gpu::Graph> graph;
  {
    gpu::Capture capture(device(), nullptr);
    kernels::activation(x, {Activation::relu}, captured, stream());
    std::thread([&] {
      Stream own(device());
      kernels::activation(x, {Activation::relu}, elsewhere, own);
      own.synchronize();
    }).join();
    graph = capture.finish();
  }
  EXPECT_THAT(values(elsewhere), testing::Each(0));
  EXPECT_THAT(values(captured), testing::Each(5));
  elsewhere.copy_from(Tensor::full({4}, 7, device()));
  graph->launch();
  EXPECT_THAT(values(captured), testing::Each(0));
  EXPECT_THAT(values(elsewhere), testing::Each(7));
}

TEST_P(TwoThreadsTest, AContextIsMadeWhenNobodyCaptures) {
  // cuDNN's and cuBLASLt's contexts are made at first use, which waits for the whole GPU.
  const Tensor x = Tensor::full({4}, -2, device());
  Tensor captured = Tensor::full({4}, 5, device());
  std::optional<gpu::Capture> capture(std::in_place, device(), nullptr);
  auto other = std::async(std::launch::async, [&] {
    Sequential model{Conv2d(33, 32, {.kernel_size = 1}), Flatten(), Linear(32, 3)};
    model.init(1).to(device());
    return values(model.predict(random_tensor({2, 33, 1, 1}, 1, device())));
  });
  kernels::activation(x, {Activation::relu}, captured, stream());
  other.wait_for(std::chrono::milliseconds(100));
  const std::unique_ptr<gpu::Graph> graph = capture->finish();
  capture.reset();
  EXPECT_EQ(other.get().size(), 6U);
  graph->launch();
  EXPECT_THAT(values(captured), testing::Each(0));
}

}  // namespace
}  // namespace gpucnn
