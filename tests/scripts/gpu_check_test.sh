#!/usr/bin/env bash
# scripts/gpu_check on machines that are not this one: a copy of the scripts in a folder of its own, and a PATH on which nvidia-smi, nvcc,
# cmake, ctest and compute-sanitizer are stand-ins, as are the programs that the build makes.
# shellcheck disable=SC2016  # what stands in single quotes is for the stand-ins
set -eu
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "$0")/expect.sh"
for tool in python3 dpkg-deb ar; do
  if ! command -v "$tool" >/dev/null; then
    printf 'skipped: needs %s\n' "$tool"
    exit 77
  fi
done

calls="$scratch/calls"
stand_in() { # stand_in NAME: standard input is what it does after it has written its call down
  { printf '#!/bin/sh\necho "%s $*" >>"%s"\n' "$1" "$calls"; cat; } >"$bin/$1"
  chmod +x "$bin/$1"
}

# A machine of its own: no network, an H100 with a toolkit that has cuDNN and cuBLAS, PyTorch, and packages in .deps/.
new_machine() {
  machine="$scratch/machine $((${machines:=0} + 1))"
  machines=$((machines + 1))
  bin="$machine/bin"
  project="$machine/clone"
  mkdir -p "$bin" "$machine/cuda/bin" "$machine/cuda/include" "$project/.deps"
  cp -R "$root/scripts" "$project/"
  mkdir "$project/benchmarks" "$project/docs"
  cp "$root/benchmarks/gpu_report.py" "$project/benchmarks/"
  : >"$calls"
  for tool in bash sh env sed tr tail head mkdir dirname cat grep awk uname chmod rm mv ls cut paste date sleep find sort xargs cksum cmp touch tar xz ar readlink \
    dpkg-deb; do
    if command -v "$tool" >/dev/null; then ln -s "$(command -v "$tool")" "$bin/$tool"; fi
  done
  sed -e "s|/usr/local/cuda|$machine/none|" -e 's|/usr /usr/local;|;|' "$root/scripts/gpu_machine.sh" >"$project/scripts/gpu_machine.sh"
  sed -e 's|/etc/os-release|/none|' -e 's|/proc/meminfo|/none|' "$root/scripts/setup.sh" >"$project/scripts/setup.sh"
  printf 'echo "NVIDIA H100 80GB HBM3, 580.159.04, 9.0"\n' | stand_in nvidia-smi
  printf 'echo "Cuda compilation tools, release 13.0, V13.0.88"\n' | stand_in nvcc
  mv "$bin/nvcc" "$machine/cuda/bin/"
  printf '#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 19\n#define CUDNN_PATCHLEVEL 1\n' >"$machine/cuda/include/cudnn_version.h"
  : >"$machine/cuda/include/cublasLt.h"
  printf 'echo 4\n' | stand_in nproc
  printf 'echo 13.2.0\n' | stand_in g++
  printf 'exit 0\n' | stand_in ninja
  printf 'exit 0\n' | stand_in compute-sanitizer
  printf 'echo "100%% tests passed, 0 tests failed out of 300"\n' | stand_in ctest
  # It finds no PyTorch unless the machine has some, nor packages of the real machine (-S); what it compares is written as compare_pytorch.py would.
  cat <<END | stand_in python3
case "\$*" in
  "-c import torch") [ -e "$machine/torch" ] || { echo "No module named 'torch'" >&2; exit 1; } ;;
  -c*) [ -e "$machine/torch" ] && echo 2.11.0 ;;
  *compare_pytorch.py*) echo '[{"what": "train", "batch": 128, "program": "libgpucnn", "median_ms": 0.1, "p10_ms": 0.1, "p90_ms": 0.1,
    "images_per_second": 1280000, "ratio": 1}, {"what": "train", "batch": 128, "program": "PyTorch CUDA graph", "median_ms": 0.15,
    "p10_ms": 0.1, "p90_ms": 0.2, "images_per_second": 853333, "ratio": 1.5}]' >"\$(echo "\$*" | sed 's/.*--json //; s/ --.*//')" ;;
  *) PYTHONPATH="$machine/python" exec $(python3 -c 'import sys; print(sys.executable)') -S "\$@" ;;
esac
END
  touch "$machine/torch"
  cat <<'END' | stand_in cmake
