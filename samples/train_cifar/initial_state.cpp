#include "initial_state.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

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

/// Whether two shapes differ in nothing but their first extent, which is `first` in `own`.
bool differs_in_classes(const Shape& own, const Shape& given, std::int64_t first) {
  if (own.rank() == 0 || own.rank() != given.rank() || own[0] != first || given[0] == first) return false;
  for (int axis = 1; axis < own.rank(); ++axis) {
    if (own[axis] != given[axis]) return false;
  }
  return true;
}

/// A state for a model of other classes than it was saved with: what counts them is the model's own.
struct Adapted {
  StateDict state;
  std::vector<std::string> fresh;  // names of the model's own
  std::int64_t classes = 0;        // of the file; 0 where nothing is fresh
};

Adapted adapt(const StateDict& state, const StateDict& own, std::int64_t num_classes) {
  Adapted adapted;
  for (const auto& [name, tensor] : state) {
    const Tensor* const here = own.find(name);
    const bool differs = here && differs_in_classes(here->shape(), tensor.shape(), num_classes);
    const bool is_fresh = differs && (adapted.fresh.empty() || tensor.dim(0) == adapted.classes);
    if (is_fresh) {
      adapted.classes = tensor.dim(0);
      adapted.fresh.push_back(name);
    }
    adapted.state.add(name, is_fresh ? *here : tensor);
  }
  for (const auto& [name, why] : state.left_out()) adapted.state.leave_out(name, why);
  return adapted;
}

}  // namespace

std::string load_weights(const Weights& weights, const std::string& name, const Metadata& own, std::int64_t num_classes,
                         Module& model) {
  const std::string file = weights.file.string();
  try {
    const Adapted adapted = adapt(weights.state, model.state_dict(), num_classes);
    model.load_state_dict(adapted.state);
    require_finite(weights.state, weights.file);
    if (adapted.fresh.empty()) return {};
    return fmt::format("{} has {} classes, not {}: {} start fresh", file, adapted.classes, num_classes,
                       fmt::join(adapted.fresh, " and "));
  } catch (const std::invalid_argument& error) {
    const std::string other = other_model(weights, own);
    if (!other.empty()) throw CheckpointError(fmt::format("{}: {}", file, other));
    throw CheckpointError(fmt::format("{}: holds no {}: {}{}", file, name, error.what(), kInitAdvice));
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
