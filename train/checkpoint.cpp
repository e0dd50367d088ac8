#include <gpucnn/train/checkpoint.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/train/run_state.h>

namespace gpucnn {

void save_checkpoint(const std::filesystem::path& path, const RunParts& run, const RunPosition& position,
                     const Metadata& metadata) {
  Metadata fields = fields_of(run, position);
  for (const auto& [name, text] : metadata) {
    if (name.starts_with(RunState::kOwn)) {
      throw std::invalid_argument(formatted("save_checkpoint: a field cannot be named {}", printable(name, kMaxNameBytes)));
    }
    fields[name] = text;
  }
  save_safetensors(path, tensors_of(run), fields);
}

LoadedCheckpoint load_checkpoint(const std::filesystem::path& path, const RunParts& run) {
  const auto [tensors, fields] = load_safetensors(path);
  RunState state(path.string(), tensors, fields);
  state.check(run);
  state.restore(run);
  return state.take();
}

}  // namespace gpucnn
