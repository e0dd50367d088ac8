#pragma once

#include <filesystem>
#include <string>

#include <CLI/CLI.hpp>

/// What programs with options have in common. Whatever cannot be meant throws `UsageError`.
namespace command_line {

/// An app whose unknown and repeated options `parse` refuses, with --help and --version.
void add_help(CLI::App& app);

/// An option for a whole number from `least` to `most`; what `value` holds is its default.
CLI::Option* add_number(CLI::App& app, const std::string& name, const std::string& help, int& value, int least, int most);

/// An option for a file or a folder. An empty name is a variable that was not set, not a wish for the default.
CLI::Option* add_path(CLI::App& app, const std::string& name, const std::string& help, std::filesystem::path& value);

/// Takes the command line. Prints and ends the program for --help and --version; throws `StandardOutputError` where that fails.
void parse(CLI::App& app, int argc, char** argv);

}  // namespace command_line
