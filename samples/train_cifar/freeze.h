#pragma once

#include <string>
#include <vector>

#include <gpucnn/gpucnn.h>

/// Freezes the parameters whose names match one of these patterns, as a shell matches files: `*` is any text, `?` a character. A
/// module whose parameters are all frozen is frozen as a whole, so its running statistics stay. Throws `UsageError` for a pattern
/// without a match, and where nothing is left to learn.
void freeze(gpucnn::Module& model, const std::vector<std::string>& patterns);
