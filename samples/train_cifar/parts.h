#pragma once

#include <memory>

#include <gpucnn/gpucnn.h>

#include "data.h"
#include "options.h"

/// The model of the options for these images. Throws `UsageError` for images
/// that are too small for it, or a width that it has not.
std::unique_ptr<gpucnn::Sequential> make_network(const Options& options, const RunData& data);

std::unique_ptr<gpucnn::Optimizer> make_optimizer(const Options& options, gpucnn::Module& model);

/// Null: the rate stays.
std::unique_ptr<gpucnn::LRScheduler> make_schedule(const Options& options, gpucnn::Optimizer& optimizer,
                                                   const gpucnn::DataLoader& train);
