#include "initial_state.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

#include "common/exit_code.h"
#include "common/run_folder.h"
#include "config.h"

using namespace gpucnn;

namespace {

/// Weights that are no numbers would show as a loss that is none, whose cause would be looked for elsewhere.
void require_finite(const StateDict& state, const std::filesystem::path& file) {
  for (const auto& [name, tensor] : state) {
    if (tensor.dtype() != DType::f32) continue;
    const std::vector<float> values = tensor.to_vector<float>();
    const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
    if (bad == values.end()) continue;
    throw CheckpointError(fmt::format("{}: tensor {} holds {}, so the run that wrote it had failed", file.string(), name, *bad));
  }
}

}  // namespace

void load_weights(const std::filesystem::path& file, const std::string& name, Module& model) {
  try {
    const StateDict state = load_safetensors(file).first;
    model.load_state_dict(state);
    require_finite(state, file);
  } catch (const DataError& error) {
    throw CheckpointError(fmt::format("{}{}", error.what(), kInitAdvice));
  } catch (const std::invalid_argument& error) {
    throw CheckpointError(fmt::format("{}: holds no {}: {}{}", file.string(), name, error.what(), kInitAdvice));
  }
}

RunPosition load_run(const std::filesystem::path& file, const RunParts& parts, const std::string& identity) {
  try {
    const auto [position, metadata] = load_checkpoint(file, parts);
    const auto before = metadata.find(RunFolder::kIdentity);
    require_same_run(identity, before == metadata.end() ? "" : before->second, file);
    require_finite(parts.model.state_dict().with_prefix("model."), file);
    require_finite(parts.optimizer.state_dict().with_prefix("optimizer."), file);
    if (parts.ema) require_finite(parts.ema->state_dict().with_prefix("ema."), file);
    return position;
  } catch (const DataError& error) {
    throw CheckpointError(error.what());
  } catch (const std::invalid_argument& error) {
    throw CheckpointError(error.what());
  }
}
