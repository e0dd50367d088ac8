#pragma once

#include <gpucnn/gpucnn.h>

#include "train_cifar/options.h"

/// With how many threads this rank computes: those of --threads, or else its part of the processors that it may run on. Ranks call
/// it together.
int threads_of(const gpucnn::Distributed& ranks, const Options& options);
