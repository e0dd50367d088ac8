#pragma once

#include <gpucnn/train/trainer.h>

namespace gpucnn {

/// What an epoch of a Trainer came to.
inline Metrics epoch_of(Trainer& trainer) {
  Metrics seen;
  trainer.start_epoch();
  while (trainer.step()) seen += trainer.take();
  return seen += trainer.finish();
}

}  // namespace gpucnn
