#!/usr/bin/env bash
# cuda_on_cpu_test.sh BUILD CASE: train_cifar with its CUDA side, on the stand-ins for a GPU that tests/cuda_on_cpu/ has: what it says
# of machines that lack something, its exit codes, and that it learns what it learns on the CPU.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/expect.sh"
train="$1/tests/cuda_on_cpu/cuda_on_cpu_train_cifar"
libraries="$1/tests/cuda_on_cpu/lib"
old="$1/tests/samples/old_cudnn"
cd "$scratch" || exit 1

# small [OPTION...]: a run of a moment.
small() { "$train" --limit 64 --epochs 1 --batch-size 32 --out out --overwrite "$@"; }

# lacks WORDS... -- [VARIABLE=VALUE...]: with these variables no GPU can be used. `auto` trains on the CPU and says why, `cuda` ends with
# code 3; both in one sentence with all the WORDS.
lacks() {
  local words=() word
  while [ "$1" != -- ]; do
    words+=("$1")
    shift
  done
  shift
  run env "$@" "$train" --limit 64 --epochs 1 --out out --overwrite
  expect "auto falls back: $*" code_is 0
  expect "  and says so" says "using the CPU: "
  for word in "${words[@]}"; do expect "  with '$word'" says "$word"; done
  run env "$@" "$train" --limit 64 --epochs 1 --out out --overwrite --device cuda
  expect "cuda does not: $*" code_is 3
  for word in "cuda:0 cannot be used" "${words[@]}"; do expect "  with '$word'" says "$word"; done
  expect "  in one line" [ "$(printf '%s\n' "$output" | wc -l)" -eq 1 ]
}

driver() {
  lacks "there is no NVIDIA driver" -- GPUCNN_STANDIN_DRIVER=0
  lacks "CUDA 12.4" "CUDA 13." "update the driver" -- GPUCNN_STANDIN_DRIVER=12040
}

gpu() {
  lacks "compute capability 6.1" "has code for" -- GPUCNN_STANDIN_CAPABILITY=6.1
  lacks "no GPU" -- GPUCNN_STANDIN_GPUS=0
  run small --device cuda:7
  expect "a GPU that is not there: 3" code_is 3
  expect "  says how many there are" says "there is only 1 GPU"
}

libraries() {
  lacks "cuDNN was not found" "looked for libcudnn.so" "$scratch/nowhere" -- GPUCNN_CUDA_LIBRARY_PATH="$scratch/nowhere"
  mkdir only_cudnn
  cp "$libraries"/libcudnn.so.* only_cudnn
  lacks "cuBLASLt was not found" "looked for libcublasLt.so" "$scratch/only_cudnn" -- GPUCNN_CUDA_LIBRARY_PATH="$scratch/only_cudnn"
  lacks "cuDNN 9.1.0" "is older than 9.8" "GPUCNN_CUDA_LIBRARY_PATH can name" -- GPUCNN_CUDA_LIBRARY_PATH="$old"
  # What NVIDIA's older one has loaded would serve the newer one too, and break it.
  lacks "cuDNN 9.1.0" "is older than 9.8" -- GPUCNN_CUDA_LIBRARY_PATH="$old:$libraries"
  lacks "names no folder" -- GPUCNN_CUDA_LIBRARY_PATH=:
  mkdir damaged
  printf 'no library' >damaged/libcudnn.so.9
  lacks "cuDNN was not found" "damaged" -- GPUCNN_CUDA_LIBRARY_PATH="$scratch/damaged"
}

precision() {
  run small --device cuda --precision tf32
  expect "tf32 trains" code_is 0
  run env GPUCNN_STANDIN_CAPABILITY=7.5 "$train" --limit 64 --epochs 1 --out out --overwrite --device cuda --precision tf32
  expect "tf32 on a GPU that has none: 3" code_is 3
  expect "  says so" says "tf32 needs a GPU of compute capability 8.0 or later; cuda:0 has 7.5"
  run small --device cpu --precision tf32
  expect "tf32 on the CPU: 3" code_is 3
  expect "  says what can" says "(using cpu, as asked); --precision fp32 always can"
  run env GPUCNN_STANDIN_DRIVER=0 "$train" --limit 64 --epochs 1 --out out --overwrite --precision bf16
  if grep -qE '^flags.* (avx512_bf16|amx_bf16)' /proc/cpuinfo; then
    expect "bf16 trains on a CPU that has it" code_is 0
  else
    expect "bf16 without a GPU on a CPU that has none: 3" code_is 3
    expect "  says why" says "bf16 needs a processor with AVX512-BF16 or AMX-BF16; this one has neither (using the CPU: there is no NVIDIA driver)"
  fi
  run small --device cuda --precision bf16
  expect "bf16 trains" code_is 0
}

memory() {
  run env GPUCNN_STANDIN_MEMORY=40000000 "$train" --limit 4000 --batch-size 2000 --epochs 1 --out out --overwrite --device cuda
  expect "out of memory: 7" code_is 7
  for words in "out of memory on cuda:0" "asked for" "free" "held by this process" "smaller batch"; do expect "  says '$words'" says "$words"; done
  run env GPUCNN_STANDIN_MEMORY=40000000 "$train" --limit 256 --batch-size 16 --epochs 1 --out out --overwrite --device cuda
  expect "a smaller batch works" code_is 0
}

# The losses of a run's epochs.
losses() { sed -e 's/.*"train_loss":\([^,]*\),.*"test_loss":\([^,]*\),.*/\1 \2/' "$1/metrics.jsonl"; }

learns() {
  local common="--limit 256 --epochs 3 --batch-size 48 --augment --optimizer adam --lr 1e-3 --schedule constant --quiet"
  # shellcheck disable=SC2086  # one word for each option
  for device in cuda cpu; do
    run "$train" $common --device $device --out $device
    expect "trains on $device" code_is 0
    losses $device >$device.losses
  done
  output=$(paste cpu.losses cuda.losses)
  # shellcheck disable=SC2016  # awk's own
  expect "the losses are the CPU's within 1e-5" awk '
    function far(a, b) { return (a > b ? a - b : b - a) > 1e-5 * a }
    NF != 4 || far($1, $3) || far($2, $4) { exit 1 }
    END { exit NR != 3 }' <(paste cpu.losses cuda.losses)
  # shellcheck disable=SC2086
  run "$train" $common --device cuda --out again
  expect "the same bits again" cmp cuda/last.safetensors again/last.safetensors
  run small
  expect "auto takes the GPU" says "using cuda:0: "
}

not_finite() {
  run small --device cuda --lr 1e30
  expect "a loss that is not finite: 6" code_is 6
  expect "  says so" says "the loss became"
}

interrupt() {
  env --default-signal=INT "$train" --device cuda --limit 320 --batch-size 32 --epochs 100000 --out out --overwrite >log 2>errors &
  local process=$!
  for _ in $(seq 200); do
    [ ! -e out/best.safetensors ] || break
    sleep 0.1
  done
  kill -INT $process
  code=0
  wait $process || code=$?
  output=$(cat errors)
  expect "Ctrl-C: 130" code_is 130
  run "$train" --limit 64 --epochs 1 --out again --init out/last.safetensors --device cpu
  expect "  the weights can be loaded on a CPU" code_is 0
}

code=0
output=""
"$2" "$1"
finish
