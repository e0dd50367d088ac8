#include <string>
#include <vector>

#include "timing.h"

// Times each kernel on the sizes it meets in SimpleCNN, or a small MobileNet, at a batch of 128, and, for a GPU, on tensors that no
// cache holds. The rate is that of the bytes that must be read and written; "of_copy" is its part of a copy's.
namespace gpucnn::kernels {
namespace {

constexpr std::int64_t kBatch = 128;
constexpr std::int64_t kParameters = 268'650;

/// Times `call`; `bytes` is what one call must move.
template <class Call>
void time(benchmark::State& state, Stream& stream, std::size_t bytes, const Call& call) {
  time_calls(state, stream, call);
  const double moved = static_cast<double>(bytes);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  if (bench.large > 0 && bytes >= bench.large) {
    state.counters["of_copy"] = benchmark::Counter(moved / bench.copy_rate, benchmark::Counter::kIsIterationInvariantRate);
  }
}

/// [N, C, H, H].
Shape image_shape(const benchmark::State& state) { return {state.range(0), state.range(1), state.range(2), state.range(2)}; }

/// What features.0 and features.3 give: [N, 16, 32, 32] and [N, 32, 16, 16].
void activations(benchmark::internal::Benchmark* sizes) {
  sizes->ArgNames({"N", "C", "H"})->Args({kBatch, 16, 32})->Args({kBatch, 32, 16});
}

void bm_copy(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor x = random(image_shape(state), 1);
  Tensor y = zeros(x.shape());
  time(state, stream, x.nbytes() + y.nbytes(), [&] { y.copy_from(x); });
}

void bm_relu(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor x = random(image_shape(state), 1);
  Tensor y = zeros(x.shape());
  time(state, stream, x.nbytes() + y.nbytes(), [&] { activation(x, {Activation::relu}, y, stream); });
}

void bm_relu_backward(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor y = random(image_shape(state), 1), dy = random(y.shape(), 2);
  Tensor dx = zeros(y.shape());
  time(state, stream, y.nbytes() + dy.nbytes() + dx.nbytes(), [&] { activation_backward(y, {Activation::relu}, dy, dx, stream); });
}

/// Those with an exponential.
void bm_activation(benchmark::State& state, Activation::Kind kind) {
  Stream stream(bench.device);
  const Tensor x = random(image_shape(state), 1);
  Tensor y = zeros(x.shape());
  time(state, stream, x.nbytes() + y.nbytes(), [&] { activation(x, {kind}, y, stream); });
}

void bm_activation_backward(benchmark::State& state, Activation::Kind kind) {
  Stream stream(bench.device);
  const Tensor kept = random(image_shape(state), 1), dy = random(kept.shape(), 2);
  Tensor dx = zeros(kept.shape());
  time(state, stream, kept.nbytes() + dy.nbytes() + dx.nbytes(), [&] { activation_backward(kept, {kind}, dy, dx, stream); });
}

struct Pooling {
  explicit Pooling(const Shape& shape, const Pool2d& window)
      : pool(window), x(random(shape, 1)), y(random(max_pool2d_shape(shape, pool), 2)), argmax(zeros(y.shape(), DType::u8)) {}
  std::size_t bytes() const { return x.nbytes() + y.nbytes() + argmax.nbytes(); }

