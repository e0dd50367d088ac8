#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>

#include <gpucnn/gpucnn.h>

// What the benchmarks of kernels_bench share.
namespace gpucnn::kernels {

/// Where they run, and against what a kernel's rate is held.
struct Bench {
  Device device;
  std::size_t large = 0;  ///< bytes of a tensor that no cache holds; 0: none is timed
  double copy_rate = 0;   ///< bytes a second, read and written, of a copy of such a tensor
};
inline Bench bench;

/// Registers the kernels on tensors of `bench.large` bytes.
void register_large();

/// Registers what only the CPU has.
void register_joined();

/// Random numbers. Large tensors repeat what the first slices hold.
inline Tensor random(const Shape& shape, std::uint64_t seed) {
  constexpr std::int64_t kDrawn = 1 << 22;
  if (shape.numel() <= kDrawn) return Tensor::randn(shape, seed, bench.device);
  Tensor x = Tensor::empty(shape, DType::f32, bench.device);
  const Tensor drawn = Tensor::randn({kDrawn}, seed, bench.device);
  for (std::int64_t first = 0; first < x.numel(); first += kDrawn) {
    const Shape count{std::min(kDrawn, x.numel() - first)};
    x.view(first, count).copy_from(drawn.view(0, count));
  }
  return x;
}

inline Tensor zeros(const Shape& shape, DType dtype = DType::f32) { return Tensor::zeros(shape, dtype, bench.device); }

/// Runs `call` until the benchmark has seen enough of it. On a GPU, where a call returns before its work is done, the time is that
/// of many calls from one wait to the next.
template <class Call>
void time_calls(benchmark::State& state, Stream& stream, const Call& call) {
  const std::int64_t together = bench.device.kind == Device::Kind::cpu ? 1 : 100;
  call();
  stream.synchronize();
  while (state.KeepRunningBatch(together)) {
    for (std::int64_t i = 0; i < together; ++i) call();
    stream.synchronize();
  }
}

}  // namespace gpucnn::kernels
