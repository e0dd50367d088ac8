#include <gpucnn/gpucnn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

// Trains a network on a folder of images that is decoded ahead of the steps, and on the same images in memory, in turn: how much of
// the time the decoding takes.
namespace {

using namespace gpucnn;

struct Options {
  std::filesystem::path folder;
  std::string model = "resnet9";
  int num_classes = 0;  // the folder's
  int image_size = 32;
  int width = 16;
  int batch = 128;
  int steps = 40;
  int rounds = 5;
  int workers = 2;
  int threads = num_threads();
};

/// Images a second over `steps` steps, behind 2 that are not timed.
double images_per_second(const std::shared_ptr<const Dataset>& images, int workers, const Options& options) {
  const auto width = options.model == "resnet9" ? std::optional(options.width) : std::nullopt;
  const auto model = make_model(options.model, images->image_shape(), options.num_classes, width);
  model->init(/*seed=*/0);
  SGD optimizer(model->parameters(), SGDOptions{.lr = 0.01, .momentum = 0.9});
  DataLoader loader(images, {.batch_size = options.batch,
                             .shuffle = true,
                             .drop_last = true,
                             .normalize = Normalize{{0.4914, 0.4822, 0.4465}, {0.2470, 0.2435, 0.2616}},
                             .crop_padding = 4,
                             .flip = true,
                             .num_workers = workers,
                             .prefetch_factor = 1});
  Trainer trainer(*model, optimizer, loader);
  trainer.start_epoch();
  const auto run = [&](int steps) {
    for (int done = 0; done < steps;) {
      if (trainer.step()) {
        ++done;
      } else {
        trainer.finish();
        trainer.start_epoch();
      }
    }
  };
  run(2);
  const auto start = std::chrono::steady_clock::now();
  run(options.steps);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  return options.steps * options.batch / time.count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) try {
  Options options;
  CLI::App app("Training steps on a folder of images, decoded ahead of them and in memory; prints images/s, the medians");
  app.add_option("folder", options.folder, "A folder for each class")->required();
  app.add_option("--model", options.model, "A name that make_model knows");
  app.add_option("--image-size", options.image_size)->check(CLI::Range(1, 1024));
  app.add_option("--width", options.width, "Channels of resnet9's first convolution")->check(CLI::Range(1, 512));
  app.add_option("--batch", options.batch)->check(CLI::Range(2, 4096));
  app.add_option("--steps", options.steps, "Of a round")->check(CLI::Range(1, 100'000));
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 100));
  app.add_option("--workers", options.workers, "Of the loader that decodes")->check(CLI::Range(0, 64));
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 1024));
  CLI11_PARSE(app, argc, argv);
  set_num_threads(options.threads);
  const auto files =
      std::make_shared<const ImageFolder>(options.folder, ImageFolderOptions{.resize = ResizeOptions{.size = options.image_size}});
  options.num_classes = static_cast<int>(files->class_names().size());
  const auto memory = std::make_shared<const TensorDataset>(files->in_memory());
  std::vector<double> decoded, kept;
  for (int round = 0; round < options.rounds; ++round) {
    decoded.push_back(images_per_second(files, options.workers, options));
    kept.push_back(images_per_second(memory, 0, options));
    std::printf("decoded %.0f images/s, in memory %.0f, ratio %.3f\n", decoded.back(), kept.back(), decoded.back() / kept.back());
  }
  std::printf("medians: decoded %.0f images/s, in memory %.0f, ratio %.3f\n", median(decoded), median(kept),
              median(decoded) / median(kept));
} catch (const std::exception& error) {
  std::fprintf(stderr, "image_folder_bench: %s\n", error.what());
  return 1;
}
