#pragma once

#include <string>
#include <string_view>

namespace gpucnn::report {

/// Text as HTML shows it, between tags and within quoted attributes: `<`, `>`, `&` and quotes are escaped, what `printable` escapes
/// is escaped as there. So no text can become a tag.
std::string html_text(std::string_view text);

/// Bytes in base64 (RFC 4648), as data: URLs hold them.
std::string base64(std::string_view bytes);

}  // namespace gpucnn::report
