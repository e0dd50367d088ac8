#pragma once

#include <filesystem>
#include <string>

/// What export was asked to do.
struct Options {
  std::filesystem::path model;
  std::filesystem::path onnx;    // empty: none
  std::filesystem::path c;       // empty: none
  bool fold_batch_norm = false;  // in the ONNX file; the C file has it folded always
  std::string name;              // of the functions in the C file; empty: the model's
  bool decimal = false;          // whether the C file's weights are decimal numbers
};

/// The options of a command line. Prints and ends the program for --help and --version. Throws `UsageError` for what cannot be
/// meant, and `StandardOutputError`.
Options parse_options(int argc, char** argv);
