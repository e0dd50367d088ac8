#include <gpucnn/core/device.h>

#include <charconv>
#include <stdexcept>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>

namespace gpucnn {

Device Device::best(std::string* why) {
  std::string reason;
  const bool usable = backend::cuda_usable(0, &reason);
  if (why) *why = usable ? formatted("using {}: {}", cuda().string(), reason) : formatted("using the CPU: {}", reason);
  return usable ? cuda() : cpu();
}

Device Device::parse(std::string_view text) {
  if (text == "cpu") return cpu();
  if (text == "cuda") return cuda();
  constexpr std::string_view kPrefix = "cuda:";
  if (text.starts_with(kPrefix)) {
    int index = -1;
    const char* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data() + kPrefix.size(), end, index);
    if (failure == std::errc{} && stop == end && index >= 0) return cuda(index);
  }
  throw std::invalid_argument(formatted("device '{}' is not cpu, cuda or cuda:N", printable(text, kMaxNameBytes)));
}

void Device::require() const {
  if (kind == Kind::cpu || backend::cuda_usable(index, nullptr)) return;
  std::string reason;
  backend::cuda_usable(index, &reason);
  throw DeviceError(formatted("device {} cannot be used: {}", string(), reason));
}

std::string Device::string() const { return kind == Kind::cpu ? "cpu" : formatted("cuda:{}", index); }

}  // namespace gpucnn
