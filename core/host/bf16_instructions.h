#pragma once

#include <optional>

namespace gpucnn {

/// Whether this processor can multiply bf16, and the system lets it: by AVX512-BF16 or by AMX-BF16. Any thread.
bool has_bf16_instructions() noexcept;

/// For tests: what `has_bf16_instructions` says from now on; the truth again without a value.
void pretend_bf16_instructions(std::optional<bool> there) noexcept;

}  // namespace gpucnn
