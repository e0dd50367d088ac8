#pragma once

#include <filesystem>
#include <string>
#include <vector>

/// What predict was asked to do.
struct Options {
  std::filesystem::path model;
  std::vector<std::string> inputs;  // files, folders, and "-" for names on standard input
  int top = 3;
  int batch_size = 0;  // 0: as many as memory should hold
  bool json = false;
  std::filesystem::path heatmap;  // a folder; empty: no heat maps
  std::string device = "auto";
  int threads;
};

/// The options of a command line. Prints and ends the program for --help and --version. Throws `UsageError` for what cannot be
/// meant.
Options parse_options(int argc, char** argv);
