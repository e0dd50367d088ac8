#!/usr/bin/env bash
# scripts/kernel_resources on kernels that were planted for it, and its occupancy against <cuda_occupancy.h> of the toolkit.
set -eu
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "$0")/expect.sh"
nvcc=$(command -v nvcc || printf '%s/bin/nvcc' "${CUDA_HOME:-/usr/local/cuda}")
for tool in python3 c++filt g++ "$nvcc"; do
  if ! command -v "$tool" >/dev/null; then
    printf 'skipped: needs %s\n' "$tool"
    exit 77
  fi
done

report() { run bash "$root/scripts/kernel_resources" --build "$scratch/build" "$@"; }

cat >"$scratch/plain.cu" <<'END'
namespace gpucnn {
namespace {
template <int kCount>
__global__ void __launch_bounds__(96) plain_kernel(const float* x, float* y) {
  __shared__ float memory[kCount];
  memory[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = memory[95 - threadIdx.x];
}
}  // namespace
void use() { plain_kernel<256><<<1, 96>>>(nullptr, nullptr); }
}  // namespace gpucnn
END
report "$scratch/plain.cu"
expect "a kernel that takes little is fine" code_is 0
expect "it is named with its threads and shared bytes" grep -qE 'plain_kernel<256> +96 +1024 +0 ' <<<"$output"
expect "of its 3 warps 21 blocks fill the threads of two GPUs, 16 of the third" grep -qE ' 21 / 21 / 16 +63 / 63 / 48$' <<<"$output"
expect "and says so" ends_with_line "1 kernels for compute capability 8.0, 9.0, 12.0: none spills, all say their threads"
report --capability 9.0 "$scratch/plain.cu"
expect "one compute capability alone" ends_with_line "1 kernels for compute capability 9.0: none spills, all say their threads"
touch "$scratch/then"
report "$scratch/plain.cu"
expect "what is compiled is kept" test -z "$(find "$scratch/build" -name '*.txt' -newer "$scratch/then")"
sed -i 's/plain_kernel/other_kernel/' "$scratch/plain.cu"
report "$scratch/plain.cu"
expect "until the file changes" says "other_kernel<256>"

cat >"$scratch/spill.cu" <<'END'
// 128 numbers that are all needed to the end, of a thread that may have 32 registers.
__global__ void __launch_bounds__(1024, 2) spilling_kernel(float* x) {
  float values[128];
#pragma unroll
  for (int i = 0; i < 128; ++i) values[i] = x[threadIdx.x + 1024 * i];
  for (int round = 0; round < 100; ++round) {
#pragma unroll
    for (int i = 0; i < 128; ++i) values[i] = values[i] * values[(i + 1) % 128] + values[(i + 7) % 128];
  }
#pragma unroll
  for (int i = 0; i < 128; ++i) x[threadIdx.x + 1024 * i] = values[i];
}
END
report "$scratch/spill.cu"
expect "a kernel that spills is an error" code_is 1
for capability in 8.0 9.0 12.0; do
  expect "named for $capability" grep -qE "^$scratch/spill.cu: spilling_kernel spills on $capability: [1-9][0-9]* bytes stored, [1-9][0-9]* bytes loaded$" <<<"$output"
done

cat >"$scratch/faults.cu" <<'END'
__global__ void unbounded_kernel(float* x) { x[threadIdx.x] = 0; }
extern __shared__ float gpucnn_dynamic_shared[];
__global__ void __launch_bounds__(64) dynamic_kernel(float* x) { x[0] = gpucnn_dynamic_shared[threadIdx.x]; }
END
report --capability 9.0 "$scratch/faults.cu"
expect "other faults are errors too" code_is 1
expect "threads that are not said" says "faults.cu: unbounded_kernel does not say its threads by __launch_bounds__"
expect "dynamic shared memory of unknown size" says "faults.cu: dynamic_kernel uses dynamic shared memory; DYNAMIC_SHARED"

echo "this is no kernel" >"$scratch/wrong.cu"
report "$scratch/wrong.cu"
expect "what does not compile is an error" code_is 1
expect "in the compiler's words" says 'error: expected a declaration'
report
expect "a folder without CUDA is an error" code_is 1
expect "with the way out" says "is not configured with CUDA; cmake --preset dev does"

# Every limit is met: threads and registers from few to many, shared memory from none to all.
cat >"$scratch/occupancy.cpp" <<'END'
#include <cuda_occupancy.h>
#include <cstdio>
int main() {
  struct { int major, threads, shared; } gpus[] = {{8, 2048, 164}, {9, 2048, 228}, {12, 1536, 100}};
  for (const auto& gpu : gpus) {
    cudaOccDeviceProp p{};
    p.computeMajor = gpu.major;
    p.maxThreadsPerBlock = 1024;
    p.maxThreadsPerMultiprocessor = gpu.threads;
    p.regsPerBlock = p.regsPerMultiprocessor = 65536;
    p.warpSize = 32;
    p.sharedMemPerBlock = 48 << 10;
    p.sharedMemPerMultiprocessor = gpu.shared << 10;
    p.numSms = 100;
    p.sharedMemPerBlockOptin = (gpu.shared - 1) << 10;
    p.reservedSharedMemPerBlock = 1024;
    for (int threads = 1; threads <= 1024; threads += 31) {
      for (int registers = 16; registers <= 255; registers += 13) {
        for (int shared = 0; shared <= (gpu.shared - 1) << 10; shared += 7777) {
          cudaOccFuncAttributes a{};
          a.maxThreadsPerBlock = 1024;
          a.numRegs = registers;
          a.sharedSizeBytes = shared < (48 << 10) ? shared : 0;
          a.maxDynamicSharedSizeBytes = shared;
          a.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
          a.numBlockBarriers = 1;
          cudaOccDeviceState state{};
          cudaOccResult result{};
          if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &p, &a, &state, threads, shared - a.sharedSizeBytes) != 0) return 1;
          std::printf("%d.0 %d %d %d %d\n", gpu.major, threads, registers, shared, result.activeBlocksPerMultiprocessor);
        }
      }
    }
  }
}
END
run g++ -std=c++17 -w "-I$(dirname "$(dirname "$nvcc")")/include" -o "$scratch/occupancy" "$scratch/occupancy.cpp"
if code_is 0; then
  "$scratch/occupancy" >"$scratch/occupancies"
  run env PYTHONPATH="$root/benchmarks" PYTHONDONTWRITEBYTECODE=1 python3 -c '
import sys, occupancy
lines = [line.split() for line in open(sys.argv[1])]
wrong = [l for l in lines if occupancy.blocks(l[0], *map(int, l[1:4])) != int(l[4])]
print(len(lines), "cases, wrong:", wrong[:3])
sys.exit(bool(wrong) or len(lines) < 10000)' "$scratch/occupancies"
  expect "occupancy is what the toolkit's header computes" code_is 0
fi

finish
