#include <benchmark/benchmark.h>

#include <gpucnn/gpucnn.h>

// Times each kernel on the sizes it meets in SimpleCNN at a batch of 128. The rate is that of the bytes that must be read and
// written.
namespace gpucnn::kernels {
namespace {

constexpr std::int64_t kBatch = 128;
constexpr std::int64_t kParameters = 268'650;

/// Runs `call` until the benchmark has seen enough of it; `bytes` is what one call must move.
template <class Call>
void time(benchmark::State& state, std::size_t bytes, const Call& call) {
  call();
  for (auto _ : state) call();
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

/// What features.0 and features.3 give: [N, 16, 32, 32] and [N, 32, 16, 16].
Shape activation(const benchmark::State& state) { return {kBatch, state.range(0), state.range(1), state.range(1)}; }

void activations(benchmark::internal::Benchmark* bench) { bench->ArgNames({"C", "H"})->Args({16, 32})->Args({32, 16}); }

void bm_relu(benchmark::State& state) {
  Stream stream;
  const Tensor x = Tensor::randn(activation(state), 1);
  Tensor y = Tensor::zeros(x.shape());
  time(state, x.nbytes() + y.nbytes(), [&] { relu(x, y, stream); });
}

void bm_relu_backward(benchmark::State& state) {
  Stream stream;
  const Tensor y = Tensor::randn(activation(state), 1), dy = Tensor::randn(y.shape(), 2);
  Tensor dx = Tensor::zeros(y.shape());
  time(state, y.nbytes() + dy.nbytes() + dx.nbytes(), [&] { relu_backward(y, dy, dx, stream); });
}

struct Pooling {
  explicit Pooling(const Shape& shape, const Pool2d& window)
      : pool(window),
        x(Tensor::randn(shape, 1)),
        y(Tensor::randn(max_pool2d_shape(shape, pool), 2)),
        argmax(Tensor::zeros(y.shape(), DType::u8)) {}
  std::size_t bytes() const { return x.nbytes() + y.nbytes() + argmax.nbytes(); }

  Pool2d pool;
  Tensor x, y, argmax;
  Stream stream;
};

constexpr Pool2d kHalving{.kernel_size = 2, .stride = 2};
constexpr Pool2d kOverlapping{.kernel_size = 3, .stride = 2, .padding = 1};

void bm_max_pool2d(benchmark::State& state, const Pool2d& window) {
  Pooling p(activation(state), window);
  time(state, p.bytes(), [&] { max_pool2d(p.x, p.pool, p.y, p.argmax, p.stream); });
}

void bm_max_pool2d_backward(benchmark::State& state, const Pool2d& window) {
  Pooling p(activation(state), window);
  max_pool2d(p.x, p.pool, p.y, p.argmax, p.stream);
  time(state, p.bytes(), [&] { max_pool2d_backward(p.y, p.argmax, p.pool, p.x, p.stream); });
}

void bm_flatten(benchmark::State& state) {
  Stream stream;
  const Tensor x = Tensor::randn({kBatch, 32, 8, 8}, 1);
  Tensor y = Tensor::zeros({kBatch, 2048});
  time(state, x.nbytes() + y.nbytes(), [&] { flatten(x, y, stream); });
}

void bm_flatten_backward(benchmark::State& state) {
  Stream stream;
  const Tensor dy = Tensor::randn({kBatch, 2048}, 1);
  Tensor dx = Tensor::zeros({kBatch, 32, 8, 8});
  time(state, dy.nbytes() + dx.nbytes(), [&] { flatten_backward(dy, dx, stream); });
}

void bm_dropout(benchmark::State& state, const Shape& shape) {
  Stream stream;
  const Tensor x = Tensor::randn(shape, 1);
  Tensor y = Tensor::zeros(shape);
  time(state, x.nbytes() + y.nbytes(), [&] { dropout(x, 0.5, RandomStream(0, Purpose::dropout), y, stream); });
}

void bm_softmax(benchmark::State& state) {
  Stream stream;
  const Tensor x = Tensor::randn({kBatch, state.range(0)}, 1);
  Tensor y = Tensor::zeros(x.shape());
  time(state, x.nbytes() + y.nbytes(), [&] { softmax(x, y, stream); });
}

void bm_softmax_cross_entropy(benchmark::State& state) {
  Stream stream;
  const Tensor logits = Tensor::randn({kBatch, state.range(0)}, 1), labels = Tensor::zeros({kBatch}, DType::i32);
  Tensor loss = Tensor::zeros({}), dlogits = Tensor::zeros(logits.shape());
  time(state, logits.nbytes() + labels.nbytes() + dlogits.nbytes(),
       [&] { softmax_cross_entropy(logits, labels, loss, dlogits, stream); });
}

void bm_argmax(benchmark::State& state) {
  Stream stream;
  const Tensor x = Tensor::randn({kBatch, 10}, 1);
  Tensor y = Tensor::zeros({kBatch}, DType::i64);
  time(state, x.nbytes() + y.nbytes(), [&] { argmax(x, y, stream); });
}

void bm_to_labels(benchmark::State& state) {
  Stream stream;
  const Tensor labels = Tensor::zeros({kBatch}, DType::i64);
  Tensor y = Tensor::zeros({kBatch}, DType::i32);
  time(state, labels.nbytes() + y.nbytes(), [&] { to_labels(labels, 10, y, stream); });
}

void bm_count_correct(benchmark::State& state) {
  Stream stream;
  const Tensor logits = Tensor::randn({kBatch, 10}, 1), labels = Tensor::zeros({kBatch}, DType::i32);
  Tensor count = Tensor::zeros({});
  time(state, logits.nbytes() + labels.nbytes(), [&] { count_correct(logits, labels, count, stream); });
}

void bm_image_batch(benchmark::State& state) {
  Stream stream;
  const Tensor images = Tensor::zeros({1000, 3, 32, 32}, DType::u8);
  const std::vector<float> mean{0.5F, 0.5F, 0.5F}, std{0.25F, 0.25F, 0.25F};
  const ImageTransform transform{.mean = mean, .std = std, .crop_padding = state.range(0) ? 4 : 0, .flip = state.range(0) != 0};
  std::vector<std::int64_t> indices(kBatch);
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i * 7);
  Tensor batch = Tensor::zeros({kBatch, 3, 32, 32});
  time(state, batch.nbytes() + batch.nbytes() / 4, [&] { image_batch(images, indices, transform, batch, stream); });
}

void bm_take(benchmark::State& state) {
  Stream stream;
  const Tensor labels = Tensor::zeros({1000}, DType::i32);
  const std::vector<std::int64_t> indices(kBatch, 7);
  Tensor y = Tensor::zeros({kBatch}, DType::i32);
  time(state, 2 * y.nbytes(), [&] { take(labels, indices, y, stream); });
}

void bm_adam(benchmark::State& state) {
  Stream stream;
  const Tensor dweight = Tensor::randn({kParameters}, 1);
  Tensor weight = Tensor::randn({kParameters}, 2), m = Tensor::zeros({kParameters}), v = Tensor::zeros({kParameters});
  AdamStep step{.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0, .step = 0};
  time(state, 7 * weight.nbytes(), [&] {
    ++step.step;
    adam(dweight, step, weight, m, v, stream);
  });
}

void bm_sgd(benchmark::State& state) {
  Stream stream;
  const Tensor dweight = Tensor::randn({kParameters}, 1);
  Tensor weight = Tensor::randn({kParameters}, 2), velocity = Tensor::zeros({kParameters});
  const SgdStep step{.lr = 1e-3, .momentum = 0.9, .dampening = 0, .weight_decay = 0, .nesterov = false, .first = false};
  time(state, 5 * weight.nbytes(), [&] { sgd(dweight, step, weight, velocity, stream); });
}

BENCHMARK(bm_relu)->Apply(activations)->UseRealTime();
BENCHMARK(bm_relu_backward)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_max_pool2d, 2x2, kHalving)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_max_pool2d_backward, 2x2, kHalving)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_max_pool2d, 3x3, kOverlapping)->Apply(activations)->UseRealTime();
BENCHMARK_CAPTURE(bm_max_pool2d_backward, 3x3, kOverlapping)->Apply(activations)->UseRealTime();
BENCHMARK(bm_flatten)->UseRealTime();
BENCHMARK(bm_flatten_backward)->UseRealTime();
BENCHMARK_CAPTURE(bm_dropout, rows, Shape{kBatch, 128})->UseRealTime();
BENCHMARK_CAPTURE(bm_dropout, images, Shape{kBatch, 32, 8, 8})->UseRealTime();
BENCHMARK(bm_softmax)->ArgName("C")->Arg(10)->Arg(1000)->UseRealTime();
BENCHMARK(bm_softmax_cross_entropy)->ArgName("C")->Arg(10)->Arg(1000)->UseRealTime();
BENCHMARK(bm_argmax)->UseRealTime();
BENCHMARK(bm_to_labels)->UseRealTime();
BENCHMARK(bm_count_correct)->UseRealTime();
BENCHMARK(bm_image_batch)->ArgName("augment")->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(bm_take)->UseRealTime();
BENCHMARK(bm_adam)->UseRealTime();
BENCHMARK(bm_sgd)->UseRealTime();

}  // namespace
}  // namespace gpucnn::kernels
