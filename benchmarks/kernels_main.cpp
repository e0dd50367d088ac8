#include <chrono>
#include <cstdio>
#include <vector>

#include <CLI/CLI.hpp>

#include "timing.h"

// kernels_bench: Google Benchmark's options, and --device and --large-mb.
namespace gpucnn::kernels {
namespace {

/// Bytes a second, read and written, of copies from one tensor to another: the median of several measurements.
double measure_copy(std::size_t bytes) {
  const Tensor x = random({bytes / sizeof(float)}, 1);
  Tensor y = zeros(x.shape());
  Stream stream(bench.device);
  constexpr int kCopies = 20;
  std::vector<double> rates;
  for (int i = 0; i < 8; ++i) {
    const auto start = std::chrono::steady_clock::now();
    for (int copy = 0; copy < kCopies; ++copy) y.copy_from(x);
    stream.synchronize();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    if (i > 0) rates.push_back(2.0 * static_cast<double>(x.nbytes()) * kCopies / time.count());
  }
  std::ranges::sort(rates);
  return rates[rates.size() / 2];
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::string device = "cpu";
  int large_mb = -1;
  CLI::App app("Times the kernels; Google Benchmark's own options are explained by --help");
  app.add_option("--device", device, "cpu, cuda or cuda:N");
  app.add_option("--large-mb", large_mb,
                 "Also time kernels on tensors of so many MB and hold them against a copy; 0: do not (on a GPU 512, else 0)")
      ->check(CLI::Range(0, 65536));
  CLI11_PARSE(app, argc, argv);

  bench.device = Device::parse(device);
  bench.device.require();
  if (large_mb < 0) large_mb = bench.device.kind == Device::Kind::cuda ? 512 : 0;
  benchmark::AddCustomContext("device", bench.device.string());
  if (large_mb > 0) {
    bench.large = static_cast<std::size_t>(large_mb) << 20;
    bench.copy_rate = measure_copy(bench.large);
    benchmark::AddCustomContext("copy_bytes_per_second", std::to_string(bench.copy_rate));
    register_large();
  }
  if (bench.device.kind == Device::Kind::cpu) register_joined();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace gpucnn::kernels

int main(int argc, char** argv) {
  try {
    return gpucnn::kernels::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kernels_bench: %s\n", error.what());
    return 1;
  }
}
