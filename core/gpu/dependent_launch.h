#pragma once

/// For kernels whose launch overlaps the kernel before: see LaunchShape::overlaps_previous. CUDA's manual calls it programmatic
/// dependent launch, the PTX ISA griddepcontrol. In .cu files only. Below compute capability 9.0 these do nothing, and kernels run
/// one after the other.
namespace gpucnn {

/// Lets the next kernel of the stream begin beside this one, if its launch overlaps, as soon as every block has called this or
/// ended. Only a hint, which promises nothing about memory. Best called when the rest of the block leaves room for others.
__device__ __forceinline__ void launch_dependents() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// Waits until the kernels before have ended, and sees what they wrote. In a kernel whose launch overlaps, every thread calls this
/// before it reads or writes memory that earlier kernels touch, and before it ends: the kernel behind waits for this one only.
__device__ __forceinline__ void wait_for_previous_kernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

}  // namespace gpucnn
