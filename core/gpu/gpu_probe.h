#pragma once

#include <string>

namespace gpucnn::gpu {

/// Whether this process can work on GPU `index`, found out once. If not, `reason` (may be null) says why in half a sentence: no
/// driver, a driver too old, no such GPU, no code for it in this build, no cuDNN or cuBLASLt. If so, what GPU it is.
bool probe(int index, std::string* reason);

}  // namespace gpucnn::gpu
