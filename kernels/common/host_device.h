#pragma once

/// Before functions that both twins call: compiled for the CPU, and by nvcc also for the GPU.
#ifdef __CUDACC__
#define GPUCNN_HOST_DEVICE __host__ __device__
#else
#define GPUCNN_HOST_DEVICE
#endif