  Pool2d pool;
  Tensor x, y, argmax;
  Stream stream{bench.device};
};

constexpr Pool2d kHalving{.kernel_size = 2, .stride = 2};
constexpr Pool2d kOverlapping{.kernel_size = 3, .stride = 2, .padding = 1};

void bm_max_pool2d(benchmark::State& state, const Pool2d& window) {
  Pooling p(image_shape(state), window);
  time(state, p.stream, p.bytes(), [&] { max_pool2d(p.x, p.pool, p.y, p.argmax, p.stream); });
}

void bm_max_pool2d_backward(benchmark::State& state, const Pool2d& window) {
  Pooling p(image_shape(state), window);
  max_pool2d(p.x, p.pool, p.y, p.argmax, p.stream);
  time(state, p.stream, p.bytes(), [&] { max_pool2d_backward(p.y, p.argmax, p.pool, p.x, p.stream); });
}

/// The means of whole images.
void bm_global_avg_pool2d(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor x = random(image_shape(state), 1);
  Tensor y = zeros({x.dim(0), x.dim(1), 1, 1});
  time(state, stream, x.nbytes() + y.nbytes(), [&] { adaptive_avg_pool2d(x, y, stream); });
}

void bm_global_avg_pool2d_backward(benchmark::State& state) {
  Stream stream(bench.device);
  Tensor dx = zeros(image_shape(state));
  const Tensor dy = random({dx.dim(0), dx.dim(1), 1, 1}, 1);
  time(state, stream, dx.nbytes() + dy.nbytes(), [&] { adaptive_avg_pool2d_backward(dy, dx, stream); });
}

/// A depthwise convolution with bias and ReLU that keeps the size at a stride of 1.
struct Depthwise {
  explicit Depthwise(const benchmark::State& state)
      : x(random(image_shape(state), 1)),
        size(static_cast<int>(state.range(3))),
        plan(x.shape(), x.dim(1),
             {.kernel_size = size,
              .stride = static_cast<int>(state.range(4)),
              .padding = size / 2,
              .groups = static_cast<int>(x.dim(1))},
             bench.device),
        weight(random({x.dim(1), 1, size, size}, 2)),
        bias(random({x.dim(1)}, 3)),
        y(random(plan.y_shape(), 4)) {}
  std::size_t bytes() const { return x.nbytes() + y.nbytes(); }

