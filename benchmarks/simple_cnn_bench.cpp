#include <gpucnn/core/config.h>
#include <gpucnn/gpucnn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

// Times whole training steps or forward passes of SimpleCNN and prints one line of JSON.
namespace {

using namespace gpucnn;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string what = "train";
  int batch = 128;
  int threads = num_threads();
  std::string device = "cpu";
  double seconds = 5;
};

double milliseconds(Clock::duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

/// The times of `run`, in ms: at least 5, for `seconds`, after a tenth of that as warm-up.
std::vector<double> measure(const std::function<void()>& run, double seconds) {
  const auto lasts = [start = Clock::now()](double limit) { return milliseconds(Clock::now() - start) < limit * 1000; };
  do run();
  while (lasts(seconds / 10));
  std::vector<double> times;
  for (const auto start = Clock::now(); times.size() < 5 || milliseconds(Clock::now() - start) < seconds * 1000;) {
    const auto before = Clock::now();
    run();
    times.push_back(milliseconds(Clock::now() - before));
  }
  return times;
}

double quantile(const std::vector<double>& sorted, double q) {
  return sorted[static_cast<std::size_t>(std::lround(q * static_cast<double>(sorted.size() - 1)))];
}

std::vector<double> measure(const Options& options) {
  const Device device = Device::parse(options.device);
  SimpleCNN model;
  model.to(device);
  const Tensor inputs = Tensor::randn({options.batch, 3, 32, 32}, 0, device);
  if (options.what == "infer") return measure([&] { model.predict(inputs); }, options.seconds);

  std::vector<std::int32_t> classes(static_cast<std::size_t>(options.batch));
  for (std::size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<std::int32_t>(i % 10);
  const Tensor labels = Tensor::from(classes, {options.batch}, device);
  CrossEntropyLoss criterion;
  Adam optimizer(model.parameters());
  return measure(
      [&] {
        optimizer.zero_grad();
        criterion(model(inputs), labels);
        model.backward(criterion.backward());
        optimizer.step();
      },
      options.seconds);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Times SimpleCNN: a training step (zero_grad, forward, loss, backward, Adam) or a forward pass");
  app.add_option("--what", options.what, "What to time")->check(CLI::IsMember({"train", "infer"}))->capture_default_str();
  app.add_option("--batch", options.batch, "Images a step")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  app.add_option("--threads", options.threads, "CPU threads")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--device", options.device, "cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--seconds", options.seconds, "How long to measure")->check(CLI::Range(0.01, 3600.0))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    set_num_threads(options.threads);
    std::vector<double> times = measure(options);
    std::ranges::sort(times);
    const double median = quantile(times, 0.5);
    const nlohmann::ordered_json line = {{"what", options.what},
                                         {"batch", options.batch},
                                         {"threads", options.threads},
                                         {"device", options.device},
                                         {"precision", "fp32"},
                                         {"median_ms", median},
                                         {"p10_ms", quantile(times, 0.1)},
                                         {"p90_ms", quantile(times, 0.9)},
                                         {"images_per_second", options.batch / median * 1000},
                                         {"version", kVersion}};
    std::printf("%s\n", line.dump().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "simple_cnn_bench: %s\n", error.what());
    return 1;
  }
}
