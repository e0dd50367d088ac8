#pragma once

#include <string>

namespace gpucnn::gpu {

/// Whether this process can work on GPU `index`, found out once. `reason` may be null. If the GPU can be used, it says which GPU it
/// is. If not, it says why in half a sentence: driver, GPU, code in this build, cuDNN or cuBLASLt.
bool probe(int index, std::string* reason);

}  // namespace gpucnn::gpu
