#include "common/terminal/fields.h"

#include <algorithm>

namespace {

std::string join(const std::vector<Field>& fields) {
  std::string line;
  for (const Field& field : fields) line += (line.empty() ? "" : field.gap) + field.text;
  return line;
}

}  // namespace

std::string fit_fields(std::vector<Field> fields, std::size_t width) {
  std::string line = join(fields);
  if (line.size() <= width) return line;
  for (Field& field : fields) {
    if (!field.brief.empty()) field.text = field.brief;
  }
  line = join(fields);
  while (line.size() > width && fields.size() > 1) {
    fields.erase(std::ranges::min_element(fields, {}, &Field::rank));
    line = join(fields);
  }
  return line.size() <= width ? line : line.substr(line.size() - width);
}
