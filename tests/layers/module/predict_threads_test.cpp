#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/threads/threads.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/pool/max_pool2d.h>

#include "layers/layers.h"
#include "pretended_bf16.h"

// One model, many threads.
namespace gpucnn {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr int kThreads = 8;

/// Of all that is joined, and more: two convolutions in one pass, one with a stride, an epilogue, a linear layer with dropout.
Sequential network() {
  return Sequential{{"features", Sequential{Conv2d(3, 8, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2),
                                            Conv2d(8, 16, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2),
                                            Conv2d(16, 12, {.kernel_size = 3, .stride = 2, .padding = 1}), ReLU()}},
                    {"classifier", Sequential{Flatten(), Linear(48, 16), ReLU(), Dropout(0.5), Linear(16, 5)}}};
}

/// Runs `work(thread)` on kThreads threads at once.
template <class Work>
void on_threads(const Work& work) {
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) threads.emplace_back([&work, thread] { work(thread); });
  for (std::thread& thread : threads) thread.join();
}

class PredictThreads : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, PredictThreads, devices(), device_name);

TEST_P(PredictThreads, GiveEachTheBitsThatItGetsAlone) {
  constexpr int kSizes = 3;
#ifdef __SANITIZE_THREAD__
  const int predictions = 2'000;  // of each thread enough that all meet
#else
  const int predictions = device() == Device::cpu() ? 20'000 : 64;
#endif
  Sequential model = network();
  model.init(1).to(device());
  std::vector<Tensor> inputs;
  std::vector<std::vector<float>> alone;
  for (unsigned i = 0; i < kSizes; ++i) {
    inputs.push_back(random_tensor({1 + static_cast<std::int64_t>(i), 3, 16, 16}, i));
    alone.push_back(values(model.predict(inputs.back())));
  }
  std::atomic<int> wrong{0}, done{0};
  on_threads([&](int thread) {
    for (int i = thread; i < predictions; i += kThreads, ++done) {
      const auto which = static_cast<std::size_t>(i / kThreads + thread) % kSizes;
      if (values(model.predict(inputs[which])) != alone[which]) ++wrong;
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(done, predictions);
}

TEST_P(PredictThreads, MayAllBeTheFirstInBf16) {
  const PretendedBf16 there;
  const Tensor x = random_tensor({2, 3, 16, 16}, 1);
  Sequential other = network();
  other.to(device()).set_precision(Precision::bf16);
  const std::vector<float> alone = values(other.predict(x));
  for (int round = 0; round < 20; ++round) {
    Sequential model = network();
    model.to(device()).set_precision(Precision::bf16);
    std::atomic<int> wrong{0};
    on_threads([&](int thread) {
      for (int i = 0; i < 4; ++i) {
        // Somebody's pointer, through which nobody writes: values are compared from then on.
        if (thread == 0 && i == 1 && device() == Device::cpu()) model.parameters().front().value().data<float>();
        if (values(model.predict(x)) != alone) ++wrong;
      }
    });
    EXPECT_EQ(wrong, 0);
  }
}

TEST_P(PredictThreads, MayAllBeTheFirstToUseAModel) {
  for (int round = 0; round < 20; ++round) {
    Sequential model = network(), other = network();
    const Tensor x = gpucnn::random_tensor({2, 3, 16, 16}, 1);
    const std::vector<float> alone = values(other.predict(x));
    std::atomic<int> wrong{0};
    on_threads([&](int) {
      if (values(model.predict(x)) != alone) ++wrong;
    });
    EXPECT_EQ(wrong, 0);
  }
}

TEST_P(PredictThreads, MayUseAModelAndItsPartForTheFirstTime) {
  struct Whole : Module {
    Linear part{3, 3};
    Shape output_shape(const Shape& x) const override { return shape_of(part, x); }
    Tensor forward(const Tensor& x, Context& context) const override { return part(x, context); }
    Tensor gradients(const Tensor& dy, Context& context) override { return part.backward(dy, context); }
    void members(Members& m) override { m("part", part); }
  };
  for (int round = 0; round < 50; ++round) {
    Whole whole;
    const Tensor x = gpucnn::random_tensor({1, 3}, 1), wrong = Tensor::zeros({1, 4});
    on_threads([&](int thread) {
      if (thread % 4 == 3) {
        EXPECT_THROW(whole.predict(wrong), std::invalid_argument);
        return;
      }
      try {
        if (thread % 2 == 0) {
          whole.predict(x);
        } else {
          whole.part.predict(x);
        }
      } catch (const std::logic_error&) {  // the one has just taken the other in
      }
    });
    EXPECT_EQ(whole.predict(x).shape(), (Shape{1, 3}));
  }
}

/// Holds whoever passes it until it is opened.
struct Gate : Module {
  std::atomic<bool>* entered;
  std::atomic<bool>* open;
  Gate(std::atomic<bool>& seen, std::atomic<bool>& let) : entered(&seen), open(&let) {}
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context&) const override {
    entered->store(true);
    while (!open->load()) std::this_thread::yield();
    return x;
  }
  Tensor gradients(const Tensor& dy, Context&) override { return dy; }
};

TEST_P(PredictThreads, ATrainingCallBesideAnotherCallThrows) {
  for (const bool trains : {false, true}) {
    SCOPED_TRACE(trains);
    std::atomic<bool> entered{false}, open{false};
    Sequential model{Linear(2, 2), Gate(entered, open)};
    model.to(device());
    const Tensor x = random_tensor({1, 2}, 1);
    std::thread other([&] {
      if (trains) {
        model(x);
      } else {
        model.predict(x);
      }
    });
    while (!entered.load()) std::this_thread::yield();
    const auto beside = ThrowsMessage<std::logic_error>(HasSubstr("another call of the same model is under way"));
    EXPECT_THAT([&] { model(x); }, beside);
    EXPECT_THAT([&] { model.init(1); }, beside);
    EXPECT_THAT([&] { model.load_state_dict(model.state_dict()); }, beside);
    if (trains) {
      EXPECT_THAT([&] { model.predict(x); }, beside);
    }
    open = true;
    other.join();
    EXPECT_NO_THROW(model(x));
    EXPECT_NO_THROW(model.backward(random_tensor({1, 2}, 2)));
    EXPECT_NO_THROW(model.predict(x));
  }
}

TEST_P(PredictThreads, ACallAmidAnotherOfTheSameThreadSaysHowToHandItOn) {
  struct Wrong : Module {
    mutable Linear inner{2, 2};
    Shape output_shape(const Shape& x) const override { return x; }
    Tensor forward(const Tensor& x, Context&) const override { return inner(x); }
    Tensor gradients(const Tensor& dy, Context&) override { return dy; }
    void members(Members& m) override { m("inner", inner); }
  } wrong;
  wrong.to(device());
  EXPECT_THAT([&] { wrong(random_tensor({1, 2}, 1)); }, ThrowsMessage<std::logic_error>(HasSubstr("layer(x, context)")));
}

TEST_P(PredictThreads, AForwardMayPredictWithAPart) {
  struct Teacher : Module {
    Linear inner{2, 2};
    Shape output_shape(const Shape& x) const override { return x; }
    Tensor forward(const Tensor& x, Context& context) const override { return sum(inner(x, context), inner.predict(x)); }
    Tensor gradients(const Tensor& dy, Context& context) override { return inner.backward(dy, context); }
    void members(Members& m) override { m("inner", inner); }
  } teacher;
  teacher.to(device());
  const Tensor x = random_tensor({1, 2}, 1);
  EXPECT_EQ(values(teacher(x)), values(sum(teacher.inner.predict(x), teacher.inner.predict(x))));
}

}  // namespace
}  // namespace gpucnn
