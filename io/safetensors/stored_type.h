#pragma once

#include <cstddef>
#include <string_view>

#include <gpucnn/core/dtype.h>

namespace gpucnn::safetensors {

/// A dtype of the format that is read, and the tensor's dtype that holds it.
struct StoredType {
  std::string_view name;  // in a header, as "F16"
  std::size_t bytes;      // of an element in a file
  DType dtype;            // of the tensor
  /// Makes `count` elements of the tensor from those of the file. Returns false if a value does not fit. Null: they are the same.
  bool (*convert)(const std::byte* from, std::size_t count, std::byte* to);
};

/// The type of this name; null if it is not read.
///
///   F32, BF16, I32, I64, U8   as they are
///   F16                       -> f32, exactly: subnormal numbers, infinity and NaN too
///   F64                       -> f32, rounded to the nearest, ties to even; what is too large becomes infinity
///   BOOL                      -> u8, 0 or 1
///   I8, I16, U16              -> i32
///   U32, U64                  -> i64, which 2^63 and more do not fit
const StoredType* find_stored_type(std::string_view name) noexcept;

/// The type that a tensor of this dtype is stored as.
const StoredType& stored_type(DType dtype) noexcept;

}  // namespace gpucnn::safetensors
