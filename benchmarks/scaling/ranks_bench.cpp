#include <gpucnn/gpucnn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "zoo/networks.h"

// Times training steps of the ranks that mpirun has started, each with its part of one batch; rank 0 prints images per second.
namespace {

using namespace gpucnn;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string network = "simple_cnn";
  int batch = 1024;
  int threads = 1;
  int steps = 30;
  bool sync_batch_norm = false;
};

/// The times of a step, in seconds, the shortest first.
std::vector<double> step_seconds(const Options& options, const Distributed& distributed) {
  const Network network = make_network(options.network);
  Sequential& model = *network.model;
  model.init(1);
  if (options.sync_batch_norm) convert_sync_batchnorm(model, distributed);
  const BatchPart part{distributed.rank(), distributed.size()};
  const std::int64_t images = part.images(options.batch);
  Batch batch{Tensor::randn({images, network.image[0], network.image[1], network.image[2]}, 1), {}};
  std::vector<std::int32_t> labels(static_cast<std::size_t>(images));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i % 10);
  batch.labels = Tensor::from(labels, {images});
  Adam optimizer(model.parameters());
  TrainStep step(model, optimizer, {.distributed = &distributed});
  const PlaceInBatch place{part.first(options.batch), options.batch};
  std::vector<double> seconds;
  for (int i = -3; i < options.steps; ++i) {
    const auto before = Clock::now();
    step(batch, place);
    if (i >= 0) seconds.push_back(std::chrono::duration<double>(Clock::now() - before).count());
  }
  std::ranges::sort(seconds);
  return seconds;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Training steps of several ranks: mpirun -np 2 ranks_bench --threads 1");
  app.add_option("--network", options.network, "of the zoo");
  app.add_option("--batch", options.batch, "images of a batch, of all ranks together")->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "of each rank")->check(CLI::PositiveNumber);
  app.add_option("--steps", options.steps, "that are timed")->check(CLI::PositiveNumber);
  app.add_flag("--sync-batch-norm", options.sync_batch_norm, "batch normalisation by the images of all ranks");
  CLI11_PARSE(app, argc, argv);
  try {
    const Distributed distributed = Distributed::init(argc, argv);
    set_num_threads(options.threads);
    const std::vector<double> seconds = step_seconds(options, distributed);
    const double median = seconds[seconds.size() / 2];
    if (distributed.is_main()) {
      std::printf("{\"network\": \"%s\", \"ranks\": %d, \"threads\": %d, \"batch\": %d, \"step_ms\": %.3f, \"fastest_ms\": %.3f, ",
                  options.network.c_str(), distributed.size(), options.threads, options.batch, 1e3 * median, 1e3 * seconds.front());
      std::printf("\"images_per_second\": %.0f}\n", options.batch / median);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ranks_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
