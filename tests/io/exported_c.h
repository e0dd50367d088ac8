#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/temporary_folder.h"

namespace gpucnn::testing {

/// How a C compiler is called, and what runs its programs.
struct CCompiler {
  std::string command;
  std::string runner = "";
};

inline bool is_installed(const std::string& program) { return std::system(("command -v " + program + " >/dev/null").c_str()) == 0; }

/// Those of this machine.
inline std::vector<CCompiler> c_compilers() {
  std::vector<CCompiler> compilers;
  for (const char* name : {"gcc", "clang"}) {
    if (is_installed(name)) compilers.push_back({name});
  }
  return compilers;
}

/// A file of export_c, with a program around it that reads an input and writes the output.
class ExportedC {
 public:
  explicit ExportedC(std::string name = "network") : name_(std::move(name)) {}

  std::filesystem::path file() const { return folder_ / "network.c"; }
  std::string text() const { return read_bytes(file()); }

  /// Compiles it; what the compiler says is a failure. `main` is what the program does with `input` and `output`.
  void compile(const CCompiler& compiler, std::size_t inputs, std::size_t outputs, const std::string& options = "-O2") {
    write_bytes(folder_ / "main.c",
                fmt::format("#include <stdio.h>\nvoid {0}_predict(const float *input, float *output);\n"
                            "int main(void) {{\n  static float input[{1}], output[{2}];\n"
                            "  if (fread(input, sizeof *input, {1}, stdin) != {1}) return 1;\n  {0}_predict(input, output);\n"
                            "  return fwrite(output, sizeof *output, {2}, stdout) != {2};\n}}\n",
                            name_, inputs, outputs));
    const std::string command =
        fmt::format("cd '{}' && {} -std=c99 -Wall -Wextra -pedantic -Werror {} network.c main.c -o program -lm >log 2>&1",
                    folder_.path().string(), compiler.command, options);
    ASSERT_EQ(std::system(command.c_str()), 0) << read_bytes(folder_ / "log");
    runner_ = compiler.runner;
  }

  std::vector<float> predict(const std::vector<float>& input) {
    write_bytes(folder_ / "input", {reinterpret_cast<const char*>(input.data()), input.size() * sizeof(float)});
    const std::string command = fmt::format("cd '{}' && {} ./program <input >output 2>log", folder_.path().string(), runner_);
    EXPECT_EQ(std::system(command.c_str()), 0) << read_bytes(folder_ / "log");
    const std::string bytes = read_bytes(folder_ / "output");
    std::vector<float> output(bytes.size() / sizeof(float));
    std::memcpy(output.data(), bytes.data(), output.size() * sizeof(float));
    return output;
  }

  const TemporaryFolder& folder() const { return folder_; }

 private:
  TemporaryFolder folder_;
  std::string name_, runner_;
};

}  // namespace gpucnn::testing
