#!/usr/bin/env bash
# rules_test.sh BUILD: the rules of the house that no compiler checks: who may include whom, that no file is forgotten, that no folder
# overflows. BUILD/sources.txt is the list of the library's files that cmake/Sources.cmake makes.
set -eu
cd "$(dirname "$0")/../.."
sources="$1/sources.txt"
failures=0

# fail MESSAGE: remembers it, and goes on to the next rule.
fail() {
  printf 'FAILED: %s\n' "$*"
  failures=$((failures + 1))
}

rooms=(core kernels layers models optim data io distributed train)
floors="core kernels layers models optim data io distributed train"

# What the files of a floor may include, besides their own floor. One arrow: core <- kernels <- layers <- models; optim and data stand
# beside layers; io above models and data, for a file may hold a whole model; train sees all.
floors_below() {
  case "$1" in
    core) ;;
    kernels) printf 'core' ;;
    layers | optim | data) printf 'core kernels' ;;
    models) printf 'core kernels layers' ;;
    io) printf 'core kernels layers models data' ;;
    distributed) printf 'core kernels layers' ;;
    train) printf 'core kernels layers models optim data io distributed' ;;
  esac
}

# What the files of a room of kernels/ may include from other rooms there.
kernels_below() {
  case "$1" in
    common) ;;
    simd | cuda | vendor) printf 'common' ;;
    activation | augment | clip | combine | copy | loss | metrics | muon | norm | optim) printf 'common simd cuda' ;;
    pool) printf 'common simd cuda pool_rows' ;;
    image) printf 'common simd cuda augment' ;;
    gemm | pool_rows) printf 'common simd' ;;
    winograd) printf 'common simd activation copy' ;;
    winograd5x5) printf 'common simd activation gemm winograd' ;;
    conv) printf 'common simd cuda vendor activation combine copy winograd winograd5x5' ;;
    conv2d_onednn) printf 'common simd vendor activation conv' ;;
    conv2d_gemm) printf 'common simd activation conv copy gemm' ;;
    depthwise) printf 'common simd activation conv' ;;
    separable) printf 'common activation conv conv2d_gemm depthwise gemm pool pool_rows' ;;
    linear) printf 'common simd cuda vendor activation conv' ;; # cuBLASLt's products have bias gradients like a convolution's
    head) printf 'common cuda activation linear' ;;
    fused) printf 'common simd cuda conv copy image pool winograd' ;;
    *) printf 'unknown' ;;
  esac
}

# What the files of a room of layers/ may include from other rooms there; "." is layers/ itself.
layers_below() {
  case "$1" in
    module | losses) ;;
    graph) printf 'module' ;;
    activation | norm | pool) printf 'module graph' ;;
    .) printf 'module activation graph' ;;
    fusion) printf '. module activation norm pool' ;;
    containers) printf '. module fusion graph' ;;
    *) printf 'unknown' ;;
  esac
}

# The sources of a folder, as paths from the root.
files_of() { find "$@" -name '*.h' -o -name '*.cpp' -o -name '*.cu'; }

for floor in $floors; do
  for other in $floors; do
    case " $(floors_below "$floor") $floor " in *" $other "*) continue ;; esac
    if grep -rn "#include <gpucnn/$other/" "$floor"; then fail "$floor/ may not include from $other/"; fi
  done
  if grep -rnE '#include ("|<(\.\.|gpucnn/(samples|tests|benchmarks|gpucnn\.h)))' "$floor"; then
    fail "$floor/ includes as <gpucnn/folder/file.h> and nothing from outside the library"
  fi
done
for room in kernels/*/; do
  room=$(basename "$room")
  for other in kernels/*/; do
    other=$(basename "$other")
    case " $(kernels_below "$room") $room " in *" $other "*) continue ;; esac
    if grep -rn "#include <gpucnn/kernels/$other/" "kernels/$room"; then fail "kernels/$room/ may not include from kernels/$other/"; fi
  done
