#pragma once

#include <string>
#include <string_view>

#include <gpucnn/io/export_c.h>

/// Texts as C99 takes them.
namespace gpucnn {

/// A text as a name: letters and digits of ASCII, all else `_`. It begins with a letter and has at most 48 characters.
std::string c_name(std::string_view text);

/// A text for a comment: letters, digits and marks that cannot end a comment, begin one, or be a trigraph; all else `_`. It has at
/// most 60 characters.
std::string c_comment(std::string_view text);

/// A text as a string constant with its quotes. Whatever is no letter, digit or harmless mark is an octal escape.
std::string c_string(std::string_view text);

/// A finite float as a constant that gives back every bit.
std::string c_float(float value, ExportCOptions::Numbers numbers);

}  // namespace gpucnn
