#pragma once

#include <filesystem>
#include <string>

#include <gpucnn/gpucnn.h>

/// What to do about a file that --init cannot take.
inline constexpr const char* kInitAdvice = "; give --init a checkpoint of a training";

/// Starts from the weights that another run has saved; `name` is the model's. Throws `CheckpointError` if they are not such.
void load_weights(const std::filesystem::path& file, const std::string& name, gpucnn::Module& model);

/// Takes a run up where its state says. Throws `CheckpointError` if that is damaged, holds NaN or infinities, or is of another run
/// than that of this identity.
gpucnn::RunPosition load_run(const std::filesystem::path& file, const gpucnn::RunParts& parts, const std::string& identity);
