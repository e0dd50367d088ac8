// A training that survives: it saves its state as it goes, and another process goes on from there, bit for bit.
#include <cstdio>
#include <filesystem>

#include <gpucnn/gpucnn.h>

using namespace gpucnn;
const std::filesystem::path file = "state.safetensors";

/// One process: it trains until `stop` says so, from where the one before it stopped. Returns the weights.
StateDict process(bool goes_on, const std::function<bool()>& stop) {
  const DatasetSplits shapes = make_shapes(400, 100);
  DataLoader train(shapes.train, {.batch_size = 32, .shuffle = true, .seed = 1, .flip = true});
  DataLoader test(shapes.test, {.batch_size = 100});
  SimpleCNN model(10);
  Adam optimizer(model.parameters());
  OneCycleLR schedule(optimizer, {.max_lr = 2e-3, .epochs = 3, .steps_per_epoch = train.size()});

  const RunParts run{.model = model, .optimizer = optimizer, .train = &train, .test = &test, .scheduler = &schedule};
  FitOptions options{.epochs = 3, .stop = stop, .scheduler = &schedule, .schedule_every = Every::step};
  options.save = [&](const RunPosition& position) { save_checkpoint(file, run, position); };
  if (goes_on) options.start = load_checkpoint(file, run).position;

  const FitResult result = fit(model, optimizer, train, test, options);
  if (result.stopped) save_checkpoint(file, run, result.position);
  std::printf("%d epochs and %d batches are done\n", result.position.epoch, static_cast<int>(result.position.batches));
  return model.state_dict();
}

int main() {
  const StateDict whole = process(false, [] { return false; });
  process(false, [steps = 0]() mutable { return ++steps == 20; });
  bool same = true;
  for (const auto& [name, tensor] : process(true, [] { return false; })) {
    same = same && tensor.to_vector<float>() == whole.at(name).to_vector<float>();
  }
  return same ? 0 : 1;
}
