#include <gpucnn/core/precision.h>

#include <array>
#include <stdexcept>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/host/bf16_instructions.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>

namespace gpucnn {
namespace {

constexpr int kMinCapability = 80;  // compute capability times ten: Ampere
constexpr std::array kAll{Precision::fp32, Precision::tf32, Precision::bf16};

}  // namespace

std::string_view name_of(Precision precision) noexcept {
  switch (precision) {
    case Precision::fp32: return "fp32";
    case Precision::tf32: return "tf32";
    case Precision::bf16: return "bf16";
  }
  return "unknown";
}

Precision parse_precision(std::string_view text) {
  for (const Precision precision : kAll) {
    if (text == name_of(precision)) return precision;
  }
  throw std::invalid_argument(formatted("precision '{}' is not fp32, tf32 or bf16", printable(text, kMaxNameBytes)));
}

void require_precision(Precision precision, Device device) {
  device.require();
  if (precision == Precision::fp32) return;
  if (device.kind == Device::Kind::cpu) {
    if (precision == Precision::bf16) {
      if (has_bf16_instructions()) return;
      throw DeviceError("bf16 needs a processor with AVX512-BF16 or AMX-BF16; this one has neither");
    }
    throw DeviceError(formatted("{} needs a GPU of compute capability 8.0 or later", name_of(precision)));
  }
  if (const int has = backend::compute_capability(device); has < kMinCapability) {
    throw DeviceError(formatted("{} needs a GPU of compute capability 8.0 or later; {} has {}.{}", name_of(precision),
                                device.string(), has / 10, has % 10));
  }
}

}  // namespace gpucnn