case "$1" in
  --version) echo "cmake version 3.28.3" ;;
  -S) mkdir -p "$4" ;;
  --build)
    mkdir -p "$2/benchmarks" "$2/samples" "$2/tests"
    program() { { echo '#!/bin/sh'; cat; } >"$2/$1"; chmod +x "$2/$1"; }
    echo 'echo "{\"batch 4\": {\"loss_to_cpu\": 1e-7, \"weight_to_cpu\": 2e-6, \"loss_to_pytorch\": 1e-7, \"weight_to_pytorch\": 3e-6}}"' | program benchmarks/parity "$2"
    echo 'for a; do case $a in --benchmark_out=*) cat >"${a#*=}" <<J
{"context": {"copy_bytes_per_second": "3e12"}, "benchmarks": [
 {"name": "large/relu/8192/16/32/real_time", "real_time": 1, "time_unit": "us", "bytes_per_second": 2.85e12, "of_copy": 0.95},
 {"name": "large/max_pool2d/2x2/8192/16/32/real_time", "real_time": 1, "time_unit": "us", "bytes_per_second": 2.4e12, "of_copy": 0.8}]}
J
;; esac; done' | program benchmarks/kernels_bench "$2"
    echo 'case "$*" in *bf16*) echo "network_bench: bf16 needs a GPU of compute capability 8.0 or later; cuda:0 has 7.5"; exit 1 ;; esac
while [ $# -gt 1 ]; do case "$1" in --precision) precision="$2" ;; --batch) batch="$2" ;; esac; shift; done
echo "{\"what\":\"train\",\"batch\":$batch,\"precision\":\"$precision\",\"median_ms\":0.0${batch}5123,\"p10_ms\":0.1}"' | program benchmarks/network_bench "$2"
    for name in core kernels layers train; do echo 'exit 0' | program "tests/test_$name" "$2"; done
    mkdir -p "$2/tests/distributed"
    echo 'exit 0' | program tests/distributed/test_distributed "$2"
    echo '[ "$1" != --help ] || exit 0; for out; do :; done; mkdir -p "$out"; echo weights >"$out/last.safetensors"; echo weights >"$out/best.safetensors"' | program samples/train_cifar "$2"
    ;;
esac
END
  mkdir -p "$project/tests" "$machine/python" "$machine/package/DEBIAN" "$machine/package/usr/include/fmt"
  printf 'Package: libfmt-dev\nVersion: 9\nArchitecture: all\nMaintainer: nobody\nDescription: none\n' >"$machine/package/DEBIAN/control"
  : >"$machine/package/usr/include/fmt/format.h"
  dpkg-deb --build "$machine/package" "$project/.deps/libfmt-dev_9_all.deb" >/dev/null
  for folder in CMakeLists.txt cmake core kernels layers models optim data io distributed train samples; do : >"$project/$folder"; done
}

check() {
  : >"$calls"
  run env -i PATH="$bin" HOME="$machine" CUDA_HOME="$machine/cuda" bash "$project/scripts/gpu_check" "$@"
}
called() { grep -q -- "$1" "$calls"; }
not_called() { ! called "$1"; }
ended() { printf '%s\n' "$output" | grep -qE "^$1, [0-9]+ s: $2"; } # ended VERDICT REASON, after however many seconds
table() { grep -q -- "$1" "$project/build-gpu/report/gpu_check.md"; }

