#include <gpucnn/train/report/first_filters.h>

#include <algorithm>
#include <cstdint>

namespace gpucnn::report {

std::optional<FirstFilters> first_filters(Module& model) {
  constexpr std::int64_t kMaxFilters = 64, kMaxFilterSide = 32;
  constexpr int kColumns = 16;
  for (const Parameter& parameter : model.parameters()) {
    const Shape& shape = parameter.shape();
    if (shape.rank() != 4) continue;
    if ((shape[1] != 1 && shape[1] != 3) || shape[2] * shape[3] == 1 || std::max(shape[2], shape[3]) > kMaxFilterSide) return {};
    const Tensor weight = parameter.value().to(Device::cpu());
    return FirstFilters{parameter.name(), filter_sheet(weight.narrow(0, std::min(shape[0], kMaxFilters)), kColumns)};
  }
  return {};
}

}  // namespace gpucnn::report
