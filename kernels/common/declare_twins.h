#pragma once

/// Declares the twins of an operation: one signature, in `cpu` and in `cuda`. A family's twins.h uses it in gpucnn::kernels. Twins
/// are defined by qualified name, `void cpu::relu(…) {…}`, so that the compiler holds them to the declaration. The Stream comes
/// last; the CPU twin ignores it. A build without CUDA defines no function of `cuda`, and `dispatch` never refers to one there.
#define GPUCNN_TWINS(...) \
  namespace cpu {         \
  __VA_ARGS__;            \
  }                       \
  namespace cuda {        \
  __VA_ARGS__;            \
  }
