#!/usr/bin/env bash
# werror_test.sh CMAKE COMPILER: a compiler that libgpucnn does not know may warn, and its users must not be stopped by that.
set -eu
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/expect.sh"

# configure OPTION...: $output is how a file of the library would be compiled.
configure() {
  run "$cmake" --fresh -S "$root" -B "$scratch/build" "-DCMAKE_CXX_COMPILER=$compiler" -DGPUCNN_CUDA=OFF -DGPUCNN_TESTS=OFF -DGPUCNN_SAMPLES=OFF \
    -DGPUCNN_BENCHMARKS=OFF -DCMAKE_EXPORT_COMPILE_COMMANDS=ON "$@"
  expect "CMake configures: $*" code_is 0
  output=$(grep -m 1 'core/error\.cpp' "$scratch/build/compile_commands.json")
}

cmake="$1"
compiler="$2"
configure
expect "by default the warnings are on" says "-Wall -Wextra"
expect "and are no errors" is_silent_on "-Werror"
configure -DGPUCNN_WERROR=ON
expect "they are where that is asked for" says "-Werror"
output=$(cat "$root/CMakePresets.json")
expect "as the presets dev, clang, asan and fuzz do" [ "$(printf '%s\n' "$output" | grep -c '"GPUCNN_WERROR": "ON"')" = 4 ]
finish
