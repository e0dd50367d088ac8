#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <gpucnn/core/export.h>

namespace gpucnn {

/// Where a tensor's memory lies and its work is done: the CPU, or one NVIDIA GPU by its index.
struct GPUCNN_API Device {
  enum class Kind : std::uint8_t { cpu, cuda };

  Kind kind = Kind::cpu;
  int index = 0;

  static constexpr Device cpu() noexcept { return {Kind::cpu, 0}; }
  static constexpr Device cuda(int index = 0) noexcept { return {Kind::cuda, index}; }

  /// A usable GPU if there is one, otherwise the CPU. `why` (may be null) receives one sentence: what was chosen, and why not
  /// the other.
  static Device best(std::string* why = nullptr);

  /// "cpu", "cuda" (index 0) or "cuda:N". Throws `std::invalid_argument` for any other text. The device need not exist.
  static Device parse(std::string_view text);

  /// Throws `DeviceError`, with the reason, if this device cannot be used here.
  void require() const;

  /// "cpu" or "cuda:N".
  std::string string() const;

  bool operator==(const Device&) const noexcept = default;
};

}  // namespace gpucnn
