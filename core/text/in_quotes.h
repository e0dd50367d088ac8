#pragma once

#include <string>
#include <string_view>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>

namespace gpucnn {

/// A text from a file for a message: in quotes, short and printable.
inline std::string in_quotes(std::string_view text) { return formatted("\"{}\"", printable(text, kMaxNameBytes)); }

}  // namespace gpucnn
