#pragma once

namespace gpucnn::gpu {

/// A kernel as cudart names it, for questions about this build's code.
const void* probe_kernel_address();

}  // namespace gpucnn::gpu
