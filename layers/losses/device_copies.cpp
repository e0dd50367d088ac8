#include <gpucnn/layers/losses/device_copies.h>

#include <algorithm>

namespace gpucnn {

DeviceCopies::DeviceCopies(const Tensor& values) : copies_{values.defined() ? values.clone() : values} {}

const Tensor& DeviceCopies::on(Device device) {
  if (!copies_.front().defined()) return copies_.front();
  const auto found = std::ranges::find(copies_, device, [](const Tensor& copy) { return copy.device(); });
  return found != copies_.end() ? *found : copies_.emplace_back(copies_.front().to(device));
}

}  // namespace gpucnn
