#include "common/command_line.h"

#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

#include <gpucnn/core/config.h>

#include "common/exit_code.h"
#include "common/write_all.h"

namespace command_line {
namespace {

/// CLI11's words for a wrong command line, or better ones.
std::string explain(const CLI::ParseError& error) {
  std::string message = error.what();
  if (!message.ends_with(" missing")) return message;
  return message.substr(0, message.find(':')) + ": its value is missing";
}

}  // namespace

void add_help(CLI::App& app) {
  app.option_defaults()->take_last();  // `parse` refuses what is given twice
  app.allow_extras();                  // and what is no option
  app.set_help_flag("-h,--help", "Print this and exit");
  app.set_version_flag("--version", fmt::format("{} {}", app.get_name(), gpucnn::kVersion), "Print the version and exit");
}

CLI::Option* add_number(CLI::App& app, const std::string& name, const std::string& help, int& value, int least, int most) {
  const auto read = [&value, name, least, most](const std::string& text) {
    const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure == std::errc{} && stop == text.data() + text.size() && value >= least && value <= most) return;
    throw UsageError(fmt::format("{}: '{}' is not a whole number from {} to {}", name, text, least, most));
  };
  return app.add_option_function<std::string>(name, read, help)->type_name("N")->default_str(fmt::to_string(value));
}

CLI::Option* add_path(CLI::App& app, const std::string& name, const std::string& help, std::filesystem::path& value) {
  const auto read = [&value, name](const std::string& text) {
    if (text.empty()) throw UsageError(name + ": the name is empty");
    value = text;
  };
  return app.add_option_function<std::string>(name, read, help)->type_name("FILE");
}

void parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    std::ostringstream text;
    app.exit(help_or_version, text, text);
    if (const int error = write_all(STDOUT_FILENO, text.str()); error != 0) {
      throw StandardOutputError("standard output cannot be written: " + std::generic_category().message(error));
    }
    std::exit(0);
  } catch (const CLI::ParseError& error) {
    throw UsageError(explain(error));
  }
  if (!app.remaining().empty()) throw UsageError(fmt::format("'{}' is not an option", app.remaining().front()));
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional() && option->count() > 1) throw UsageError(option->get_name() + ": given more than once");
  }
}

}  // namespace command_line
