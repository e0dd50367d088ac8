#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <gpucnn/gpucnn.h>

/// What programs with options have in common. Whatever cannot be meant throws `UsageError`.
namespace command_line {

/// An app whose unknown and repeated options `parse` refuses, with --help and --version.
void add_help(CLI::App& app);

/// Whether a text, and all of it, is a number that fits.
template <class Number>
bool read_number(const std::string& text, Number& value);

/// An option for a number from `least` to `most`; what `value` holds is its default. Of int, int64_t, uint64_t and double.
template <class Number>
CLI::Option* add_number(CLI::App& app, const std::string& name, const std::string& help, Number& value, Number least, Number most);

/// An option for one of some words.
CLI::Option* add_word(CLI::App& app, const std::string& name, const std::string& help, std::string& value);

/// --device, whose value `check_device` and `choose_device` take.
CLI::Option* add_device(CLI::App& app, std::string& value);
void check_device(const std::string& value);
/// The device that it asks for; `why`, if given, says why it is that. Throws `DeviceError` for one that is not there.
gpucnn::Device choose_device(const std::string& value, std::string* why = nullptr);

/// An option for a file or a folder. An empty name is a variable that was not set, not a wish for the default.
CLI::Option* add_path(CLI::App& app, const std::string& name, const std::string& help, std::filesystem::path& value);

/// Takes the words of a command line, the program's name not among them. Prints and ends the program for --help and --version;
/// throws `StandardOutputError` where that fails.
void parse(CLI::App& app, const std::vector<std::string>& words);

/// The words of a program's command line.
std::vector<std::string> words_of(int argc, char** argv);

}  // namespace command_line
