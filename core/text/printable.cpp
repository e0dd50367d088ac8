#include <gpucnn/core/text/printable.h>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn {
namespace {

struct CodePoint {
  char32_t value;
  std::size_t bytes;
};

/// The code point that UTF-8 has at the beginning of `text`, which is not empty; nothing if that is no UTF-8.
std::optional<CodePoint> decode(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80) return CodePoint{first, 1};
  const auto bytes = static_cast<std::size_t>(std::countl_one(first));
  if (bytes < 2 || bytes > 4 || bytes > text.size()) return std::nullopt;
  char32_t value = first & (0x7FU >> bytes);
  for (const char c : text.substr(1, bytes - 1)) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) return std::nullopt;
    value = value << 6 | (static_cast<unsigned char>(c) & 0x3F);
  }
  constexpr std::array<char32_t, 5> kMin{0, 0, 0x80, 0x800, 0x10000};  // smaller values take fewer bytes
  if (value < kMin[bytes] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return std::nullopt;
  return CodePoint{value, bytes};
}

/// Control characters, and what moves or hides the text around it.
bool steers(char32_t c) {
  struct Range {
    char32_t first, last;
  };
  constexpr std::array<Range, 11> kRanges{{{0x00, 0x1F},
                                           {0x7F, 0x9F},
                                           {0x61C, 0x61C},
                                           {0x180E, 0x180E},
                                           {0x200B, 0x200B},
                                           {0x200E, 0x200F},
                                           {0x2028, 0x202E},
                                           {0x2060, 0x206F},
                                           {0xFEFF, 0xFEFF},
                                           {0xFFF9, 0xFFFB},
                                           {0xE0000, 0xE007F}}};
  return std::ranges::any_of(kRanges, [c](const Range& range) { return c >= range.first && c <= range.last; });
}

std::string escape(char32_t c) {
  const auto value = static_cast<std::uint32_t>(c);
  if (value < 0x80) return formatted("\\x{:02x}", value);
  return value <= 0xFFFF ? formatted("\\u{:04x}", value) : formatted("\\U{:08x}", value);
}

}  // namespace

std::string printable(std::string_view text, std::size_t longest) {
  std::string shown;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::optional<CodePoint> c = decode(text.substr(at));
    const std::size_t bytes = c ? c->bytes : 1;
    if (at + bytes > longest) return shown + "...";
    if (!c) {
      shown += formatted("\\x{:02x}", static_cast<unsigned char>(text[at]));
    } else if (steers(c->value)) {
      shown += escape(c->value);
    } else {
      shown += text.substr(at, bytes);
    }
    at += bytes;
  }
  return shown;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::optional<CodePoint> c = decode(text);
    if (!c) return false;
    text.remove_prefix(c->bytes);
  }
  return true;
}

}  // namespace gpucnn
