#include <cstdint>
#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>

#include <gpucnn/gpucnn.h>

#include "common/exit_code.h"
#include "common/terminal/waiting_line.h"
#include "options.h"

using namespace gpucnn;

namespace {

/// One line for each file.
void report(const std::filesystem::path& file, const std::string& what) {
  print(fmt::format("{}: {}, {:.1f} MB\n", printable(file.string()), what, double(std::filesystem::file_size(file)) / 1e6));
}

void write_onnx(const Options& options, const LoadedModel& loaded, const Shape& x) {
  const WaitingLine waiting("writing ONNX");
  export_onnx(*loaded.network, x, options.onnx, {.fold_batch_norm = options.fold_batch_norm, .metadata = loaded.metadata});
}

void write_c(const Options& options, const LoadedModel& loaded, const Shape& x) {
  const WaitingLine waiting("writing C");
  export_c(*loaded.network, x, options.c,
           {.name = options.name.empty() ? loaded.name : options.name,
            .numbers = options.decimal ? ExportCOptions::Numbers::decimal : ExportCOptions::Numbers::hexadecimal,
            .class_names = loaded.class_names,
            .mean = loaded.normalize.mean,
            .std = loaded.normalize.std});
}

void export_all(const Options& options, const LoadedModel& loaded) {
  const Shape x = {1, loaded.image_shape[0], loaded.image_shape[1], loaded.image_shape[2]};
  if (!options.onnx.empty()) {
    write_onnx(options, loaded, x);
    report(options.onnx, loaded.name + " as ONNX");
  }
  if (!options.c.empty()) {
    write_c(options, loaded, x);
    report(options.c, loaded.name + " as C");
  }
}

LoadedModel load(const Options& options) {
  const WaitingLine waiting("reading the model");
  return load_model(options.model);
}

ExitCode run(const Options& options) {
  const LoadedModel loaded = load(options);
  try {
    export_all(options, loaded);
  } catch (const std::invalid_argument& error) {  // what a file may hold, and its export cannot
    throw CheckpointError(fmt::format("{}: {}", options.model.string(), error.what()));
  }
  return ExitCode::done;
}

}  // namespace

int main(int argc, char** argv) {
  start({.arguments = "--model FILE (--onnx FILE | --c FILE)",
         .memory_advice = "stop other programs, or export on a larger machine",
         .output_advice = "choose another place with --onnx or --c",
         .data = ExitCode::output});
  try {
    return static_cast<int>(run(parse_options(argc, argv)));
  } catch (...) {
    return static_cast<int>(fail_as_caught());
  }
}
