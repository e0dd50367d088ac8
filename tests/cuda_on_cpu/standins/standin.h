#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

/// What the stand-in for cudart offers to the stand-ins for cuDNN, cuBLASLt and NCCL, which are shared libraries, and to tests.
/// Device pointers are opaque to the host there: they may be computed with, but not followed.
#pragma GCC visibility push(default)
extern "C" {

/// Queues `run(argument)`. It is called when the stream runs, which is late: at a synchronisation. A capture keeps it, and every
/// replay calls it again. `destroy(argument)`, if not null, is called once, when nobody holds it any more. May be called from
/// several threads; `run` is never called twice at a time. Aborts for the legacy default stream.
void gpucnn_standin_enqueue(cudaStream_t stream, void (*run)(void*), void (*destroy)(void*), void* argument);

/// The same for what waits for another process. `ready(argument)`, which may be called often, says whether `run` would not wait. A
/// question after the stream's state runs it only then.
void gpucnn_standin_enqueue_waiting(cudaStream_t stream, bool (*ready)(void*), void (*run)(void*), void (*destroy)(void*),
                                    void* argument);

/// Runs an operation of any stream that need not wait. False if there is none.
bool gpucnn_standin_progress(void);

/// The GPU of a stream.
int gpucnn_standin_gpu_of(cudaStream_t stream);

/// The address on the host of `bytes` bytes of device memory; ask in `run`, not before. Null for a null pointer. Aborts with a
/// sentence unless all of them lie in one block that cudaMalloc gave and cudaFree did not take back.
void* gpucnn_standin_address(const void* device_pointer, std::size_t bytes);

/// Whether what is queued in the stream is captured.
bool gpucnn_standin_captures(cudaStream_t stream);

/// The compute capability of the GPUs, as 90.
int gpucnn_standin_capability(void);

/// A vendor's context, as cudnnHandle_t: made while its GPU was current.
struct gpucnn_standin_context {
  int gpu;
  std::int64_t uses;
};

/// Makes a context for the calling thread's GPU. It waits for the whole GPU, as NVIDIA's libraries may: while a stream of that GPU
/// captures it fails, false, and so does the capture.
bool gpucnn_standin_create(gpucnn_standin_context* context);

/// Every call that is given a context says so here. Aborts unless the context's GPU is the calling thread's.
void gpucnn_standin_use(const gpucnn_standin_context* context);

/// The same for a context that serves one thread at a time. Changes it without a lock, gives others time to come, and aborts if one
/// did.
void gpucnn_standin_use_alone(gpucnn_standin_context* context);

/// Calls since the start of the process.
struct gpucnn_standin_calls {
  std::int64_t mallocs, frees;         // cudaMalloc, cudaFree
  std::int64_t synchronisations;       // cudaStreamSynchronize, cudaDeviceSynchronize, cudaEventSynchronize
  std::int64_t launches;               // kernels queued or captured; replays do not count
  std::int64_t vendor_calls;           // gpucnn_standin_enqueue
  std::int64_t graph_launches;         // cudaGraphLaunch
  std::int64_t host_to_device_copies;  // cudaMemcpyAsync, and their bytes
  std::int64_t host_to_device_bytes;
};

/// Weak, so that a test that is linked against the real cudart too can ask whether it is there.
__attribute__((weak)) gpucnn_standin_calls gpucnn_standin_counts(void);

/// The first `count` nodes of the graph that was instantiated last: what a launch calls its kernel, "vendor", "copy" or "memset".
/// Gives how many it has. Weak, as above.
__attribute__((weak)) int gpucnn_standin_graph_nodes(const char** names, int count);

}  // extern "C"
#pragma GCC visibility pop
