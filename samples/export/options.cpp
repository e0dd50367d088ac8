#include "options.h"

#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "common/command_line.h"
#include "common/exit_code.h"

namespace {

bool is_same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code none;
  return a.lexically_normal() == b.lexically_normal() || std::filesystem::equivalent(a, b, none);
}

void check(const Options& options) {
  if (options.model.empty()) throw UsageError("--model: name a checkpoint, as runs/<date-time>/best.safetensors");
  if (options.onnx.empty() && options.c.empty()) throw UsageError("--onnx or --c: name the file to write");
  if (options.fold_batch_norm && options.onnx.empty())
    throw UsageError("--fold-batch-norm: is for --onnx; a C file has it folded always");
  if (options.c.empty() && !options.name.empty()) throw UsageError("--name: is for --c");
  if (options.c.empty() && options.decimal) throw UsageError("--decimal: is for --c");
  for (const auto& [name, file] : {std::pair{"--onnx", &options.onnx}, std::pair{"--c", &options.c}}) {
    if (!file->empty() && is_same_file(*file, options.model)) throw UsageError(fmt::format("{}: is the checkpoint itself", name));
  }
  if (!options.onnx.empty() && !options.c.empty() && is_same_file(options.onnx, options.c)) {
    throw UsageError("--onnx and --c: name the same file");
  }
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  CLI::App app("Writes a trained network as an ONNX file, or as one C file that needs no library.", program_name());
  command_line::add_help(app);
  command_line::add_path(app, "--model", "Checkpoint of a training, such as\nruns/<date-time>/best.safetensors", options.model);
  command_line::add_path(app, "--onnx", "Write an ONNX file, for ONNX Runtime, OpenCV and\nothers", options.onnx);
  command_line::add_path(app, "--c", "Write one C99 file: weights and a function that\npredicts, without a library", options.c);
  app.add_flag("--fold-batch-norm", options.fold_batch_norm,
               "Let convolutions do the work of BatchNorm in the\nONNX file; in a C file they always do; default: off")
      ->disable_flag_override();
  app.add_option_function<std::string>(
         "--name",
         [&](const std::string& text) {
           if (text.empty()) throw UsageError("--name: the name is empty");
           options.name = text;
         },
         "First word of the names in the C file: NAME_predict;\ndefault: the model's name")
      ->type_name("NAME");
  app.add_flag("--decimal", options.decimal, "Write the C file's weights as decimal numbers, in a\nsmaller file; default: off")
      ->disable_flag_override();
  app.footer(
      "Exit codes: 0 done, 2 wrong option, 5 a missing or damaged checkpoint, or a file or standard\n"
      "output that cannot be written, 7 out of memory");
  command_line::parse(app, command_line::words_of(argc, argv));
  check(options);
  return options;
}
