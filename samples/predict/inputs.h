#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

/// A file to be classified, or a name that leads to none.
struct Input {
  std::filesystem::path file;
  std::string problem = {};  // why there is no image, as a sentence with the name in it; empty: there may be one
};

/// The files that names stand for, in their order: files as they are, whatever their names; of a folder all images below, sorted
/// bytewise, but for hidden ones; for "-" the names on standard input, one a line, of which folders count as well. Links are
/// followed, and of a folder that several lead to each image counts once.
std::vector<Input> find_inputs(std::span<const std::string> names);
