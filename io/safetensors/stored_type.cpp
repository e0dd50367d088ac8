#include <gpucnn/io/safetensors/stored_type.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include <gpucnn/core/threads/float_environment.h>

namespace gpucnn::safetensors {
namespace {

/// IEEE's binary16: 5 bits of exponent, 10 of fraction.
float half_to_float(std::uint16_t half) noexcept {
  constexpr std::uint32_t kInfinity = 0x7C00, kSmallestNormal = 0x0400, kExponentShift = (127 - 15) << 23;
  const std::uint32_t sign = (half & 0x8000U) << 16, magnitude = half & 0x7FFFU;
  if (magnitude >= kInfinity) return std::bit_cast<float>(sign | 0x7F800000U | (magnitude & 0x03FFU) << 13);
  if (magnitude >= kSmallestNormal) return std::bit_cast<float>(sign | ((magnitude << 13) + kExponentShift));
  const float size = static_cast<float>(magnitude) * 0x1p-24F;  // a multiple of the smallest, which f32 holds exactly
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(size));
}

/// Elements may lie anywhere in memory, so they are copied before they are used.
template <class From, class To, class Convert>
void convert_each(const std::byte* from, std::size_t count, std::byte* to, const Convert& convert) {
  for (std::size_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, from + i * sizeof(From), sizeof value);
    const To result = convert(value);
    std::memcpy(to + i * sizeof(To), &result, sizeof result);
  }
}

bool halves(const std::byte* from, std::size_t count, std::byte* to) {
  const FloatEnvironment standard;
  convert_each<std::uint16_t, float>(from, count, to, half_to_float);
  return true;
}

bool doubles(const std::byte* from, std::size_t count, std::byte* to) {
  const FloatEnvironment standard;
  convert_each<double, float>(from, count, to, [](double value) { return static_cast<float>(value); });
  return true;
}

bool booleans(const std::byte* from, std::size_t count, std::byte* to) {
  convert_each<std::uint8_t, std::uint8_t>(from, count, to, [](std::uint8_t value) { return std::uint8_t{value != 0}; });
  return true;
}

template <class From, class To>
bool integers(const std::byte* from, std::size_t count, std::byte* to) {
  bool fits = true;
  convert_each<From, To>(from, count, to, [&fits](From value) {
    fits = fits && std::in_range<To>(value);
    return static_cast<To>(value);
  });
  return fits;
}

/// The first of a dtype is the one that it is stored as.
constexpr std::array<StoredType, 13> kTypes{{{"F32", 4, DType::f32, nullptr},
                                             {"BF16", 2, DType::bf16, nullptr},
                                             {"I32", 4, DType::i32, nullptr},
                                             {"I64", 8, DType::i64, nullptr},
                                             {"U8", 1, DType::u8, nullptr},
                                             {"F16", 2, DType::f32, halves},
                                             {"F64", 8, DType::f32, doubles},
                                             {"BOOL", 1, DType::u8, booleans},
                                             {"I8", 1, DType::i32, integers<std::int8_t, std::int32_t>},
                                             {"I16", 2, DType::i32, integers<std::int16_t, std::int32_t>},
                                             {"U16", 2, DType::i32, integers<std::uint16_t, std::int32_t>},
                                             {"U32", 4, DType::i64, integers<std::uint32_t, std::int64_t>},
                                             {"U64", 8, DType::i64, integers<std::uint64_t, std::int64_t>}}};

}  // namespace

const StoredType* find_stored_type(std::string_view name) noexcept {
  const auto* type = std::ranges::find(kTypes, name, &StoredType::name);
  return type == kTypes.end() ? nullptr : type;
}

const StoredType& stored_type(DType dtype) noexcept { return *std::ranges::find(kTypes, dtype, &StoredType::dtype); }

}  // namespace gpucnn::safetensors
