// Here alone fmt comes as a header with all its code, so an installed library needs no fmt.
#define FMT_HEADER_ONLY  // NOLINT(readability-identifier-naming): the name is fmt's

#include <gpucnn/core/text/formatted.h>

#include <fmt/format.h>

namespace gpucnn {

std::string format_arguments(fmt::string_view text, fmt::format_args arguments) { return fmt::vformat(text, arguments); }

}  // namespace gpucnn
