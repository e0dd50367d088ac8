#pragma once

#include <string>
#include <string_view>
#include <vector>

/// What a target defines; `fuzz_target.cpp` is libFuzzer's side.
namespace fuzz {

/// Valid inputs and near misses to start from. The program writes them into the first folder of its command line, and makes the
/// folder.
std::vector<std::string> seeds();

/// Gives the bytes to a reader. A `gpucnn::Error` with a message is an answer like any other. Every other exception is a finding;
/// so is a sanitizer's report.
void run(std::string_view bytes);

}  // namespace fuzz