  Tensor x;
  int size;
  Conv2dPlan plan;
  Tensor weight, bias, y;
  Tensor dweight = zeros(weight.shape()), dbias = zeros(bias.shape());
  Stream stream{bench.device};
};

void bm_depthwise(benchmark::State& state) {
  Depthwise d(state);
  time(state, d.stream, d.bytes(), [&] { d.plan.forward(d.x, d.weight, d.bias, {Activation::relu}, d.y, d.stream); });
}

void bm_depthwise_backward_data(benchmark::State& state) {
  Depthwise d(state);
  time(state, d.stream, d.bytes(), [&] { d.plan.backward_data(d.y, d.weight, d.x, d.stream); });
}

void bm_depthwise_backward_weights(benchmark::State& state) {
  Depthwise d(state);
  time(state, d.stream, d.bytes(), [&] { d.plan.backward_weights(d.x, d.y, {}, d.dweight, d.dbias, d.stream); });
}

/// Those of a small MobileNet, and a window of 5x5.
void depthwise_sizes(benchmark::internal::Benchmark* sizes) {
  sizes->ArgNames({"N", "C", "H", "kernel", "stride"});
  for (const std::int64_t C : {32, 64, 128}) sizes->Args({kBatch, C, 1024 / C, 3, 1});
  sizes->Args({kBatch, 64, 16, 3, 2})->Args({kBatch, 64, 16, 5, 1});
}

void bm_upsample(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor x = random(image_shape(state), 1);
  Tensor y = zeros(upsample_nearest2d_shape(x.shape(), 2));
  time(state, stream, x.nbytes() + y.nbytes(), [&] { upsample_nearest2d(x, 2, y, stream); });
}

void bm_upsample_backward(benchmark::State& state) {
  Stream stream(bench.device);
  Tensor dx = zeros(image_shape(state));
  const Tensor dy = random(upsample_nearest2d_shape(dx.shape(), 2), 1);
  time(state, stream, dy.nbytes() + dx.nbytes(), [&] { upsample_nearest2d_backward(dy, 2, dx, stream); });
}

void bm_flatten(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor x = random(image_shape(state), 1);
  Tensor y = zeros({x.dim(0), x.numel() / x.dim(0)});
  time(state, stream, x.nbytes() + y.nbytes(), [&] { flatten(x, y, stream); });
}

void bm_flatten_backward(benchmark::State& state) {
  Stream stream(bench.device);
  Tensor dx = zeros(image_shape(state));
  const Tensor dy = random({dx.dim(0), dx.numel() / dx.dim(0)}, 1);
  time(state, stream, dy.nbytes() + dx.nbytes(), [&] { flatten_backward(dy, dx, stream); });
}

void bm_dropout(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor x = random(image_shape(state), 1);
  Tensor y = zeros(x.shape());
  time(state, stream, x.nbytes() + y.nbytes(), [&] { dropout(x, 0.5, RandomStream(0, Purpose::dropout), y, stream); });
}

void bm_dropout2d(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor x = random(image_shape(state), 1);
  Tensor y = zeros(x.shape());
  time(state, stream, x.nbytes() + y.nbytes(), [&] { dropout2d(x, 0.5, RandomStream(0, Purpose::dropout), y, stream); });
}

void bm_softmax(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor x = random({state.range(0), state.range(1)}, 1);
  Tensor y = zeros(x.shape());
  time(state, stream, x.nbytes() + y.nbytes(), [&] { softmax(x, y, stream); });
}

void bm_softmax_backward(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor y = random({state.range(0), state.range(1)}, 1), dy = random(y.shape(), 2);
  Tensor dx = zeros(y.shape());
  time(state, stream, y.nbytes() + dy.nbytes() + dx.nbytes(), [&] { softmax_backward(y, dy, dx, stream); });
}

void bm_softmax_cross_entropy(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor logits = random({state.range(0), state.range(1)}, 1), labels = zeros({state.range(0)}, DType::i32);
  Tensor loss = zeros({}), dlogits = zeros(logits.shape());
  time(state, stream, logits.nbytes() + labels.nbytes() + dlogits.nbytes(),
       [&] { softmax_cross_entropy(logits, labels, loss, dlogits, stream); });
}

void bm_argmax(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor x = random({kBatch, 10}, 1);
  Tensor y = zeros({kBatch}, DType::i64);
  time(state, stream, x.nbytes() + y.nbytes(), [&] { argmax(x, y, stream); });
}

void bm_to_labels(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor labels = zeros({kBatch}, DType::i64);
  Tensor y = zeros({kBatch}, DType::i32);
  time(state, stream, labels.nbytes() + y.nbytes(), [&] { to_labels(labels, 10, y, stream); });
}

void bm_count_correct(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor logits = random({kBatch, 10}, 1), labels = zeros({kBatch}, DType::i32);
  Tensor count = zeros({});
  time(state, stream, logits.nbytes() + labels.nbytes(), [&] { count_correct(logits, labels, count, stream); });
}

/// A batch of CIFAR's size through `transform`.
void time_image_batch(benchmark::State& state, ImageTransform transform) {
  Stream stream(bench.device);
  const Tensor images = zeros({1000, 3, 32, 32}, DType::u8);
  const std::vector<float> mean{0.5F, 0.5F, 0.5F}, std{0.25F, 0.25F, 0.25F};
  transform.mean = mean;
  transform.std = std;
  std::vector<std::int64_t> indices(kBatch);
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i * 7);
  Tensor batch = zeros({kBatch, 3, 32, 32});
  const Tensor labels = zeros({1000}, DType::i32);
  Tensor batch_labels = zeros({kBatch}, DType::i32);
  time(state, stream, batch.nbytes() + batch.nbytes() / 4,
       [&] { image_batch(images, labels, indices, transform, batch, batch_labels, stream); });
}

void bm_image_batch(benchmark::State& state) {
  time_image_batch(state, {.crop_padding = state.range(0) ? 4 : 0, .flip = state.range(0) != 0});
}

void bm_random_resized_crop(benchmark::State& state) {
  time_image_batch(state, {.flip = true, .random_resized_crop = RandomResizedCropOptions{}});
}

void bm_color_jitter(benchmark::State& state) { time_image_batch(state, {.color_jitter = {0.4, 0.4, 0.4, 0.1}}); }

void bm_cutout(benchmark::State& state) { time_image_batch(state, {.cutout = 12}); }

void bm_mix(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor x = random({kBatch, 3, 32, 32}, 1), labels = zeros({kBatch}, DType::i32);
  Tensor y = zeros(x.shape()), probabilities = zeros({kBatch, 10});
  const MixOptions options{state.range(0) ? 0.0 : 0.2, state.range(0) ? 1.0 : 0.0, 10};
  time(state, stream, 3 * x.nbytes(), [&] { mix(x, labels, options, {}, y, probabilities, stream); });
}

void bm_adam(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor dweight = random({state.range(0)}, 1);
  Tensor weight = random({state.range(0)}, 2), m = zeros({state.range(0)}), v = zeros({state.range(0)});
  AdamStep step{.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0, .step = 0};
  time(state, stream, 7 * weight.nbytes(), [&] {
    ++step.step;
    adam(dweight, step, weight, m, v, stream);
  });
}

void bm_sgd(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor dweight = random({state.range(0)}, 1);
  Tensor weight = random({state.range(0)}, 2), velocity = zeros({state.range(0)});
  const SgdStep step{.lr = 1e-3, .momentum = 0.9, .dampening = 0, .weight_decay = 0, .nesterov = false, .first = false};
  time(state, stream, 5 * weight.nbytes(), [&] { sgd(dweight, step, weight, velocity, stream); });
}

void bm_amsgrad(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor dweight = random({state.range(0)}, 1);
  Tensor weight = random({state.range(0)}, 2), m = zeros({state.range(0)}), v = zeros({state.range(0)}), max_v = v.clone();
  AdamStep step{.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0, .step = 0};
  time(state, stream, 9 * weight.nbytes(), [&] {
    ++step.step;
    adam(dweight, step, weight, m, v, max_v, stream);
  });
}

void bm_rmsprop(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor dweight = random({state.range(0)}, 1);
  Tensor weight = random({state.range(0)}, 2);
  RmspropState memory{zeros({state.range(0)}), zeros({state.range(0)}), {}};
  const RmspropStep step{.lr = 1e-2, .alpha = 0.99, .eps = 1e-8, .weight_decay = 0, .momentum = 0.9};
  time(state, stream, 7 * weight.nbytes(), [&] { rmsprop(dweight, step, weight, memory, stream); });
}

/// Everything that Muon does with a weight [R, C].
void bm_muon(benchmark::State& state) {
  Stream stream(bench.device);
  Parameter weight({state.range(0), state.range(1)}, Init::uniform(1));
  Arena::pack({weight}, {"weight"}, 1, bench.device);
  weight.accumulate_grad(random(weight.shape(), 2));
  Muon optimizer({weight});
  time(state, stream, 5 * weight.value().nbytes(), [&] { optimizer.step(); });
}

/// Below the limit: the gradient stays as it is.
void bm_clip_by_norm(benchmark::State& state) {
  Stream stream(bench.device);
  Tensor gradient = random({state.range(0)}, 1), norm = zeros({});
  time(state, stream, gradient.nbytes(), [&] {
    vector_norm(gradient, 2, norm, stream);
    clip_by_norm(norm, 1e9, gradient, stream);
  });
}

void bm_moving_average(benchmark::State& state) {
  Stream stream(bench.device);
  const Tensor weight = random({state.range(0)}, 1);
  const Tensor n_averaged = Tensor::from(std::vector<std::int64_t>{1}, {}, bench.device);
  Tensor average = random({state.range(0)}, 2);
  time(state, stream, 3 * weight.nbytes(), [&] { moving_average(weight, 0.999, n_averaged, average, stream); });
}

BENCHMARK(bm_copy)->Apply(activations)->UseRealTime();
BENCHMARK(bm_relu)->Apply(activations)->UseRealTime();
BENCHMARK(bm_relu_backward)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_activation, gelu, Activation::gelu)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_activation, silu, Activation::silu)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_activation, tanh, Activation::tanh)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_activation_backward, gelu, Activation::gelu)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_activation_backward, silu, Activation::silu)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_max_pool2d, 2x2, kHalving)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_max_pool2d_backward, 2x2, kHalving)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_max_pool2d, 3x3, kOverlapping)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_max_pool2d_backward, 3x3, kOverlapping)->Apply(activations)->UseRealTime();
BENCHMARK(bm_global_avg_pool2d)->ArgNames({"N", "C", "H"})->Args({kBatch, 64, 8})->UseRealTime();
BENCHMARK(bm_global_avg_pool2d_backward)->ArgNames({"N", "C", "H"})->Args({kBatch, 64, 8})->UseRealTime();
BENCHMARK(bm_depthwise)->Apply(depthwise_sizes)->UseRealTime();
BENCHMARK(bm_depthwise_backward_data)->Apply(depthwise_sizes)->UseRealTime();
BENCHMARK(bm_depthwise_backward_weights)->Apply(depthwise_sizes)->UseRealTime();
BENCHMARK(bm_upsample)->ArgNames({"N", "C", "H"})->Args({kBatch, 32, 8})->UseRealTime();
BENCHMARK(bm_upsample_backward)->ArgNames({"N", "C", "H"})->Args({kBatch, 32, 8})->UseRealTime();
BENCHMARK(bm_flatten)->ArgNames({"N", "C", "H"})->Args({kBatch, 32, 8})->UseRealTime();
BENCHMARK(bm_flatten_backward)->ArgNames({"N", "C", "H"})->Args({kBatch, 32, 8})->UseRealTime();
BENCHMARK(bm_dropout)->ArgNames({"N", "C", "H"})->Args({kBatch, 128, 1})->Args({kBatch, 32, 8})->UseRealTime();
BENCHMARK(bm_dropout2d)->Apply(activations)->UseRealTime();
BENCHMARK(bm_softmax)->ArgNames({"N", "C"})->Args({kBatch, 10})->Args({kBatch, 1000})->UseRealTime();
BENCHMARK(bm_softmax_backward)->ArgNames({"N", "C"})->Args({kBatch, 10})->Args({kBatch, 1000})->UseRealTime();
BENCHMARK(bm_softmax_cross_entropy)->ArgNames({"N", "C"})->Args({kBatch, 10})->Args({kBatch, 1000})->UseRealTime();
BENCHMARK(bm_argmax)->UseRealTime();
BENCHMARK(bm_to_labels)->UseRealTime();
BENCHMARK(bm_count_correct)->UseRealTime();
BENCHMARK(bm_image_batch)->ArgName("augment")->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(bm_random_resized_crop)->UseRealTime();
BENCHMARK(bm_color_jitter)->UseRealTime();
BENCHMARK(bm_cutout)->UseRealTime();
BENCHMARK(bm_mix)->ArgName("cut")->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(bm_adam)->ArgName("count")->Arg(kParameters)->UseRealTime();
BENCHMARK(bm_sgd)->ArgName("count")->Arg(kParameters)->UseRealTime();
BENCHMARK(bm_amsgrad)->ArgName("count")->Arg(kParameters)->UseRealTime();
BENCHMARK(bm_rmsprop)->ArgName("count")->Arg(kParameters)->UseRealTime();
BENCHMARK(bm_muon)->ArgNames({"R", "C"})->Args({64, 288})->Args({128, 2048})->Args({512, 64})->UseRealTime();
BENCHMARK(bm_clip_by_norm)->ArgName("count")->Arg(kParameters)->UseRealTime();
BENCHMARK(bm_moving_average)->ArgName("count")->Arg(kParameters)->UseRealTime();

}  // namespace

