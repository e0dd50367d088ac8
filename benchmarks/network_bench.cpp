#include <gpucnn/core/config.h>
#include <gpucnn/gpucnn.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "instruction_set.h"
#include "timed_runs.h"
#include "zoo/networks.h"

// Times whole training steps or forward passes of a network, and prints one line of JSON.
namespace {

using namespace gpucnn;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string network = "simple_cnn";
  std::string what = "train";
  int batch = 128;
  int threads = num_threads();
  std::string device = "cpu";
  std::string precision = "fp32";
  std::string instruction_set;
  int together = 1;
  int callers = 1;
  double seconds = 5;
  std::string onnx;
};

Shape batch_of(const Shape& image, int batch) { return {batch, image[0], image[1], image[2]}; }

/// The times of `run`, in ms, each the mean of `together` runs between two waits for the device. Of a start it is the first alone.
std::vector<double> measure(const std::function<void()>& run, Device device, const Options& options) {
  Stream stream(device);
  const auto once = [&] {
    for (int i = 0; i < options.together; ++i) run();
    stream.synchronize();
  };
  if (options.what == "start") {
    const auto before = Clock::now();
    once();
    return {milliseconds(Clock::now() - before) / options.together};
  }
  std::vector<double> times = timed_runs(once, options.seconds);
  for (double& time : times) time /= options.together;
  return times;
}

/// Labels 0, 1, … 9, 0, … for `count` images.
std::vector<std::int32_t> classes(std::int64_t count) {
  std::vector<std::int32_t> labels(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i % 10);
  return labels;
}

/// Steps one by one on a batch that stays, with dropout on.
std::vector<double> measure_steps(Sequential& model, const Shape& image, Device device, const Options& options) {
  const Tensor inputs = Tensor::randn(batch_of(image, options.batch), 0, device);
  const Tensor labels = Tensor::from(classes(options.batch), {options.batch}, device);
  CrossEntropyLoss criterion;
  Adam optimizer(model.parameters());
  return measure(
      [&] {
        optimizer.zero_grad();
        criterion(model(inputs), labels);
        model.backward(criterion.backward());
        optimizer.step();
      },
      device, options);
}

/// Steps as `fit` takes them on a GPU: captured, and each with its batch gathered from a shuffled set of CIFAR-10's size that lies
/// there.
std::vector<double> measure_trainer(Sequential& model, const Shape& image, Device device, const Options& options) {
  const std::int64_t images = std::max<std::int64_t>(50'000 / options.batch, 1) * options.batch;
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(images * image.numel()));
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 2654435761U >> 24);
  const TensorDataset data(Tensor::from(pixels, {images, image[0], image[1], image[2]}, device),
                           Tensor::from(classes(images), {images}, device));
  DataLoader loader(data, {.batch_size = options.batch,
                           .shuffle = true,
                           .normalize = image[0] == 3 ? Normalize{{0.5, 0.5, 0.5}, {0.25, 0.25, 0.25}} : Normalize{{0.5}, {0.25}},
                           .device = device});
  Adam optimizer(model.parameters());
  Trainer trainer(model, optimizer, loader);
  trainer.start_epoch();
  std::vector<double> times = measure(
      [&] {
        while (!trainer.step()) trainer.start_epoch();
        trainer.take();
      },
      device, options);
  trainer.finish();
  return times;
}

/// Predictions on one model from several threads at once: the time from one to the next, all threads together.
std::vector<double> measure_callers(const Sequential& model, const Tensor& inputs, const Options& options) {
  model.predict(inputs);  // makes what is made once
  std::atomic<std::int64_t> predictions{0};
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < options.callers; ++i) {
    threads.emplace_back([&] {
      while (milliseconds(Clock::now() - start) < options.seconds * 1000) {
        for (int run = 0; run < options.together; ++run) model.predict(inputs);
        predictions += options.together;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return {milliseconds(Clock::now() - start) / static_cast<double>(predictions)};
}

std::vector<double> measure(const Network& network, const Options& options) {
  const Device device = Device::parse(options.device);
  Sequential& model = *network.model;
  model.to(device).set_precision(parse_precision(options.precision));
  if (options.what == "infer") {
    const Tensor inputs = Tensor::randn(batch_of(network.image, options.batch), 0, device);
    if (options.callers > 1) return measure_callers(model, inputs, options);
    return measure([&] { model.predict(inputs); }, device, options);
  }
  if (device.kind == Device::Kind::cuda) return measure_trainer(model, network.image, device, options);
  return measure_steps(model, network.image, device, options);
}

std::int64_t count_parameters(Sequential& model) {
  std::int64_t count = 0;
  for (const Parameter& parameter : model.parameters()) count += parameter.value().numel();
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Times a network: a training step (zero_grad, forward, loss, backward, Adam) or a forward pass");
  app.add_option("--network", options.network,
                 "allconv, caffe_lenet, convnet_quick, lenet5, mlp, mobile, pool64, vgg8, or a name that make_model takes")
      ->capture_default_str();
  app.add_option("--what", options.what, "What to time; start is the first step alone")
      ->check(CLI::IsMember({"train", "infer", "start"}))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "Images a step")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  app.add_option("--threads", options.threads, "CPU threads")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--device", options.device, "cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--precision", options.precision, "fp32, bf16 or, on a GPU, tf32")->capture_default_str();
  app.add_option("--instruction-set", options.instruction_set,
                 "Highway's name of one, as AVX2, for the CPU's kernels; oneDNN's wants ONEDNN_MAX_CPU_ISA; default: the widest");
  app.add_option("--together", options.together, "Runs from one wait for the device to the next; a time is their mean")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--callers", options.callers, "Threads that predict on one model at once, with --what infer")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "How long to measure")->check(CLI::Range(0.01, 3600.0))->capture_default_str();
  app.add_option("--onnx", options.onnx, "Writes the network to this file instead, for other programs");
  CLI11_PARSE(app, argc, argv);
  try {
    if (!options.instruction_set.empty()) force_instruction_set(options.instruction_set);
    set_num_threads(options.threads);
    set_core_migration(true);  // as train_cifar
    const Network network = make_network(options.network);
    if (!options.onnx.empty()) {
      export_onnx(*network.model, batch_of(network.image, 1), options.onnx);
      return 0;
    }
    const Work work = work_of(*network.model, network.image, options.what != "infer");
    std::vector<double> times = measure(network, options);
    std::ranges::sort(times);
    const double median = quantile(times, 0.5);
    const double mean = std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(times.size());
    const nlohmann::ordered_json line = {{"network", options.network},
                                         {"what", options.what},
                                         {"batch", options.batch},
                                         {"threads", options.threads},
                                         {"device", options.device},
                                         {"precision", options.precision},
                                         {"median_ms", median},
                                         {"p10_ms", quantile(times, 0.1)},
                                         {"p90_ms", quantile(times, 0.9)},
                                         {"mean_ms", mean},
                                         {"images_per_second", options.batch / median * 1000},
                                         {"parameters", count_parameters(*network.model)},
                                         {"flop", options.batch * work.flop},
                                         {"bytes", options.batch * work.bytes},
                                         {"version", kVersion}};
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);  // who times a start waits for this line
  } catch (const std::exception& error) {
    std::fprintf(stderr, "network_bench: %s\n", error.what());
    return 1;
  }
}
