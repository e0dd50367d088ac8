#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <span>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include <gpucnn/gpucnn.h>

#include "classifier.h"
#include "common/exit_code.h"
#include "common/write_all.h"
#include "failure.h"
#include "inputs.h"
#include "options.h"
#include "report.h"

using namespace gpucnn;

namespace {

Device choose_device(const std::string& text) {
  if (text == "auto") return Device::best();
  const Device device = Device::parse(text);
  try {
    device.require();
  } catch (const DeviceError& error) {
    throw DeviceError(fmt::format("{}; --device cpu always can", error.what()));
  }
  return device;
}

void print(const std::string& text) {
  if (const int error = write_all(STDOUT_FILENO, text); error != 0) {
    throw StandardOutputError("standard output cannot be written: " + std::generic_category().message(error));
  }
}

ExitCode run(const Options& options) {
  set_num_threads(options.threads);
  const Classifier classifier(options.model, choose_device(options.device), options.top);
  const std::vector<Input> inputs = find_inputs(options.inputs);
  const Report lines(classifier.class_names(), inputs, options.json);
  const auto batch_size = static_cast<std::size_t>(options.batch_size > 0 ? options.batch_size : classifier.batch_size());
  std::size_t failed = 0;
  for (std::size_t first = 0; first < inputs.size(); first += batch_size) {
    const std::span<const Input> batch = std::span(inputs).subspan(first, std::min(batch_size, inputs.size() - first));
    const std::vector<Answer> answers = classifier(batch);
    std::string text;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      text += lines.line(batch[i], answers[i]);
      if (answers[i].problem.empty()) continue;
      report(answers[i].problem);
      ++failed;
    }
    print(text);
  }
  if (failed > 1) report(fmt::format("{} of {} could not be classified", failed, inputs.size()));
  return failed == 0 ? ExitCode::done : ExitCode::data;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error like any other
  try {
    return static_cast<int>(run(parse_options(argc, argv)));
  } catch (...) {
    return static_cast<int>(report_caught());
  }
}