done
# In core/ words lean on nothing, and nothing but core/gpu/ itself on GPUs.
for room in . text threads host memory; do
  for other in core/*/; do
    other=$(basename "$other")
    case "$room" in text) forbidden='threads host memory gpu' ;; *) forbidden=gpu ;; esac
    case " $forbidden " in *" $other "*) ;; *) continue ;; esac
    if find "core/$room" -maxdepth 1 -type f -exec grep -n "#include <gpucnn/core/$other/" {} +; then
      fail "core/$room/ may not include from core/$other/"
    fi
  done
done
if find kernels -maxdepth 1 -type f | grep .; then fail "kernels/ has files outside its families"; fi
for room in . layers/*/; do
  room=$(basename "$room")
  [ "$(layers_below "$room")" != unknown ] || fail "layers/$room/ is not in the rules"
  for other in . layers/*/; do
    other=$(basename "$other")
    case " $(layers_below "$room") $room " in *" $other "*) continue ;; esac
    include="#include <gpucnn/layers/$other/"
    [ "$other" != . ] || include='#include <gpucnn/layers/[a-z0-9_]*\.h>'
    if find "layers/$room" -maxdepth 1 -type f -exec grep -n "$include" {} +; then fail "layers/$room/ may not include from layers/$other/"; fi
  done
done
if grep -ln '#include <gpucnn/layers/fusion/' layers/containers/* | grep -v '^layers/containers/sequential\.cpp$'; then fail "Sequential alone joins layers"; fi
for room in fused head separable; do
  if grep -rln "#include <gpucnn/kernels/$room/" kernels layers models train data optim io | grep -vE "^(kernels/$room|layers/fusion)/"; then
    fail "layers/fusion/ alone uses kernels/$room/"
  fi
done

# A friend is a class of the same floor or of one below.
friends=$(grep -rnoE '^ *friend (class|struct) [A-Za-z0-9_]+;' "${rooms[@]}" || true)
while IFS=: read -r file _ friend; do
  [ -n "$file" ] || continue
  name=$(printf '%s\n' "$friend" | sed -E 's/.* ([A-Za-z0-9_]+);/\1/')
  for other in $floors; do
    case " $(floors_below "${file%%/*}") ${file%%/*} " in *" $other "*) continue ;; esac
    if grep -rnE "^ *(class|struct) (GPUCNN_API )?$name\b[^;]*\{" "$other"; then fail "$file has a friend on a higher floor: $name"; fi
  done
done <<<"$friends"

# CUDA stays in the files that a build without it leaves out.
cuda=$(sed -n 's/^CU[A-Z_]* //p' "$sources")
others=$(grep -rlE '#include <(gpucnn/core/gpu/|gpucnn/kernels/cuda/|cuda|cudnn|cublas)' "${rooms[@]}" | sort | comm -23 - <(printf '%s\n' "$cuda" | sort))
[ -z "$others" ] || fail "only files that builds with CUDA add include from core/gpu/ or the toolkit, but so does:" "$others"

# A kernel says its threads, so that ptxas knows how many registers each may have: scripts/kernel_resources.
if grep -rnE '__global__ void' "${rooms[@]}" | grep -v '__global__ void __launch_bounds__('; then fail "a kernel lacks __launch_bounds__"; fi

# A folder that holds more than 25 files wants rooms.
while read -r folder; do
  count=$(find "$folder" -maxdepth 1 -type f | wc -l)
  [ "$count" -le 25 ] || fail "$folder/ holds $count files, more than 25"
done < <(find "${rooms[@]}" tests samples benchmarks cmake scripts docs -type d -not -name __pycache__)

# The programs a user writes are short and include what users include.
for program in tests/consumer/*.cpp; do
  [ "$(grep -h '#include <gpucnn/' "$program")" = "#include <gpucnn/gpucnn.h>" ] || fail "$program includes <gpucnn/gpucnn.h> and no other"
  [ "$(wc -l <"$program")" -lt 40 ] || fail "$program has 40 lines or more"
done

# No file is forgotten in cmake/Sources.cmake, and none is there twice.
there=$(for floor in $floors; do files_of "$floor"; done | sort)
listed=$(sed 's/^[^ ]* //' "$sources" | sort)
only_there=$(comm -23 <(printf '%s\n' "$there") <(printf '%s\n' "$listed" | uniq))
twice=$(printf '%s\n' "$listed" | uniq -d)
[ -z "$only_there" ] || fail "not named in cmake/Sources.cmake:" "$only_there"
[ -z "$twice" ] || fail "named twice in cmake/Sources.cmake:" "$twice"

public=$(sed -n 's/^PUBLIC_HEADERS //p' "$sources")
[ -n "$public" ] || fail "cmake/Sources.cmake names no public headers"

# Public headers name nothing of the libraries that the library stands on.
for header in $public; do
  if grep -nE '#include <(oneapi|dnnl|hwy|fmt|nlohmann|mpi|cuda|cudnn|cublas|omp|png|turbojpeg|zlib)' "$header"; then fail "$header is public and needs another library"; fi
done

# So a header that a .cpp file includes first is seen to compile alone.
for header in $public; do
  source="${header%.h}.cpp"
  [ ! -f "$source" ] || [ "$(grep -m 1 '^#include' "$source")" = "#include <gpucnn/$header>" ] || fail "$source includes its own header first"
done

for header in $(printf '%s\n' "$there" | grep '\.h$'); do
  case "$header" in *-inl.h) continue ;; esac # Highway's own guards: compiled once for each target
  grep -q '^#pragma once$' "$header" || fail "$header lacks #pragma once"
done

# All threads are those of core/threads/parallel.h, the workers that load data ahead, and those that call MPI and watch.
others=$(printf '%s\n' "$there" | grep -vE '^(core/threads/thread_team|data/prefetcher|distributed/(neighbours|mpi/mpi_thread|nccl/nccl_watch))\.(h|cpp)$' | xargs grep -lE '#pragma omp|std::(thread|jthread|async)\b[^:]' || true)
[ -z "$others" ] || fail "core/threads/thread_team.cpp, data/prefetcher.cpp and distributed/ alone start threads, but so does:" "$others"

# Programs are quoted as they stand.
quotes() {
  case "$(cat "$1")" in
    *"$(cat "$2")"*) ;;
    *) fail "$1 does not quote $2 as it stands" ;;
  esac
}
quotes README.md samples/quickstart.cpp
quotes README.md tests/consumer/train_network.cpp
quotes docs/programs.md samples/own_layer/shrink.cu
for program in tests/consumer/*.cpp; do
  quotes docs/programs.md "$program"
  [ "$(wc -l <"$program")" -lt 40 ] || fail "$program has 40 lines or more"
done

[ "$failures" = 0 ] || exit 1
printf 'all rules hold\n'
