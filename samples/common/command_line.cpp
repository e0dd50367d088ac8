#include "common/command_line.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <type_traits>

#include <fmt/format.h>

#include <gpucnn/core/config.h>

#include "common/exit_code.h"

namespace command_line {
namespace {

/// CLI11's words for a wrong command line, or better ones.
std::string explain(const CLI::ParseError& error) {
  std::string message = error.what();
  if (!message.ends_with(" missing")) return message;
  return message.substr(0, message.find(':')) + ": its value is missing";
}

/// The option that a wrong name may have been meant for: the only one that begins so, else the nearest. Null without one.
const std::string* meant_by(const std::string& name, const std::vector<std::string>& options) {
  constexpr std::size_t kMinBytes = 4;  // two letters behind the dashes
  const auto begins_so = [&name](const std::string& option) { return option.starts_with(name); };
  if (name.size() >= kMinBytes && std::ranges::count_if(options, begins_so) == 1) return &*std::ranges::find_if(options, begins_so);
  return gpucnn::near_name(name, options);
}

/// What the message says of a word that is no option.
std::string refusal(const CLI::App& app, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  std::vector<std::string> options;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) options.push_back(option->get_name());
  }
  std::error_code ignored;
  if (std::ranges::find(options, "--data") != options.end() && std::filesystem::is_directory(word, ignored)) {
    return fmt::format("'{}' is not an option; did you mean --data {}?", word, word);
  }
  const std::string* const meant = name.starts_with("--") ? meant_by(name, options) : nullptr;
  return fmt::format("'{}' is not an option{}", word, meant ? fmt::format("; did you mean {}?", *meant) : "");
}

}  // namespace

void add_help(CLI::App& app) {
  app.option_defaults()->take_last();  // `parse` refuses what is given twice
  app.allow_extras();                  // and what is no option
  app.set_help_flag("-h,--help", "Print this and exit");
  app.set_version_flag("--version", fmt::format("{} {}", app.get_name(), gpucnn::kVersion), "Print the version and exit");
}

template <class Number>
bool read_number(const std::string& text, Number& value) {
  if constexpr (std::is_integral_v<Number>) {
    const char* const end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value);
    return failure == std::errc{} && stop == end;
  } else {
    char* stop = nullptr;
    value = std::strtod(text.c_str(), &stop);
    return !text.empty() && text.front() > ' ' && stop == text.c_str() + text.size();
  }
}

namespace {

/// "from 0 to 1", "of more than 0 and less than 1".
std::string range_of(double least, double most) {
  if (least != kAboveZero && most != kBelowOne) return fmt::format("from {:.2g} to {:.2g}", least, most);
  const std::string low = least == kAboveZero ? "more than 0" : fmt::format("at least {:.2g}", least);
  const std::string high = most == kBelowOne ? "less than 1" : fmt::format("at most {:.2g}", most);
  return fmt::format("of {} and {}", low, high);
}

/// The number in an option's text. Throws `UsageError` unless it is one from `least` to `most`.
template <class Number>
Number number_in(const std::string& text, const std::string& name, Number least, Number most) {
  Number value = 0;
  if (read_number(text, value) && value >= least && value <= most) return value;
  throw UsageError(std::is_integral_v<Number>
                       ? fmt::format("{}: '{}' is not a whole number from {} to {}", name, text, least, most)
                       : fmt::format("{}: '{}' is not a number {}", name, text, range_of(double(least), double(most))));
}

}  // namespace

template <class Number>
CLI::Option* add_number(CLI::App& app, const std::string& name, const std::string& help, Number& value, Number least, Number most) {
  const auto read = [&value, name, least, most](const std::string& text) { value = number_in(text, name, least, most); };
  return app.add_option_function<std::string>(name, read, help)->type_name("N")->default_str(fmt::to_string(value));
}

