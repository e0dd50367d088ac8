#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <fmt/format.h>

#include <gpucnn/gpucnn.h>

#include "classifier.h"
#include "common/command_line.h"
#include "common/exit_code.h"
#include "common/terminal/waiting_line.h"
#include "heat_map_folder.h"
#include "inputs.h"
#include "options.h"
#include "report.h"

using namespace gpucnn;

namespace {

std::vector<Input> inputs_of(const Options& options) {
  const bool may_be_typed = std::ranges::find(options.inputs, "-") != options.inputs.end();
  const WaitingLine waiting("looking for images", may_be_typed);
  return find_inputs(options.inputs);
}

std::vector<Answer> answers_of(Classifier& classifier, std::span<const Input> batch) {
  const WaitingLine waiting("classifying images");
  return classifier(batch);
}

ExitCode run(const Options& options) {
  set_num_threads(options.threads);
  Classifier classifier(options.model, command_line::choose_device(options.device), options.top, !options.heatmap.empty());
  const std::vector<Input> inputs = inputs_of(options);
  const Report lines(classifier.class_names(), inputs, options.json);
  std::optional<HeatMapFolder> heat_maps;
  if (!options.heatmap.empty()) heat_maps.emplace(options.heatmap, inputs);
  const auto batch_size = static_cast<std::size_t>(options.batch_size > 0 ? options.batch_size : classifier.batch_size());
  std::size_t failed = 0;
  for (std::size_t first = 0; first < inputs.size(); first += batch_size) {
    const std::span<const Input> batch = std::span(inputs).subspan(first, std::min(batch_size, inputs.size() - first));
    const std::vector<Answer> answers = answers_of(classifier, batch);
    std::string text;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (heat_maps && !answers[i].heat_map.empty()) heat_maps->add(batch[i].file, answers[i].heat_map);
      text += lines.line(batch[i], answers[i]);
      if (answers[i].problem.empty()) continue;
      fail(ExitCode::data, answers[i].problem);
      ++failed;
    }
    print(text);
  }
  if (failed > 1) fail(ExitCode::data, fmt::format("{} of {} could not be classified", failed, inputs.size()));
  return failed == 0 ? ExitCode::done : ExitCode::data;
}

}  // namespace

int main(int argc, char** argv) {
  start({.arguments = "--model FILE [OPTIONS] IMAGE...",
         .memory_advice = "use a smaller batch (--batch-size)",
         .output_advice = "choose another place"});
  try {
    return static_cast<int>(run(parse_options(argc, argv)));
  } catch (...) {
    return static_cast<int>(fail_as_caught());
  }
}
