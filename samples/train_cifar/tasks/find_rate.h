#pragma once

#include "common/exit_code.h"
#include "train_cifar/options.h"

/// --find-lr: makes that test, prints the rate that it suggests, and draws its curve in the report of the folder. Trains nothing
/// that is kept.
ExitCode find_rate(const Options& options);
