#include <gpucnn/kernels/fused/conv2d_relu_pool.h>

#include "timing.h"

// Times the convolutions and linear layers of SimpleCNN at a batch of 128. The rate is that of multiplications and additions,
// counted as if nothing were zero.
namespace gpucnn::kernels {
namespace {

constexpr std::int64_t kBatch = 128;

/// Times `call`, which has `products` multiplications, each with an addition.
template <class Call>
void time(benchmark::State& state, Stream& stream, std::int64_t products, const Call& call) {
  time_calls(state, stream, call);
  state.counters["FLOP/s"] = benchmark::Counter(2.0 * static_cast<double>(products), benchmark::Counter::kIsIterationInvariantRate,
                                                benchmark::Counter::kIs1000);
}

/// A 3x3 convolution of [N, C, H, H] to [N, K, H, H].
struct Convolution {
  explicit Convolution(const benchmark::State& state)
      : C(state.range(0)), K(state.range(1)), H(state.range(2)), x(random({kBatch, C, H, H}, 1)) {}
  std::int64_t products() const { return kBatch * H * H * C * K * 9; }

  std::int64_t C, K, H;
  Tensor x;
  Tensor weight = random({K, C, 3, 3}, 2), bias = random({K}, 3), y = random({kBatch, K, H, H}, 4);
  Tensor dx = zeros(x.shape()), dweight = zeros(weight.shape()), dbias = zeros(bias.shape());
  Conv2dPlan plan{x.shape(), K, {.kernel_size = 3, .padding = 1}, bench.device};
  Stream stream{bench.device};
};

void bm_conv2d(benchmark::State& state) {
  Convolution c(state);
  time(state, c.stream, c.products(), [&] { c.plan.forward(c.x, c.weight, c.bias, {}, c.y, c.stream); });
}

void bm_conv2d_backward_data(benchmark::State& state) {
  Convolution c(state);
  time(state, c.stream, c.products(), [&] { c.plan.backward_data(c.y, c.weight, c.dx, c.stream); });
}

void bm_conv2d_backward_weights(benchmark::State& state) {
  Convolution c(state);
  time(state, c.stream, c.products(), [&] { c.plan.backward_weights(c.x, c.y, {}, c.dweight, c.dbias, c.stream); });
}

/// The same with bias, ReLU and pooling, in one pass.
struct Pooled : Convolution {
  using Convolution::Convolution;
  void forward() { conv2d_relu_pool({&convolution, 1}, pooled, stream); }
  void backward() { conv2d_relu_pool_backward({&convolution, 1}, pooled, {&gradients, 1}, dx, stream); }

  Tensor pooled = zeros({kBatch, K, H / 2, H / 2});
  Conv2dReluPoolWeights kept;
  Conv2dReluPool convolution{weight, bias, x, zeros(pooled.shape(), DType::u8), &kept};
  Conv2dReluPoolGradients gradients{dweight, dbias};
};

void bm_conv2d_relu_pool(benchmark::State& state) {
  Pooled c(state);
  time(state, c.stream, c.products(), [&] { c.forward(); });
}

/// All three gradients.
void bm_conv2d_relu_pool_backward(benchmark::State& state) {
  Pooled c(state);
  c.forward();
  time(state, c.stream, 2 * c.products(), [&] { c.backward(); });
}

/// A linear layer of [N, in] to [N, out].
struct Product {
  explicit Product(const benchmark::State& state) : in(state.range(0)), out(state.range(1)), x(random({kBatch, in}, 1)) {}
  std::int64_t products() const { return kBatch * in * out; }

  std::int64_t in, out;
  Tensor x;
  Tensor weight = random({out, in}, 2), bias = random({out}, 3), y = random({kBatch, out}, 4);
  Tensor dx = zeros(x.shape()), dweight = zeros(weight.shape()), dbias = zeros(bias.shape());
  LinearPlan plan{x.shape(), out, true, bench.device};
  Stream stream{bench.device};
};

void bm_linear(benchmark::State& state) {
  Product p(state);
  time(state, p.stream, p.products(), [&] { p.plan.forward(p.x, p.weight, p.bias, {}, p.y, p.stream); });
}

void bm_linear_backward_data(benchmark::State& state) {
  Product p(state);
  time(state, p.stream, p.products(), [&] { p.plan.backward_data(p.y, p.weight, p.dx, p.stream); });
}

void bm_linear_backward_weights(benchmark::State& state) {
  Product p(state);
  time(state, p.stream, p.products(), [&] { p.plan.backward_weights(p.x, p.y, {}, p.dweight, p.dbias, p.stream); });
}

/// features.0 and features.3, and some of deeper networks.
void convolutions(benchmark::internal::Benchmark* sizes) {
  sizes->ArgNames({"C", "K", "H"})
      ->Args({3, 16, 32})
      ->Args({16, 32, 16})
      ->Args({32, 32, 32})
      ->Args({64, 64, 16})
      ->Args({64, 128, 16})
      ->Args({128, 128, 8})
      ->Args({512, 512, 4})
      ->UseRealTime();
}

/// classifier.1 and classifier.4, and those of a wide network.
void linears(benchmark::internal::Benchmark* sizes) {
  sizes->ArgNames({"in", "out"})->Args({2048, 128})->Args({128, 10})->Args({784, 1024})->Args({1024, 1024})->UseRealTime();
}

BENCHMARK(bm_conv2d)->Apply(convolutions);
BENCHMARK(bm_conv2d_backward_data)->Apply(convolutions);
BENCHMARK(bm_conv2d_backward_weights)->Apply(convolutions);
BENCHMARK(bm_linear)->Apply(linears);
BENCHMARK(bm_linear_backward_data)->Apply(linears);
BENCHMARK(bm_linear_backward_weights)->Apply(linears);

}  // namespace

void register_joined() {
  convolutions(benchmark::RegisterBenchmark("bm_conv2d_relu_pool", bm_conv2d_relu_pool));
  convolutions(benchmark::RegisterBenchmark("bm_conv2d_relu_pool_backward", bm_conv2d_relu_pool_backward));
}

}  // namespace gpucnn::kernels
