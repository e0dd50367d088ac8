#include "setup.h"

#include "common/command_line.h"
#include "config.h"
#include "freeze.h"
#include "initial_state.h"
#include "parts.h"

using namespace gpucnn;

namespace {

/// With what the parts are made. All threads of this process are the training's.
Device prepare(const Options& options, std::string& why) {
  set_num_threads(options.threads);
  set_core_migration(true);
  return command_line::choose_device(options.device, &why);
}

}  // namespace

Setup::Setup(const Options& options, const std::shared_ptr<const ReaderGroup>& group)
    : device(prepare(options, why)),
      precision(choose_precision(options, device, why)),
      data(load_data(options, device, group)),
      title(options.model == "simple_cnn" ? "SimpleCNN" : options.model),
      model(make_network(options, data)) {
  model->init(options.seed).to(device).set_precision(precision);
  freeze(*model, options.freeze);
}

std::string Setup::load(const Weights& weights, const Options& options) {
  return load_weights(weights, title, metadata_of(options, data), std::ssize(data.class_names), *model);
}

std::string Setup::load_init(const Options& options) {
  if (options.init.empty()) return {};
  const Weights weights = read_weights(options.init);
  const std::string fresh = load(weights, options);
  return fresh.empty() ? other_classes(weights, data.class_names) : fresh;
}
