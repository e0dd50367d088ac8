#include "introduction.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "config.h"
#include "machine.h"

using namespace gpucnn;

namespace {

/// "1 file", "2 files".
std::string count_of(std::int64_t count, const char* noun, const char* plural = "s") {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : plural);
}

std::string images_of(const RunData& data) {
  const std::int64_t train = data.train->size(), test = data.test->size();
  if (!data.validation) return fmt::format("{} training and {} test images", train, test);
  return fmt::format("{} training, {} validation and {} test images", train, data.validation->size(), test);
}

/// "4 threads", or of several ranks "2 processes of 4 threads each".
std::string workers_of(const Options& options) {
  const std::string threads = count_of(options.threads, "thread");
  return options.world == 1 ? threads : fmt::format("{} of {} each", count_of(options.world, "process", "es"), threads);
}

/// What --freeze has come to; empty without it.
std::string frozen_of(Module& model) {
  const std::vector<Parameter> parameters = model.parameters();
  const auto learned = std::ranges::count_if(parameters, [](const Parameter& parameter) { return parameter.requires_grad(); });
  const auto all = std::ssize(parameters);
  return learned == all ? "" : fmt::format("{} of {} parameter tensors are frozen", all - learned, all);
}

}  // namespace

std::vector<std::string> introduction(const Options& options, const Setup& setup) {
  const RunData& data = setup.data;
  const std::string where = options.data.empty() ? "" : fmt::format(" in {}", options.data.string());
  std::vector<std::string> lines{fmt::format("{} on {}{}: {}", setup.title, data.name, where, images_of(data))};
  if (!data.damaged.empty()) {
    lines.push_back(fmt::format("{} left out, the first: {}", count_of(std::ssize(data.damaged), "damaged image"),
                                data.damaged.front().reason));
  }
  if (data.left_out > 0) {
    lines.push_back(fmt::format("{} left out, whose names are not those of images", count_of(data.left_out, "file")));
  }
  if (const std::string frozen = frozen_of(*setup.model); !frozen.empty()) lines.push_back(frozen);
  lines.push_back(fmt::format("{}; {}", workers_of(options), setup.why));
  return lines;
}

RunReportTexts report_texts(const Options& options, const Setup& setup, const std::string& judged) {
  return {.title = fmt::format("{} on {}", setup.title, setup.data.name),
          .class_names = setup.data.class_names,
          .epochs = options.epochs,
          .judged = judged,
          .configuration = rows_of(options, setup.data, setup.device),
          .machine = machine_rows(options.threads, setup.why)};
}
