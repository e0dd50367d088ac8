#include "fuzz_target.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gpucnn/core/error.h>

namespace fs = std::filesystem;

extern "C" {

int LLVMFuzzerInitialize(int* argc, char*** argv);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  for (int i = 1; i < *argc; ++i) {
    const fs::path corpus = (*argv)[i];
    if (corpus.string().starts_with('-') || fs::is_regular_file(corpus)) continue;
    fs::create_directories(corpus);
    int number = 0;
    for (const std::string& seed : fuzz::seeds()) {
      std::ofstream(corpus / ("seed-" + std::to_string(number++)), std::ios::binary) << seed;
    }
    break;
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    fuzz::run({reinterpret_cast<const char*>(data), size});
  } catch (const gpucnn::OutOfMemory& error) {
    std::fprintf(stderr, "memory was asked for that so small a file cannot fill: %s\n", error.what());
    std::abort();
  } catch (const gpucnn::Error& error) {
    if (std::string_view(error.what()).find('\n') != std::string_view::npos) {
      std::fprintf(stderr, "more than a sentence: %s\n", error.what());
      std::abort();
    }
  }
  return 0;
}
}
