#pragma once

#include <string>
#include <vector>

#include <gpucnn/gpucnn.h>

#include "common/exit_code.h"

/// A training by all ranks that mpirun or srun started. Rank 0 prints, and has the folder. `words`: of the command line. Throws
/// `EndedElsewhere`.
ExitCode run_ranks(const gpucnn::Distributed& ranks, std::vector<std::string> words);
