// A recipe: label smoothing, class weights, AdamW without decay of biases and norms, one cycle, clipping, an averaged model.
#include <cstdio>
#include <vector>

#include <gpucnn/gpucnn.h>

using namespace gpucnn;
// Noisy 8x8 grey images, brighter above (class 0) or below (class 1), which is rarer.
TensorDataset make_dataset(std::size_t count, std::uint64_t seed) {
  std::vector<float> pixels = Tensor::randn({count, 1, 8, 8}, seed).to_vector<float>();
  std::vector<std::int32_t> labels(count);
  for (std::size_t n = 0; n < count; ++n) {
    labels[n] = n % 4 == 0 ? 1 : 0;
    for (std::size_t p = 0; p < 32; ++p) pixels[64 * n + (n % 4 == 0 ? 32 : 0) + p] += 0.75F;
  }
  return {Tensor::from(pixels, {count, 1, 8, 8}), Tensor::from(labels, {count})};
}

int main() {
  Sequential model{Conv2d(1, 8, {.kernel_size = 3, .padding = 1, .bias = false}),
                   BatchNorm2d(8),
                   ReLU(),
                   AdaptiveAvgPool2d(2),
                   Flatten(),
                   Linear(32, 2)};
  DataLoader train(make_dataset(500, /*seed=*/1), {.batch_size = 32, .shuffle = true}), test(make_dataset(200, /*seed=*/2), {});
  CrossEntropyLoss criterion({.weight = Tensor::from(std::vector<float>{1, 3}, {2}), .label_smoothing = 0.1});
  AdamW optimizer(no_decay_on_biases_and_norms(model.parameters(), AdamWOptions{.weight_decay = 0.05}));
  OneCycleLR schedule(optimizer, {.max_lr = 0.02, .epochs = 5, .steps_per_epoch = train.size()});
  ExponentialMovingAverage average(model, {.decay = 0.9});

  const FitOptions options{
      .epochs = 5, .scheduler = &schedule, .schedule_every = Every::step, .step = {.clip_grad_norm = 1.0, .ema = &average}};
  const EpochResult last = fit(model, optimizer, criterion, train, test, options).epochs.back();
  average.copy_to(model);  // for good: `last` has judged the averages
  std::printf("%.1f %% right\n", 100 * last.test.accuracy());
  return last.test.accuracy() > 0.95 && average.n_averaged() == schedule.steps() ? 0 : 1;
}
