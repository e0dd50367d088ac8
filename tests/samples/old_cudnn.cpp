// A libcudnn of version 9.1.0, for the sentence about libraries that are too old.
#include <cstddef>

extern "C" __attribute__((visibility("default"))) std::size_t cudnnGetVersion() { return 90100; }
