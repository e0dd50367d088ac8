#include <gpucnn/layers/losses/device_copies.h>

#include <algorithm>

namespace gpucnn {

DeviceCopies::DeviceCopies(const Tensor& values) : values_(values.defined() ? values.clone() : values) {}

const Tensor& DeviceCopies::on(Device device) {
  if (!values_.defined() || values_.device() == device) return values_;
  const auto found = std::ranges::find(copies_, device, [](const Tensor& copy) { return copy.device(); });
  return found != copies_.end() ? *found : copies_.emplace_back(values_.to(device));
}

}  // namespace gpucnn
