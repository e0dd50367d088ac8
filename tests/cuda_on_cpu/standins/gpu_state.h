#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string_view>

#include "emulator/emulator.h"
#include "standin.h"

/// What the stand-in's parts know of each other. The GPUs are this process's memory and its calling threads.
namespace gpucnn::standin {

/// What the environment asks for, read at first use.
struct Settings {
  int driver;          // GPUCNN_STANDIN_DRIVER: the CUDA version of the driver, as 13000; 0: there is no driver
  int gpus;            // GPUCNN_STANDIN_GPUS
  int capability;      // GPUCNN_STANDIN_CAPABILITY: 9.0 is 90
  std::size_t memory;  // GPUCNN_STANDIN_MEMORY: bytes of each GPU
  bool eager;          // GPUCNN_STANDIN_EAGER=1: other streams run as soon as they can, and not when somebody waits for them
};
const Settings& settings();

/// Held by every call, and while operations run.
std::recursive_mutex& mutex();

gpucnn_standin_calls& calls();

/// Gives the status back, and to the calling thread's cudaGetLastError.
cudaError_t result(cudaError_t status);

/// Success, or why nothing works: no driver, or an old one, or no GPU.
cudaError_t availability();

/// The calling thread's GPU.
int current_gpu();

/// The shared memory that a block of the GPUs can have.
std::size_t max_shared_bytes();

/// What cudaFuncSetAttribute has asked for, of dynamic shared memory, on this GPU; 0: nothing.
std::size_t dynamic_shared_asked(int gpu, const void* kernel);

/// Prints the sentence and aborts: a program error that real CUDA would answer with wrong results, or not always.
[[noreturn]] void stop(std::string_view sentence);

// ---- memory ----------------------------------------------------------------------------------------------------------

bool is_device_pointer(const void* pointer);

/// Whether the bytes lie in memory that cudaHostAlloc gave.
bool is_pinned(const void* pointer, std::size_t bytes);

/// The host's address of bytes in the memory of `gpu` (any GPU, if negative). Stops unless all lie in one block that is allocated;
/// `what` says who asks.
void* host_address(const void* device_pointer, std::size_t bytes, int gpu, std::string_view what);

/// The host's address of a kernel's argument: null, into device memory or its end, or in pinned memory. Stops otherwise.
const void* kernel_pointer(const void* argument, const char* kernel, int number, int gpu);

// ---- streams ---------------------------------------------------------------------------------------------------------

/// Queues a kernel, or captures it.
cudaError_t enqueue_kernel(cudaStream_t stream, std::shared_ptr<emulator::Kernel> kernel);

/// Runs all that the streams of a GPU have queued, the youngest stream first.
void run_all(int gpu);

/// Waits for all streams of a GPU. If some capture, false, and they capture in vain.
bool synchronize(int gpu);

}  // namespace gpucnn::standin
