#include "export/options.h"

#include <cstdlib>
#include <sstream>
#include <system_error>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <gpucnn/core/config.h>

#include "export/ending.h"

namespace {

/// An option for a file. An empty name is a variable that was not set, not a wish for none.
CLI::Option* add_file(CLI::App& app, const std::string& name, const std::string& help, std::filesystem::path& value) {
  const auto read = [&value, name](const std::string& text) {
    if (text.empty()) throw UsageError(name + ": the name is empty");
    value = text;
  };
  return app.add_option_function<std::string>(name, read, help)->type_name("FILE");
}

/// CLI11's words for a wrong command line, or better ones.
std::string explain(const CLI::ParseError& error) {
  std::string message = error.what();
  if (!message.ends_with(" missing")) return message;
  return message.substr(0, message.find(':')) + ": its value is missing";
}

bool is_same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code none;
  return a.lexically_normal() == b.lexically_normal() || std::filesystem::equivalent(a, b, none);
}

void check(const CLI::App& app, const Options& options) {
  if (!app.remaining().empty()) throw UsageError(fmt::format("'{}' is not an option", app.remaining().front()));
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() > 1) throw UsageError(option->get_name() + ": given more than once");
  }
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
  CLI::App app("Writes a trained network as an ONNX file, or as one C file that needs no library.", "export");
  app.option_defaults()->take_last();  // `check` refuses what is given twice
  app.allow_extras();                  // and what is no option
  app.set_help_flag("-h,--help", "Print this and exit");
  app.set_version_flag("--version", fmt::format("export {}", gpucnn::kVersion), "Print the version and exit");
  add_file(app, "--model", "The checkpoint, as best.safetensors of train_cifar", options.model);
  add_file(app, "--onnx", "Write an ONNX file, for ONNX Runtime, OpenCV and\nothers", options.onnx);
  add_file(app, "--c", "Write one C99 file: weights and a function that\npredicts, without a library", options.c);
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
      "Exit codes: 0 done, 2 wrong option, 5 a missing or damaged checkpoint or a file that\n"
      "cannot be written, 7 out of memory");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    std::ostringstream text;
    app.exit(help_or_version, text, text);
    print(text.str());
    std::exit(0);
  } catch (const CLI::ParseError& error) {
    throw UsageError(explain(error));
  }
  check(app, options);
  return options;
}
