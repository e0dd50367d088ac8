#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/gpucnn.h>

#include "everywhere.h"
#include "float_environments.h"
#include "layers/layers.h"

// What the library promises to a caller whose floating-point environment is not the default one: the results that it would get
// there, with any number of threads, nothing that stops the program, and its own environment back.
namespace gpucnn {
namespace {

void append(std::vector<float>& to, const Tensor& tensor) {
  for (const float value : values(tensor)) to.push_back(value);
}

/// Some operations of each kind, at odd sizes: what a caller would see of them.
std::vector<float> results() {
  std::vector<float> all;
  const Tensor images = Tensor::randn({5, 3, 9, 7}, 1);
  append(all, images);

  // Convolutions of every kind, what is joined, and what is not.
  Sequential net{Conv2d(3, 5, {.kernel_size = 3, .stride = 2, .padding = 2}),
                 ReLU(),
                 MaxPool2d(3, 2, 1),
                 Dropout(0.3),
                 Flatten(),
                 Linear(45, 7)};
  net.init(3);
  net.set_input_grad(true);
  SGD sgd(net.parameters(), {.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-3, .nesterov = true});
  CrossEntropyLoss criterion;
  const Tensor labels = Tensor::from(std::vector{0, 6, 3, 2, 1}, {5});
  for (int step = 0; step < 2; ++step) {
    sgd.zero_grad();
    append(all, criterion(net(images), labels));
    append(all, net.backward(criterion.backward()));
    sgd.step();
  }
  append(all, softmax(net.predict(images)));
  for (const float value : all_values(net)) all.push_back(value);

  SimpleCNN model;
  model.init(1);
  Adam adam(model.parameters(), {.lr = 1e-3, .weight_decay = 1e-4});
  DatasetSplits shapes = make_shapes(11, 3, 4);
  const Normalize normalize{{0.5, 0.4, 0.3}, {0.2, 0.3, 0.25}};
  DataLoader train(shapes.train, {.batch_size = 4, .shuffle = true, .normalize = normalize, .crop_padding = 4, .flip = true});
  DataLoader test(shapes.test, {.batch_size = 2, .normalize = normalize});
  const FitResult fitted = fit(model, adam, train, test, {.epochs = 1});
  for (const float value : all_values(model)) all.push_back(value);
  const Metrics &learned = fitted.epochs.back().train, &judged = fitted.epochs.back().test;
  for (const double value : {learned.loss(), learned.accuracy(), judged.loss(), judged.accuracy()}) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    for (int part = 0; part < 4; ++part) all.push_back(static_cast<float>(bits >> 16 * part & 0xFFFF));
  }
  for (const Batch& batch : train) append(all, batch.inputs);
  return all;
}

TEST(CallersFloatEnvironment, ChangesNoResultForAnyNumberOfThreads) {
  const std::vector<float> expected = results();
  for (const int threads : {1, 2, 5}) {
    for (const CallersEnvironment& environment : callers_environments()) {
      SCOPED_TRACE(testing::Message() << environment.name << ", threads: " << threads);
      const ForcedThreads none(1);  // so that the threads are made by a caller that has this environment
      const ForcedThreads forced(threads);
      std::vector<float> given;
      {
        const ForcedFloatEnvironment callers(environment);
        given = results();
      }
      ASSERT_EQ(given.size(), expected.size());
      EXPECT_EQ(std::memcmp(given.data(), expected.data(), expected.size() * sizeof(float)), 0);
    }
  }
}

TEST(CallersFloatEnvironment, IsBackWhenAnOperationThrows) {
  for (const int threads : {1, 5}) {
    const ForcedThreads forced(threads);
    Linear linear(3, 2);
    const Tensor logits = Tensor::full({300, 100}, 0.3F);
    Tensor labels = Tensor::zeros({300}, DType::i32);
    labels.data<std::int32_t>()[170] = 100;
    for (const CallersEnvironment& environment : callers_environments()) {
      SCOPED_TRACE(testing::Message() << environment.name << ", threads: " << threads);
      const ForcedFloatEnvironment callers(environment);
      EXPECT_THROW(CrossEntropyLoss()(logits, labels), std::invalid_argument);
      EXPECT_THROW(linear(logits), std::invalid_argument);
    }
  }
}

#if defined(__GLIBC__)

/// Finite, of either sign, with the largest, the smallest and no magnitudes among them.
Tensor finite_numbers(const Shape& shape, unsigned seed) {
  std::vector<float> all = reference::random_floats(shape.numel(), seed);
  const float extremes[] = {0, -0.0F, 1e-45F, -1e-40F, 3e38F, -3e38F};
  for (std::size_t i = 0; i < all.size(); i += 7) all[i] = extremes[(i / 7 + seed) % 6];
  return Tensor::from(all, shape);
}

/// Forward, backward and an update of a net, with inputs of ordinary size and of every finite one.
void run_all(Sequential net, const Shape& x, double eps) {
  net.init(2);
  net.set_input_grad(true);
  Adam adam(net.parameters(), {.eps = eps});
  SGD sgd(net.parameters(), {.lr = 0.1, .momentum = 0.9});
  for (unsigned step = 0; step < 4; ++step) {
    const Tensor input = step < 2 ? random_tensor(x, step) : finite_numbers(x, step);
    const Tensor y = net(input);
    net.backward(step % 2 ? random_tensor(y.shape(), step) : finite_numbers(y.shape(), step));
    step % 2 ? adam.step() : sgd.step();
    net.predict(input);
  }
}

void run_everything(int size) {
  const Shape image{2, size, 9, 8};
  run_all(Sequential{Conv2d(size, 3, {.kernel_size = 1, .padding = 1}), ReLU()}, image, 1e-8);
  run_all(Sequential{Conv2d(size, 5, {.kernel_size = 3, .stride = 2, .padding = 2}), ReLU(), MaxPool2d(3)}, image, 0);
  run_all(Sequential{Conv2d(size, size, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2), Flatten(), Dropout(0.5)}, image,
          1);
  run_all(Sequential{Conv2d(size, size, {.kernel_size = 3, .groups = size}), Flatten()}, image, 1e-30);
  run_all(Sequential{Linear(size, size), ReLU(), Dropout(1.0), Linear(size, 3)}, {size, size}, 1e-8);

  // The kind first: rows of equal logits, and rows that are far apart.
  for (const Tensor& logits : {Tensor::zeros({3, size}), random_tensor({3, size}, 1), finite_numbers({3, size}, 5)}) {
    softmax(logits);
    argmax(logits);
    CrossEntropyLoss criterion;
    criterion(logits, Tensor::from(std::vector{0, size - 1, size / 2}, {3}));
    criterion.backward();
  }
  Tensor::randn({size, size}, 1);
  DataLoader loader(make_shapes(size, 1).train, {.batch_size = 5,
                                                 .shuffle = true,
                                                 .normalize = Normalize{{0.5, 0.5, 0.5}, {1e-30, 1, 3e38}},
                                                 .crop_padding = 2,
                                                 .flip = true});
  Metrics seen;
  for (const Batch& batch : loader) seen += Metrics{.loss_sum = 1, .correct = 1, .images = batch.labels.numel()};
  seen.accuracy();
}

TEST(CallersFloatEnvironment, MayTrapWhatFiniteDataMustNotRaise) {
  const CallersEnvironment trapping{.name = "trapping", .traps = true};
  for (const int threads : {1, 3}) {
    const ForcedThreads forced_threads(threads);
    for (const std::int64_t target : ForcedInstructionSet::all()) {
      const ForcedInstructionSet forced_set(target);
      for (const int size : {1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33}) {
        SCOPED_TRACE(testing::Message() << hwy::TargetName(target) << ", size " << size << ", threads: " << threads);
        const ForcedFloatEnvironment callers(trapping);
        run_everything(size);
      }
    }
  }
}

TEST(CallersFloatEnvironment, MayTrapWhatIsWrongInArguments) {
  const DatasetSplits shapes = make_shapes(2, 1);
  const ForcedFloatEnvironment callers({.name = "trapping", .traps = true});
  EXPECT_THROW(DataLoader(shapes.train, {.normalize = Normalize{{0.5, 0.5, 0.5}, {1, 1, 1e300}}}), std::invalid_argument);
}

#endif

}  // namespace
}  // namespace gpucnn
