#include <gpucnn/io/c_source/c_text.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn {
namespace {

constexpr std::size_t kMaxName = 48, kMaxComment = 60;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Neither `/` nor `*`, of which a comment's ends are made, nor `?` and a backslash, of which a comment's line may go on.
bool is_harmless(char c) {
  return is_letter(c) || is_digit(c) || std::string_view(" ._-+:;,=()[]").find(c) != std::string_view::npos;
}

}  // namespace

std::string c_name(std::string_view text) {
  std::string name;
  if (text.empty() || !is_letter(text.front())) name = "network_";
  for (const char c : text.substr(0, kMaxName - name.size())) name += is_letter(c) || is_digit(c) ? c : '_';
  return name;
}

std::string c_comment(std::string_view text) {
  std::string comment;
  for (const char c : text.substr(0, kMaxComment)) comment += is_harmless(c) ? c : '_';
  return comment;
}

std::string c_string(std::string_view text) {
  std::string constant = "\"";
  // Three digits always, or a digit behind the escape would belong to it.
  for (const char c : text) constant += is_harmless(c) ? std::string(1, c) : formatted("\\{:03o}", static_cast<unsigned char>(c));
  return constant + '"';
}

std::string c_float(float value, ExportCOptions::Numbers numbers) {
  if (value == 0) return std::signbit(value) ? "-0.0f" : "0.0f";
  std::array<char, 32> digits{};
  const bool hexadecimal = numbers == ExportCOptions::Numbers::hexadecimal;
  const float size = std::abs(value);
  char* const end = hexadecimal ? std::to_chars(digits.begin(), digits.end(), size, std::chars_format::hex).ptr
                                : std::to_chars(digits.begin(), digits.end(), size).ptr;
  const std::string_view text(digits.data(), static_cast<std::size_t>(end - digits.data()));
  std::string constant = value < 0 ? "-" : "";
  if (hexadecimal) constant += "0x";
  constant += text;
  if (!hexadecimal && text.find_first_of(".e") == std::string_view::npos) constant += ".0";
  return constant + 'f';
}

}  // namespace gpucnn
