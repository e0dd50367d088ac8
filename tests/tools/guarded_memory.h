#pragma once

/// The memory of the library's tensors on the CPU, between two pages that nobody may touch: who reads or writes beyond is stopped
/// by the system. It takes the place of core/host/host_memory.h's in a program that is linked with `GPUCNN_GUARDED_MEMORY` of
/// tests/CMakeLists.txt.
namespace gpucnn::guarded_memory {

/// Which of its two ends a block touches from now on; at the other there may be a gap of up to a page.
enum class Side { front, back };
void set_side(Side side);

/// How many blocks were given so far.
long blocks();

/// Calls `report` when a block whose gap was written to is given back; then the process ends.
void set_report(void (*report)());

}  // namespace gpucnn::guarded_memory