template <class Number>
CLI::Option* add_number(CLI::App& app, const std::string& name, const std::string& help, std::optional<Number>& value, Number least,
                        Number most) {
  const auto read = [&value, name, least, most](const std::string& text) { value = number_in(text, name, least, most); };
  return app.add_option_function<std::string>(name, read, help)->type_name("N")->default_str("");
}

template bool read_number(const std::string&, int&);
template bool read_number(const std::string&, std::int64_t&);
template bool read_number(const std::string&, std::uint64_t&);
template bool read_number(const std::string&, double&);
template CLI::Option* add_number(CLI::App&, const std::string&, const std::string&, int&, int, int);
template CLI::Option* add_number(CLI::App&, const std::string&, const std::string&, std::int64_t&, std::int64_t, std::int64_t);
template CLI::Option* add_number(CLI::App&, const std::string&, const std::string&, std::uint64_t&, std::uint64_t, std::uint64_t);
template CLI::Option* add_number(CLI::App&, const std::string&, const std::string&, double&, double, double);
template CLI::Option* add_number(CLI::App&, const std::string&, const std::string&, std::optional<int>&, int, int);
template CLI::Option* add_number(CLI::App&, const std::string&, const std::string&, std::optional<std::int64_t>&, std::int64_t,
                                 std::int64_t);
template CLI::Option* add_number(CLI::App&, const std::string&, const std::string&, std::optional<double>&, double, double);

CLI::Option* add_word(CLI::App& app, const std::string& name, const std::string& help, std::string& value) {
  return app.add_option(name, value, help)->type_name("NAME")->capture_default_str();
}

CLI::Option* add_device(CLI::App& app, std::string& value) {
  return add_word(app, "--device", "cpu, cuda or cuda:N; auto takes a usable GPU,\nelse the CPU", value);
}

void check_device(const std::string& value) {
  try {
    if (value != "auto") gpucnn::Device::parse(value);
  } catch (const std::invalid_argument&) {
    throw UsageError(fmt::format("--device: '{}' is not auto, cpu, cuda or cuda:N", value));
  }
}

gpucnn::Device choose_device(const std::string& value, std::string* why) {
  if (value == "auto") return gpucnn::Device::best(why);
  const gpucnn::Device device = gpucnn::Device::parse(value);
  try {
    device.require();
  } catch (const gpucnn::DeviceError& error) {
    throw gpucnn::DeviceError(fmt::format("{}; --device cpu always can", error.what()));
  }
  if (why) *why = fmt::format("using {}, as asked", device.string());
  return device;
}

CLI::Option* add_path(CLI::App& app, const std::string& name, const std::string& help, std::filesystem::path& value) {
  const auto read = [&value, name](const std::string& text) {
    if (text.empty()) throw UsageError(name + ": the name is empty");
    value = text;
  };
  return app.add_option_function<std::string>(name, read, help)->type_name("FILE");
}

CLI::Option* add_list(CLI::App& app, const std::string& name, const std::string& help, std::vector<std::string>& values) {
  const auto read = [&values](const std::vector<std::string>& texts) {
    values.clear();
    for (const std::string& text : texts) {
      if (std::ranges::find(values, text) == values.end()) values.push_back(text);
    }
  };
  return app.add_option_function<std::vector<std::string>>(name, read, help)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

std::vector<std::string> words_of(int argc, char** argv) { return {argv + std::min(argc, 1), argv + argc}; }

void parse(CLI::App& app, const std::vector<std::string>& words) {
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::Success& help_or_version) {
    std::ostringstream text;
    app.exit(help_or_version, text, text);
    print(text.str());
    std::exit(0);
  } catch (const CLI::ParseError& error) {
    throw UsageError(explain(error));
  }
  for (const std::string& word : app.remaining()) {
    if (word != "--") throw UsageError(refusal(app, word));
  }
  for (const CLI::Option* option : app.get_options()) {
    const bool is_list = option->get_positional() || option->get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
    if (!is_list && option->count() > 1) throw UsageError(option->get_name() + ": given more than once");
  }
}

}  // namespace command_line
