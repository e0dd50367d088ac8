#include "common/command_line.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
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

/// What the message says of a word that is no option: the option that it may have been meant for.
std::string refusal(const CLI::App& app, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  std::vector<std::string> options;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) options.push_back(option->get_name());
  }
  const std::string* const meant = name.starts_with("--") ? gpucnn::near_name(name, options) : nullptr;
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

template <class Number>
CLI::Option* add_number(CLI::App& app, const std::string& name, const std::string& help, Number& value, Number least, Number most) {
  const auto read = [&value, name, least, most](const std::string& text) {
    if (read_number(text, value) && value >= least && value <= most) return;
    throw UsageError(std::is_integral_v<Number>
                         ? fmt::format("{}: '{}' is not a whole number from {} to {}", name, text, least, most)
                         : fmt::format("{}: '{}' is not a number from {:.2g} to {:.2g}", name, text, double(least), double(most)));
  };
  return app.add_option_function<std::string>(name, read, help)->type_name("N")->default_str(fmt::to_string(value));
}

template bool read_number(const std::string&, int&);
template bool read_number(const std::string&, std::int64_t&);
template bool read_number(const std::string&, std::uint64_t&);
template bool read_number(const std::string&, double&);
template CLI::Option* add_number(CLI::App&, const std::string&, const std::string&, int&, int, int);
template CLI::Option* add_number(CLI::App&, const std::string&, const std::string&, std::int64_t&, std::int64_t, std::int64_t);
template CLI::Option* add_number(CLI::App&, const std::string&, const std::string&, std::uint64_t&, std::uint64_t, std::uint64_t);
template CLI::Option* add_number(CLI::App&, const std::string&, const std::string&, double&, double, double);

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
    if (!option->get_positional() && option->count() > 1) throw UsageError(option->get_name() + ": given more than once");
  }
}

}  // namespace command_line
