#pragma once

#include <string>
#include <utility>
#include <vector>

/// The machine that a run has, as a report shows it: processor, threads, what is computed on, and when it began.
std::vector<std::pair<std::string, std::string>> machine_rows(int threads, const std::string& device);