void register_large() {
  const auto floats = static_cast<std::int64_t>(bench.large / sizeof(float));
  const auto add = [](const char* name, std::vector<std::int64_t> args, const auto& run) {
    benchmark::RegisterBenchmark((std::string("large/") + name).c_str(), run)->Args(args)->UseRealTime();
  };
  const std::int64_t images = std::max<std::int64_t>(floats / (16 * 32 * 32), 1);
  const std::vector<std::int64_t> activation{images, 16, 32};
  add("copy", activation, bm_copy);
  add("relu", activation, bm_relu);
  add("relu_backward", activation, bm_relu_backward);
  add("max_pool2d/2x2", activation, [](benchmark::State& state) { bm_max_pool2d(state, kHalving); });
  add("max_pool2d_backward/2x2", activation, [](benchmark::State& state) { bm_max_pool2d_backward(state, kHalving); });
  add("max_pool2d/3x3", activation, [](benchmark::State& state) { bm_max_pool2d(state, kOverlapping); });
  add("max_pool2d_backward/3x3", activation, [](benchmark::State& state) { bm_max_pool2d_backward(state, kOverlapping); });
  add("dropout", activation, bm_dropout);
  add("flatten", activation, bm_flatten);
  add("flatten_backward", activation, bm_flatten_backward);
  add("softmax", {std::max<std::int64_t>(floats / 1000, 1), 1000}, bm_softmax);
  add("softmax_cross_entropy", {std::max<std::int64_t>(floats / 1000, 1), 1000}, bm_softmax_cross_entropy);
  add("adam", {floats}, bm_adam);
  add("sgd", {floats}, bm_sgd);
  add("amsgrad", {floats}, bm_amsgrad);
  add("rmsprop", {floats}, bm_rmsprop);
}

}  // namespace gpucnn::kernels
