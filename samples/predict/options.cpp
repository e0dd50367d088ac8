#include "options.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include <gpucnn/gpucnn.h>

#include "common/command_line.h"
#include "common/exit_code.h"

namespace {

void check(const Options& options) {
  if (options.model.empty()) throw UsageError("--model: name a checkpoint, as runs/<date-time>/best.safetensors");
  if (options.inputs.empty()) throw UsageError("an image, a folder or - must be given");
  if (std::ranges::count(options.inputs, "-") > 1) throw UsageError("-: given more than once");
  if (std::ranges::find(options.inputs, "") != options.inputs.end()) throw UsageError("the name of an image is empty");
  command_line::check_device(options.device);
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options{.threads = gpucnn::num_threads()};
  CLI::App app("Says what is in pictures: the classes that a trained model finds most probable.", program_name());
  command_line::add_help(app);
  app.add_option("IMAGE", options.inputs,
                 "PNG and JPEG files of any size; folders, with all\nimages below; - reads names from standard input,\none a line")
      ->type_name("")
      ->take_all();
  command_line::add_path(app, "--model", "Checkpoint of a training, such as\nruns/<date-time>/best.safetensors", options.model);
  command_line::add_number(app, "--top", "Classes printed of each image, the most probable\nfirst", options.top, 1, 1'000'000);
  app.add_flag("--json", options.json, "Print a JSON object a line for each image; default:\na table")->disable_flag_override();
  command_line::add_path(app, "--heatmap",
                         "Write there for each image where the network sees\nits most probable class (Grad-CAM), as PNG",
                         options.heatmap);
  command_line::add_number(app, "--batch-size", "Images computed at once; default: up to 64, fewer\nof large ones",
                           options.batch_size, 1, 1'000'000)
      ->default_str("");
  command_line::add_device(app, options.device);
  command_line::add_number(app, "--threads", "CPU threads; the results do not depend on it", options.threads, 1, 1024);
  app.footer(
      "Images come to the size of the training's: the shorter side is brought to it and\n"
      "the centre cut out. Where those were not square, the image is stretched.\n"
      "Files that are no images are named on standard error; the others are done.\n\n"
      "Exit codes: 0 done, 2 wrong option, 3 no such device, 4 an image missing or damaged,\n"
      "5 output cannot be written or a damaged checkpoint, 7 out of memory");
  command_line::parse(app, command_line::words_of(argc, argv));
  check(options);
  return options;
}
