#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <gpucnn/gpucnn.h>

#include "weights.h"

/// What to do about a file that --init cannot take.
inline constexpr const char* kInitAdvice = "; give --init a checkpoint of a training";

/// Starts from weights that another run has saved. `name` is the model's, which tells `num_classes` apart, and `own` what its own
/// weights are saved with. Parameters of other classes stay as they are drawn: returns a sentence about them, empty where there are
/// none. Throws `CheckpointError` for weights that differ in something else.
std::string load_weights(const Weights& weights, const std::string& name, const gpucnn::Metadata& own, std::int64_t num_classes,
                         gpucnn::Module& model);

/// Takes a run up where its state says. Throws `CheckpointError` if that is damaged, holds NaN or infinities, or is of another run
/// than that of this identity.
gpucnn::RunPosition load_run(const std::filesystem::path& file, const gpucnn::RunParts& parts, const std::string& identity);
