#pragma once

#include <cstdint>
#include <optional>

#include <gpucnn/core/host/input_file.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/io/atomic_file.h>
#include <gpucnn/io/safetensors/header.h>

namespace gpucnn::safetensors {

/// Writes the elements of a tensor on any device, in PyTorch's order.
void write_data(AtomicFile& file, const Tensor& tensor);

/// Reads the elements of `entry`, which begin at byte `offset` of the file, onto the CPU, and converts them as its type says.
/// Nothing if one of them does not fit. Beside the tensor it takes some MiB, or an image of a tensor of rank 4.
std::optional<Tensor> read_data(const InputFile& file, std::uint64_t offset, const Entry& entry);

}  // namespace gpucnn::safetensors
