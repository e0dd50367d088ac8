#pragma once

#include "common/exit_code.h"
#include "train_cifar/options.h"

/// --overfit-batch: learns one batch of training images by heart, and says whether the loss came near 0. What cannot learn one
/// batch cannot learn a set: wrong labels, a rate that is much too high, a model that is cut off. Writes nothing.
ExitCode overfit_batch(const Options& options);
