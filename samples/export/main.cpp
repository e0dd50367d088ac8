#include <csignal>
#include <cstdint>
#include <filesystem>

#include <fmt/format.h>

#include <gpucnn/gpucnn.h>

#include "ending.h"
#include "options.h"

using namespace gpucnn;

namespace {

/// One line for each file.
void report(const std::filesystem::path& file, const std::string& what) {
  print(fmt::format("{}: {}, {:.1f} MB\n", printable(file.string()), what, double(std::filesystem::file_size(file)) / 1e6));
}

ExitCode run(const Options& options) {
  const LoadedModel loaded = load_model(options.model);
  const Shape x = {1, loaded.image_shape[0], loaded.image_shape[1], loaded.image_shape[2]};
  if (!options.onnx.empty()) {
    export_onnx(*loaded.network, x, options.onnx, {.fold_batch_norm = options.fold_batch_norm, .metadata = loaded.metadata});
    report(options.onnx, loaded.name + " as ONNX");
  }
  if (!options.c.empty()) {
    export_c(*loaded.network, x, options.c,
             {.name = options.name.empty() ? loaded.name : options.name,
              .numbers = options.decimal ? ExportCOptions::Numbers::decimal : ExportCOptions::Numbers::hexadecimal,
              .class_names = loaded.class_names,
              .mean = loaded.normalize.mean,
              .std = loaded.normalize.std});
    report(options.c, loaded.name + " as C");
  }
  return ExitCode::done;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows too long is an error like a full disk
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return static_cast<int>(run(parse_options(argc, argv)));
  } catch (...) {
    return static_cast<int>(say_what_is_wrong());
  }
}
