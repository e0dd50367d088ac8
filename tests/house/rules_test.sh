#!/usr/bin/env bash
# The rules of the house that no compiler checks: who may include whom, and that no file is forgotten.
set -eu
cd "$(dirname "$0")/../.."
failures=0

# fail MESSAGE: remembers it, and goes on to the next rule.
fail() {
  printf 'FAILED: %s\n' "$*"
  failures=$((failures + 1))
}

folders="core kernels layers models optim data io train"

# What the files of a folder may include, besides their own folder.
below() {
  case "$1" in
    core) ;;
    kernels) printf 'core' ;;
    layers | optim | data | io) printf 'core kernels' ;;
    models) printf 'core kernels layers' ;;
    train) printf 'core kernels layers models optim data io' ;;
  esac
}

# The sources of a folder, as paths from the root.
files_of() { find "$@" -name '*.h' -o -name '*.cpp' -o -name '*.cu'; }

# One arrow: core <- kernels <- layers <- models; optim, data and io stand beside layers; train sees all.
for folder in $folders; do
  [ -d "$folder" ] || continue
  for other in $folders; do
    case " $(below "$folder") $folder " in *" $other "*) continue ;; esac
    if grep -rn "#include <gpucnn/$other/" "$folder"; then fail "$folder/ may not include from $other/"; fi
  done
  if grep -rnE '#include ("|<(\.\.|gpucnn/(samples|tests|benchmarks|gpucnn\.h)))' "$folder"; then
    fail "$folder/ includes as <gpucnn/folder/file.h> and nothing from outside the library"
  fi
done

# The programs a user writes are short and include what users include.
for program in tests/consumer/*.cpp; do
  [ "$(grep -h '#include <gpucnn/' "$program")" = "#include <gpucnn/gpucnn.h>" ] || fail "$program includes <gpucnn/gpucnn.h> and no other"
  [ "$(wc -l <"$program")" -lt 40 ] || fail "$program has 40 lines or more"
done

# No file is forgotten in the lists of cmake/Sources.cmake, and none is listed that is not there.
there=$(for folder in $folders; do [ ! -d "$folder" ] || files_of "$folder"; done | sort)
listed=$(grep -oE '^ +[a-z]+/[A-Za-z0-9_-]+\.(h|cpp|cu)\)?$' cmake/Sources.cmake | tr -d ' )' | sort)
only_there=$(comm -23 <(printf '%s\n' "$there") <(printf '%s\n' "$listed"))
only_listed=$(comm -13 <(printf '%s\n' "$there") <(printf '%s\n' "$listed"))
twice=$(printf '%s\n' "$listed" | uniq -d)
[ -z "$only_there" ] || fail "not listed in cmake/Sources.cmake:" "$only_there"
[ -z "$only_listed" ] || fail "listed in cmake/Sources.cmake, but not there:" "$only_listed"
[ -z "$twice" ] || fail "listed twice in cmake/Sources.cmake:" "$twice"

# <gpucnn/gpucnn.h> includes everything public.
public=$(sed -n '/^set(GPUCNN_PUBLIC_HEADERS/,/)$/p' cmake/Sources.cmake | grep -oE '[a-z]+/[A-Za-z0-9_-]+\.h' || true)
[ -n "$public" ] || fail "cmake/Sources.cmake lists no public headers"
for header in $public; do
  [ "$header" = core/export.h ] || grep -q "#include <gpucnn/$header>" gpucnn.h || fail "gpucnn.h does not include $header"
done

# Public headers name nothing of the libraries that the library stands on.
for header in $public; do
  if grep -nE '#include <(oneapi|dnnl|hwy|fmt|nlohmann|cuda|cudnn|cublas|omp)' "$header"; then fail "$header is public and needs another library"; fi
done

for header in gpucnn.h $(printf '%s\n' "$there" | grep '\.h$'); do
  case "$header" in *-inl.h) continue ;; esac # Highway's own guards: compiled once for each target
  grep -q '^#pragma once$' "$header" || fail "$header lacks #pragma once"
done

# All threads are those of core/parallel.h.
others=$(printf '%s\n' "$there" | grep -vE '^core/thread_team\.(h|cpp)$' | xargs grep -lE '#pragma omp|std::(thread|jthread|async)\b[^:]' || true)
[ -z "$others" ] || fail "core/thread_team.cpp alone starts threads, but so does:" "$others"

# Programs are quoted as they stand.
quotes() {
  case "$(cat "$1")" in
    *"$(cat "$2")"*) ;;
    *) fail "$1 does not quote $2 as it stands" ;;
  esac
}
quotes README.md samples/quickstart.cpp
quotes docs/programs.md samples/own_layer/leaky_relu.cu
for program in tests/consumer/*.cpp; do
  quotes docs/programs.md "$program"
  [ "$(wc -l <"$program")" -lt 40 ] || fail "$program has 40 lines or more"
done

[ "$failures" = 0 ] || exit 1
printf 'all rules hold\n'
