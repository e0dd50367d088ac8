#pragma once

#include <cstdint>

#include <gpucnn/core/stream.h>

/// Kernels with a fault that a sanitizer must find; without it, clean twins of the same code. `y` is device memory.
namespace gpucnn::planted {

/// Writes y[0 .. count - 1]; with the fault one more.
void write_global(const Stream& stream, float* y, std::int64_t count, bool fault);

/// y[i] = i through 64 floats of shared memory; with the fault the last thread writes one behind them.
void write_static_shared(const Stream& stream, float* y, bool fault);
void write_dynamic_shared(const Stream& stream, float* y, bool fault);

/// y[i] = 63 - i through shared memory; with the fault there is no barrier between writing and reading.
void reverse(const Stream& stream, float* y, bool fault);

/// The same within one warp, where with the fault a shuffle stands in the place of __syncwarp.
void reverse_warp(const Stream& stream, float* y, bool fault);

/// y[i] = i; with the fault y[0] is written by threads 0 and 33 of a block.
void write_twice(const Stream& stream, float* y, bool fault);

/// y[block] = block; with the fault all blocks write y[0].
void write_from_blocks(const Stream& stream, float* y, bool fault);

/// y[0] = the sum of 4 blocks' numbers, added by the block that is last; with the fault it does not ask which one is.
void sum_in_last_block(const Stream& stream, float* y, float* partial, unsigned* finished, bool fault);

/// y[i] = i for 64 floats that a warp reads from shared memory as matrices; with the fault there is no __syncwarp between writing
/// and reading.
void load_matrices(const Stream& stream, float* y, bool fault);

/// y[i] = i for 31 floats that a warp reads as matrices; with the fault there is no memory for the 32nd, which it reads too.
void load_dynamic_matrices(const Stream& stream, float* y, bool fault);

/// y[i] = x[63 - i] through an async_copy into shared memory, whose old values others read first. With the fault
///   copy_and_read: the wait comes behind the reads,
///   copy_over: there is no barrier between the reads of the old values and the copy,
///   copy_beyond: the last thread copies x[64].
void copy_and_read(const Stream& stream, const float* x, float* y, bool fault);
void copy_over(const Stream& stream, const float* x, float* y, bool fault);
void copy_beyond(const Stream& stream, const float* x, float* y, bool fault);

}  // namespace gpucnn::planted
