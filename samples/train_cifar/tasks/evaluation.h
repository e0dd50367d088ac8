#pragma once

#include <optional>

#include <gpucnn/gpucnn.h>

#include "common/exit_code.h"
#include "train_cifar/options.h"

/// What all images of a loader say of a model; none if a signal asked for the end.
std::optional<gpucnn::Metrics> judge(gpucnn::Module& model, gpucnn::Loss& loss, gpucnn::DataLoader& loader);

/// --eval-only: prints what the test images say of the weights of --init. With --out, writes a report there, else nothing.
ExitCode evaluate_only(const Options& options);
