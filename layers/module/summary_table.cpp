#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

void Module::add_summary_rows(const Shape& x, std::vector<SummaryRow>& rows) {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters()) count += parameter.numel();
  rows.push_back({path_, kind(), shape_of(*this, x), count});
}

std::string Module::summary(const Shape& x) {
  named_root();
  shape_of(*this, x);
  packed_root();
  std::vector<SummaryRow> rows;
  add_summary_rows(x, rows);
  std::vector<std::array<std::string, 4>> cells{{"Layer", "Kind", "Output shape", "Parameters"}};
  std::int64_t total = 0;
  for (const Parameter& parameter : parameters()) total += parameter.numel();
  for (const SummaryRow& row : rows) cells.push_back({row.name, row.kind, row.output.string(), grouped(row.parameters)});
  std::array<std::size_t, 4> widths{};
  for (const auto& row : cells) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string table = formatted("{} on {}\n", kind(), x.string());
  for (const auto& row : cells) {
    table +=
        formatted("{:<{}}  {:<{}}  {:<{}}  {:>{}}\n", row[0], widths[0], row[1], widths[1], row[2], widths[2], row[3], widths[3]);
  }
  return table + formatted("Total parameters: {}\n", grouped(total));
}

}  // namespace gpucnn
