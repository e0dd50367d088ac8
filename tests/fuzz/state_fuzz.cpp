#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/schedules/step_lr.h>
#include <gpucnn/train/checkpoint.h>

#include "fuzz_target.h"
#include "memory_file.h"

using namespace gpucnn;

namespace {

/// A small run with every part that a checkpoint keeps.
struct Run {
  Sequential model{Linear(3, 2), Dropout(0.5)};
  Adam optimizer{model.parameters()};
  StepLR schedule{optimizer, {.step_size = 2}};
  ExponentialMovingAverage ema{model};
  DataLoader train{TensorDataset(Tensor::zeros({5, 1, 1, 3}), Tensor::zeros({5}, DType::i32)), {.batch_size = 2, .shuffle = true}};
  RunParts parts{.model = model, .optimizer = optimizer, .train = &train, .scheduler = &schedule, .ema = &ema};

  std::string checkpoint(const RunParts& of, const RunPosition& position, const Metadata& metadata = {}) {
    const std::filesystem::path file = std::filesystem::temp_directory_path() / "state_fuzz.safetensors";
    save_checkpoint(file, of, position, metadata);
    std::ifstream bytes(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(bytes), {}};
  }
};

}  // namespace

std::vector<std::string> fuzz::seeds() {
  Run run;
  const RunParts bare{.model = run.model, .optimizer = run.optimizer};
  std::vector<std::string> all{run.checkpoint(run.parts, {.epoch = 1, .batches = 2, .seconds = 0.5}, {{"model", "mine"}}),
                               run.checkpoint(run.parts, {.epoch = 7, .best_epoch = 3, .best_accuracy = 0.25}),
                               run.checkpoint(bare, {})};
  all.push_back(all[0].substr(0, all[0].size() / 2));
  return all;
}

void fuzz::run(std::string_view bytes) {
  static MemoryFile file;
  file.set(bytes);
  Run run;
  try {
    const RunPosition position = load_checkpoint(file.path(), run.parts).position;
    if (position.epoch < 0 || position.batches < 0 || position.batches > run.train.size() || run.optimizer.steps() < 0)
      std::abort();
    if (run.schedule.steps() < 0 || run.optimizer.lr() < 0) std::abort();
  } catch (const std::invalid_argument&) {  // a checkpoint of another run
  }
}
