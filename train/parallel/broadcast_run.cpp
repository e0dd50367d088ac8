#include <gpucnn/train/parallel/broadcast_run.h>

#include <stdexcept>
#include <string>
#include <string_view>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/train/run_state.h>

namespace gpucnn {
namespace {

/// Names and texts, a line each: both are ours and have no line breaks.
std::string lines_of(const Metadata& fields) {
  std::string lines;
  for (const auto& [name, text] : fields) lines.append(name).append("\n").append(text).append("\n");
  return lines;
}

Metadata fields_in(std::string_view lines) {
  const auto next = [&lines] {
    const std::size_t end = lines.find('\n');
    std::string line(lines.substr(0, end));
    lines.remove_prefix(end + 1);
    return line;
  };
  Metadata fields;
  while (!lines.empty()) {
    const std::string name = next();
    fields[name] = next();
  }
  return fields;
}

/// What must be alike for tensors to be sent one after the other.
std::string layout_of(const StateDict& tensors) {
  std::string layout;
  for (const auto& [name, tensor] : tensors)
    layout += formatted("{} {} {}\n", name, name_of(tensor.dtype()), tensor.shape().string());
  return layout;
}

}  // namespace

RunPosition broadcast_run(const Distributed& distributed, const RunParts& run, const RunPosition& position) {
  Metadata fields = fields_of(run, position);
  if (run.train) fields[std::string(RunState::kOwn) + "train.epoch"] = std::to_string(run.train->epoch());  // that begins next
  const StateDict own = tensors_of(run);
  distributed.require_same("the model or the optimizer", layout_of(own));
  fields = fields_in(distributed.broadcast(lines_of(fields)));
  StateDict there;
  for (const auto& [name, tensor] : own) {
    Tensor values = tensor.device() == Device::cpu() ? tensor.clone() : tensor.to(Device::cpu());
    distributed.broadcast(values);
    there.add(name, values);
  }
  if (distributed.is_main()) return position;
  RunState state("the run of rank 0", there, fields);
  state.check(run);
  state.restore(run);
  return state.take().position;
}

void broadcast_buffers(const Distributed& distributed, Module& model) {
  for (Tensor& buffer : model.buffers()) {
    Tensor values = buffer.to(Device::cpu()).clone();
    distributed.broadcast(values);
    if (!distributed.is_main()) buffer.copy_from(values);
  }
}

void require_own_part(const Distributed& distributed, const DataLoader& loader) {
  const BatchPart own{distributed.rank(), distributed.size()}, part = loader.options().part;
  if (part == own) return;
  throw std::invalid_argument(
      formatted("DataLoader: has part {} of {} of every batch, but this is rank {} of {}; give it .part = "
                "{{distributed.rank(), distributed.size()}}",
                part.index, part.count, own.index, own.count));
}

}  // namespace gpucnn
