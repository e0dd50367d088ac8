#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <gpucnn/io/model_metadata.h>

#include "fuzz_target.h"

namespace {

/// Keys and values, each on a line of its own.
std::string lines_of(const gpucnn::Metadata& metadata) {
  std::string lines;
  for (const auto& [key, value] : metadata) lines.append(key).append("\n").append(value).append("\n");
  return lines;
}

gpucnn::Metadata metadata_of(std::string_view lines) {
  gpucnn::Metadata metadata;
  std::string key;
  bool is_key = true;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const std::string line(lines.substr(0, end));
    if (is_key) {
      key = line;
    } else {
      metadata[key] = line;
    }
    is_key = !is_key;
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return metadata;
}

}  // namespace

std::vector<std::string> fuzz::seeds() {
  const gpucnn::Metadata whole{
      {"model", "resnet9"},        {"width", "8"},           {"num_classes", "2"},  {"class_names", R"(["cat","d\u00f6g"])"},
      {"image_shape", "[3,32,8]"}, {"mean", "[0.5,0,1e-3]"}, {"std", "[1,0.25,2]"}, {"version", "0.1.0"}};
  std::vector<std::string> all{lines_of(whole), lines_of({{"format", "pt"}}), ""};
  for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{{"width", ""},
                                                                                   {"width", "2147483648"},
                                                                                   {"num_classes", "1000000000000"},
                                                                                   {"class_names", "[[]]"},
                                                                                   {"class_names", R"({"a":1})"},
                                                                                   {"image_shape", "[1,1000000000,1]"},
                                                                                   {"image_shape", "[0,1,1]"},
                                                                                   {"mean", "[1e999,null]"},
                                                                                   {"std", "[-1,0,1e-60]"},
                                                                                   {"version", "9.9.9"}}) {
    gpucnn::Metadata changed = whole;
    changed[key] = value;
    all.push_back(lines_of(changed));
  }
  return all;
}

void fuzz::run(std::string_view bytes) {
  const gpucnn::ModelMetadata model = gpucnn::parse_model_metadata("file", metadata_of(bytes));
  const auto channels = static_cast<std::size_t>(model.image_shape[0]);
  const bool has_shape = model.image_shape.rank() == 3 && model.image_shape.numel() >= 1;
  const auto fits = [](double least) {
    return [least](double value) { return std::isfinite(static_cast<float>(value)) && static_cast<float>(value) > least; };
  };
  constexpr double kInfinity = HUGE_VAL;
  if (!has_shape || model.class_names.empty() || model.width.value_or(1) < 1 || model.normalize.mean.size() != channels ||
      model.normalize.std.size() != channels || !std::ranges::all_of(model.normalize.mean, fits(-kInfinity)) ||
      !std::ranges::all_of(model.normalize.std, fits(0))) {
    std::abort();
  }
}