new_machine
check
expect "everything passes" code_is 0
expect "it builds for this GPU" called "cmake -S $project -B $project/build-gpu .*-DGPUCNN_CUDA=ON -DGPUCNN_CUDA_ARCHITECTURES=90 "
expect "with the packages of .deps/" called "-DCMAKE_PREFIX_PATH=$project/.deps/root/usr"
expect "which it unpacks" test -e "$project/.deps/root/usr/include/fmt/format.h"
expect "it runs the tests that need a GPU" called "ctest .*-L gpu"
expect "memcheck sees three programs" test "$(grep -c 'compute-sanitizer --tool memcheck .*test_' "$calls")" = 3
expect "a step is timed in each precision and size" table "| fp32 | 45.1 | 12.9 | 10.2 | 41.0 |"
expect "in the order of what is worth most" test "$(printf '%s\n' "$output" | sed -n 's/^==== //p' | head -n 4 | paste -sd ' ')" = "build test steps parity"
expect "one GPU is too few for ranks" ended "not run" "there is one GPU, and each rank needs one of its own"
expect "without nsys nodes are not timed" ended "not run" "nsys is not there"
expect "racecheck sees the kernels of libgpucnn" called "compute-sanitizer --tool racecheck --kernel-name kns=gpucnn"
expect "a precision that the GPU has not is no failure" ended "not run" "network_bench: bf16 needs a GPU of compute capability 8.0"
expect "the tables name GPU, driver and versions" table "NVIDIA H100 80GB HBM3, driver 580.159.04, CUDA 13.0, cuDNN 9.19.1, PyTorch 2.11.0"
expect "and what was reached" table "| relu on large tensors, of a copy's bandwidth | >= 90% | 95.0% | yes |"
expect "and what was not" table "| max_pool2d/2x2 on large tensors, of a copy's bandwidth | >= 90% | 80.0% | no |"
expect "and the comparison" table "tf32, batch 128: time of PyTorch's whole-step CUDA graph / libgpucnn's | > 1 | 1.50 | yes |"
expect "the JSON is whole" python3 -c "import json, sys; json.load(open(sys.argv[1]))" "$project/build-gpu/report/gpu_check.json"
check
expect "a second call runs only what has not passed" test "$(printf '%s\n' "$output" | sed -n 's/^==== //p' | paste -sd ' ')" = "ranks pytorch-bf16 profile"
rm "$project/build-gpu/report/build.result"
check build
expect "a build that was carried here is used" ended "passed" "built before from these sources, for compute capability 9.0"
expect "and not made again" not_called "cmake -S"
printf '#!/bin/sh\nexit 127\n' >"$project/build-gpu/tests/test_train"
check build
expect "if its programs start" called "cmake --build"
echo newer >"$project/core"
check build
expect "and if it is of these sources" called "cmake --build"
printf 'while [ $# -gt 0 ]; do [ "$1" != --output ] || name="$2"; shift; done\n: >"$name.nsys-rep"; echo Start >"${name}_cuda_gpu_trace.csv"\n' | stand_in nsys
check profile
expect "with nsys nodes are timed" called "nsys profile --trace cuda --cuda-graph-trace node .*--precision bf16 --batch 4096"
expect "and left as CSV" test -s "$project/build-gpu/report/profile-bf16-4096.csv"
rm "$bin/nsys"
printf 'if [ "$*" = --list-gpus ]; then printf "GPU 0\\nGPU 1\\nGPU 2\\nGPU 3\\nGPU 4\\n"; else echo "NVIDIA H100 80GB HBM3, 580.159.04, 9.0"; fi\n' | stand_in nvidia-smi
check ranks
expect "ranks need MPI" says "mpirun is not there"
printf 'exit 0\n' | stand_in mpirun
check ranks
expect "a rank gets each of up to four GPUs" called "mpirun -n 4 $project/build-gpu/tests/distributed/test_distributed --gtest_filter=Gpu\*"
expect "and trains" ended "passed" "4 ranks with a GPU each trained to the losses of one"
printf 'printf "x.cpp:1: Skipped\\nthere is 1 GPU for 4 ranks\\n[  SKIPPED ] 9 tests\\n"\n' | stand_in mpirun
check ranks
expect "ranks that skip have failed" says "tests were skipped: there is 1 GPU for 4 ranks"
rm "$bin/mpirun"
printf 'echo "NVIDIA H100 80GB HBM3, 580.159.04, 9.0"\n' | stand_in nvidia-smi
check sanitize
expect "a named stage runs again" called "compute-sanitizer --tool memcheck"
expect "and no other" not_called "ctest"

printf 'before\n<!-- gpu_check: begin -->\nold\n<!-- gpu_check: end -->\nafter\n' >"$project/docs/gpu.md"
check --docs parity
expect "--docs puts the tables between the marks" grep -q "NVIDIA H100" "$project/docs/gpu.md"
expect "and nothing else changes" test "$(grep -cE '^(before|after|old)$' "$project/docs/gpu.md")" = 2

printf 'echo "test 7 ***Skipped"\necho "100%% tests passed, 0 tests failed out of 300"\n' | stand_in ctest
printf 'echo "========= Invalid __global__ write"\nexit 99\n' | stand_in compute-sanitizer
rm "$machine/torch"
echo changed >"$project/core"
check
expect "failures end in an error" code_is 1
expect "after everything else has run" says "==== kernels"
expect "that names them" ends_with_line "scripts/gpu_check: failed: test pytorch-bf16 pytorch-fp32 pytorch-tf32 memcheck racecheck"
expect "a skipped test is a failure" says "tests were skipped on a machine with a GPU"
expect "what a tool said is shown" says "Invalid __global__ write"
expect "PyTorch is missed" says "python3 has no PyTorch (pip install torch)"
expect "what failed is in the table" table "| memcheck | failed |"
expect "and other sources begin anew" table "| parity | passed |"

new_machine
printf 'case "$1" in --version) echo "cmake version 3.28.3" ;; *) echo "Could NOT find Highway"; exit 1 ;; esac\n' | stand_in cmake
check build test
expect "without a build nothing else runs" not_called ctest
expect "CMake's own reason is shown" says "Could NOT find Highway"
expect "and the way out" says "scripts/bundle_deps"
expect "and it is an error" ends_with_line "scripts/gpu_check: failed: build"

