#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <gpucnn/core/export.h>

namespace gpucnn {

/// The upper half of an IEEE float: 8 bits of exponent, 7 of fraction.
struct bf16 {
  std::uint16_t bits;
};

/// The type of a tensor's elements.
enum class DType : std::uint8_t { f32, bf16, i32, i64, u8 };

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) noexcept {
  switch (dtype) {
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::bf16: return 2;
    case DType::u8: return 1;
  }
  return 0;
}

/// "f32", "bf16", "i32", "i64" or "u8".
GPUCNN_API std::string_view name_of(DType dtype) noexcept;

namespace detail {
template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> : std::integral_constant<DType, DType::f32> {};
template <>
struct DTypeOf<bf16> : std::integral_constant<DType, DType::bf16> {};
template <>
struct DTypeOf<std::int32_t> : std::integral_constant<DType, DType::i32> {};
template <>
struct DTypeOf<std::int64_t> : std::integral_constant<DType, DType::i64> {};
template <>
struct DTypeOf<std::uint8_t> : std::integral_constant<DType, DType::u8> {};
}  // namespace detail

/// The DType of a C++ element type: float, bf16, std::int32_t, std::int64_t, std::uint8_t.
template <class T>
inline constexpr DType dtype_of = detail::DTypeOf<T>::value;

}  // namespace gpucnn
