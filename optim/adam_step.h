#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <gpucnn/kernels/optim/adam.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/adamw.h>

// What the optimizers that update by kernels::adam share.
namespace gpucnn {

/// AdamW's options in Adam's words.
AdamOptions as_adam(const AdamWOptions& options);

/// Throws `std::invalid_argument` for an option out of its bounds, which the message calls `prefix` and its name.
void check_options(const AdamOptions& options, const std::string& prefix = "");

/// An update of a range of that group, with options as they are now: `options.lr` and `options.betas.first` may have changed.
kernels::AdamStep adam_step(const AdamOptions& options, bool decoupled, std::int64_t step, std::size_t group);

}  // namespace gpucnn
