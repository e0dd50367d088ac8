#pragma once

#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <gpucnn/gpucnn.h>

/// What programs with options have in common. Whatever cannot be meant throws `UsageError`.
namespace command_line {

/// An app whose unknown options `parse` refuses, and repeated ones but for lists, with --help and --version.
void add_help(CLI::App& app);

/// Whether a text, and all of it, is a number that fits.
template <class Number>
bool read_number(const std::string& text, Number& value);

/// Ends of a range that stand for an open one, and are said as such.
inline constexpr double kAboveZero = std::numeric_limits<float>::min();
inline constexpr double kBelowOne = 1 - std::numeric_limits<double>::epsilon();

/// An option for a number from `least` to `most`; what `value` holds is its default. Of int, int64_t, uint64_t and double.
template <class Number>
CLI::Option* add_number(CLI::App& app, const std::string& name, const std::string& help, Number& value, Number least, Number most);

/// The same, without a default.
template <class Number>
CLI::Option* add_number(CLI::App& app, const std::string& name, const std::string& help, std::optional<Number>& value, Number least,
                        Number most);

/// An option for one of some words.
CLI::Option* add_word(CLI::App& app, const std::string& name, const std::string& help, std::string& value);

/// --device, whose value `check_device` and `choose_device` take.
CLI::Option* add_device(CLI::App& app, std::string& value);
void check_device(const std::string& value);
/// The device that it asks for; `why`, if given, says why it is that. Throws `DeviceError` for one that is not there.
gpucnn::Device choose_device(const std::string& value, std::string* why = nullptr);

/// An option that may be given several times, each time with one text. Of equal texts one counts.
CLI::Option* add_list(CLI::App& app, const std::string& name, const std::string& help, std::vector<std::string>& values);

/// An option for a file or a folder. An empty name is a variable that was not set, not a wish for the default.
CLI::Option* add_path(CLI::App& app, const std::string& name, const std::string& help, std::filesystem::path& value);

/// Takes the words of a command line, the program's name not among them. Prints and ends the program for --help and --version;
/// throws `StandardOutputError` where that fails.
void parse(CLI::App& app, const std::vector<std::string>& words);

/// The words of a program's command line.
std::vector<std::string> words_of(int argc, char** argv);

}  // namespace command_line
