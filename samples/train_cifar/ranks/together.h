#pragma once

#include <functional>

#include <gpucnn/gpucnn.h>

#include "common/exit_code.h"

/// What has ended a run on another rank, which has said why.
struct EndedElsewhere {
  ExitCode code;
};

/// Does on every rank what may fail there, for as long as it takes. If it fails on some, the first of them says why, and all throw
/// `EndedElsewhere`. In a run of one it throws what `work` throws. Of collectives, `work` may call those alone that throw on every
/// rank or on none, and nothing else beside them that may throw.
void together(const gpucnn::Distributed& ranks, const std::function<void()>& work);

/// The signal that came to a rank, the highest of several, or 0. Ranks call it together.
int stop_signal_of(const gpucnn::Distributed& ranks);
