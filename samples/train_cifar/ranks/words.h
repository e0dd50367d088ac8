#pragma once

#include <string>
#include <vector>

#include <gpucnn/gpucnn.h>

/// Rank 0's words of a command line, on every rank.
std::vector<std::string> words_of_main(const gpucnn::Distributed& ranks, const std::vector<std::string>& words);

/// Throws `UsageError` on every rank, naming an option of which ranks have other values. Their order may differ.
void require_same_words(const gpucnn::Distributed& ranks, const std::vector<std::string>& words);
