#include "report.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "common/json_text.h"

namespace {

constexpr std::size_t kMaxFileColumns = 60, kMaxClassColumns = 30;

/// The columns that a text takes: one for each character, as far as that can be known.
std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string padded(std::string text, std::size_t columns) {
  const std::size_t taken = columns_of(text);
  return text.append(taken < columns ? columns - taken : 0, ' ');
}

}  // namespace

Report::Report(const std::vector<std::string>& class_names, std::span<const Input> inputs, bool json)
    : class_names_(class_names), json_(json) {
  if (json) return;
  for (const Input& input : inputs) {
    file_columns_ = std::max(file_columns_, std::min(columns_of(gpucnn::printable(input.file.string())), kMaxFileColumns));
  }
  for (const std::string& name : class_names) {
    class_columns_ = std::max(class_columns_, std::min(columns_of(gpucnn::printable(name)), kMaxClassColumns));
  }
}

std::string Report::line(const Input& input, const Answer& answer) const {
  return json_ ? object(input, answer) : answer.guesses.empty() ? "" : row(input, answer);
}

std::string Report::row(const Input& input, const Answer& answer) const {
  std::string line = padded(gpucnn::printable(input.file.string()), file_columns_);
  for (const Guess& guess : answer.guesses) {
    line += fmt::format("  {:5.1f} % ", 100.0F * guess.probability);
    const std::string name = gpucnn::printable(class_names_[static_cast<std::size_t>(guess.label)]);
    line += &guess == &answer.guesses.back() ? name : padded(name, class_columns_);
  }
  return line + '\n';
}

std::string Report::object(const Input& input, const Answer& answer) const {
  std::vector<json_text::Member> members{{"file", json_text::of(input.file.string())}};
  if (!answer.problem.empty()) {
    members.emplace_back("error", json_text::of(gpucnn::printable(answer.problem)));
  } else {
    std::vector<std::string> classes;
    for (const Guess& guess : answer.guesses) {
      classes.push_back(json_text::object({{"class", json_text::of(class_names_[static_cast<std::size_t>(guess.label)])},
                                           {"probability", fmt::format("{}", guess.probability)}},
                                          json_text::Layout::in_one_line));
    }
    members.emplace_back("classes", json_text::list(classes));
  }
  return json_text::object(members, json_text::Layout::in_one_line) + '\n';
}