new_machine
rm "$machine/cuda/include"/*
for name in cudnn cu13; do mkdir -p "$machine/python/nvidia/$name/include" "$machine/python/nvidia/$name/lib"; done
: >"$machine/python/nvidia/cu13/include/cublasLt.h"
printf '#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 20\n#define CUDNN_PATCHLEVEL 0\n' >"$machine/python/nvidia/cudnn/include/cudnn_version.h"
printf 'echo "$CUDNN_ROOT and $LD_LIBRARY_PATH"\necho "100%% tests passed, 0 tests failed out of 300"\n' | stand_in ctest
check build test
expect "cuDNN is found in python's packages" code_is 0
expect "with its library and cuBLAS's" grep -q "python/nvidia/cudnn and .*python/nvidia/cu13/lib:.*python/nvidia/cudnn/lib" "$project/build-gpu/report/test.log"
expect "in its version" table "cuDNN 9.20.0"

new_machine
rm "$bin/dpkg-deb"
check build
expect "without dpkg-deb the packages are unpacked too" test -e "$project/.deps/root/usr/include/fmt/format.h"
: >"$project/.deps/libdnnl2_2_riscv64.deb"
check build
expect "packages for another processor are refused" says "libdnnl2_2_riscv64.deb in .deps/ is not for this processor"

new_machine
rm "$bin/nvidia-smi" "$machine/cuda/bin/nvcc"
check
expect "without a GPU it stops" code_is 1
expect "with a sentence about the GPU" says "scripts/gpu_check: no GPU: nvidia-smi is not there"
expect "and one about nvcc" says "scripts/gpu_check: no nvcc: install CUDA 12 or newer"
expect "and says what can be tried" says "--no-gpu tries what needs no GPU"
expect "and builds nothing" not_called "cmake -S"
check --no-gpu
expect "--no-gpu succeeds" code_is 0
expect "it builds for the CPU" called "-DGPUCNN_CUDA=OFF"
expect "it runs the tests that need no GPU" called "ctest .*-LE gpu|scripts"
expect "no stage but the build has passed" test "$(grep -c '| passed |' "$project/build-gpu/report/gpu_check.md")" = 1
expect "a sanitizer was not run" table "| memcheck | not run | [0-9]* | no GPU |"
expect "nothing was measured" table "No GPU: nothing was measured"
rm "$machine/torch"
check --no-gpu pytorch-fp32
expect "without PyTorch either, that is no failure" code_is 0
check --no-gpu --docs
expect "and nothing goes into the docs" code_is 2

new_machine
rm "$machine/cuda/include/cudnn_version.h"
check
expect "without cuDNN it stops" says "scripts/gpu_check: no cuDNN: neither the CUDA toolkit nor python3 has its headers"
printf 'echo "NVIDIA-SMI has failed because it could not communicate with the driver"\nexit 9\n' | stand_in nvidia-smi
check
expect "a driver that fails is quoted" says "no GPU: nvidia-smi says: NVIDIA-SMI has failed"
check frob
expect "an unknown stage is a wrong call" code_is 2
expect "answered by the usage" says "usage: scripts/gpu_check"

new_machine
check --minutes 12
expect "within minutes everything passes too" code_is 0
expect "and is measured more shortly" called "compare_pytorch.py .*--batches 128 1024 --seconds 0.2 --rounds 3"
for wrong in 0 x 1.5; do
  check --minutes "$wrong"
  expect "'$wrong' minutes are a wrong call" code_is 2
done

# Minutes that are seconds long, and stages that need hardly any.
new_machine
sed -i -e 's/60 \* minutes/minutes/' -e 's/printf 60/printf 1/' "$project/scripts/gpu_check"
printf 'echo $$ >"%s/ctest"\nexec sleep 60\n' "$machine" | stand_in ctest
check --minutes 5
expect "a stage that takes longer is no failure" code_is 0
expect "it is broken off" says "broken off: the 5 minutes are over"
has_ended() { ! grep -qsE '^State:[[:space:]]+[RSD]' "/proc/$1/status"; }
expect "with what it has started" has_ended "$(cat "$machine/ctest")"
expect "what does not fit is left out, with its reason" table "| steps | not run | 0 | left out: it takes 10 s or more, and -*[0-9]* s of 5 min are left |"
expect "and named" says "no time was left for: test steps parity ranks pytorch-bf16 pytorch-fp32 pytorch-tf32 profile repeat memcheck racecheck kernels"
expect "what has passed has passed" table "| build | passed |"

finish
