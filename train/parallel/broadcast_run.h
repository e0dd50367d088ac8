#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/distributed/distributed.h>
#include <gpucnn/train/checkpoint.h>

namespace gpucnn {

/// Puts the parts of a run on every rank in the state that they have on rank 0, and returns its position: all that a checkpoint
/// keeps. Ranks call it together, with parts that were made alike. `fit`, Trainer and TrainStep do for what they get: only rank 0
/// need load weights, or a checkpoint. Throws `std::invalid_argument` for parts that were made otherwise.
GPUCNN_API RunPosition broadcast_run(const Distributed& distributed, const RunParts& run, const RunPosition& position = {});

/// Gives every rank the buffers that the model has on rank 0. Running statistics are those of each rank's own images meanwhile.
void broadcast_buffers(const Distributed& distributed, Module& model);

/// Throws `std::invalid_argument` unless the loader has this rank's part of each batch.
void require_own_part(const Distributed& distributed, const DataLoader& loader);

/// The processes that a step has to reckon with: null for none, or for a run of one.
inline const Distributed* other_ranks(const Distributed* distributed) {
  return distributed && distributed->size() > 1 ? distributed : nullptr;
}

}  // namespace gpucnn
