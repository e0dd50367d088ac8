#!/usr/bin/env bash
# without_cuda_test.sh BUILD TESTS: a build with CUDA code works where there is nothing of CUDA. Its programs ask the dynamic linker for no
# CUDA library. In a root that holds them, their libraries and nothing else they start and train on the CPU. So they pass the tests
# that ask for a GPU: those whose parameter is the device, those of Device, and those of cuDNN's plans.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/expect.sh"
build="$1"
tests="$2"
programs=$(find "$build/tests" -maxdepth 1 -name 'test_*' -type f -perm -u+x)
train="$build/samples/train_cifar"
[ ! -x "$train" ] || programs="$programs $train"

# shellcheck disable=SC2086  # one word for each program
libraries=$(ldd $programs | awk '/=> \// { print $3 } /^\t\/lib/ { print $1 }' | sort -u)
output=$libraries
expect "no program is linked to a CUDA library" is_silent_on "cud"
expect "nor to a driver" is_silent_on "nv"

if [ "$(id -u)" != 0 ] || ! unshare --mount true 2>/dev/null; then
  printf 'only root can make a root of its own: not tried\n'
  [ "$failures" -eq 0 ] || finish
  exit 77
fi

# The rest runs in a namespace whose mounts end with it.
in_a_bare_root() {
  local root="$scratch/root" file
  mkdir -p "$root" && mount -t tmpfs none "$root" && mkdir -p "$root"/{proc,dev,tmp,etc} || return 1
  mount --bind /proc "$root/proc" && mount --rbind /dev "$root/dev" || return 1
  for file in $libraries $programs; do
    mkdir -p "$root$(dirname "$file")" && cp -L "$file" "$root$file" || return 1
  done
  mkdir -p "$root$tests" && cp -r "$tests/." "$root$tests" || return 1
  if find "$root" -xdev \( -name 'libcud*' -o -name 'libcublas*' -o -name 'libnv*' \) | grep .; then return 1; fi
  for file in $programs; do
    case "$file" in
      */train_cifar) unshare --root="$root" "$file" --limit 128 --epochs 1 --out /tmp/out || return 1 ;;
      # The files and limits that these tests try are those of a whole system.
      */test_io) ;;
      *) unshare --root="$root" --wd="$tests" "$file" --gtest_brief=1 '--gtest_filter=*/cpu:*Cudnn*:Device.*-*Golden*' || return 1 ;;
    esac
  done
}
export -f in_a_bare_root
export scratch libraries programs tests
run unshare --mount bash -c in_a_bare_root
expect "programs train and pass their tests without a CUDA file" code_is 0
if [ -x "$train" ]; then expect "  on the CPU, and say why" says "using the CPU: there is no NVIDIA driver"; fi
[ "$code" -eq 0 ] || printf '%s\n' "$output" | tail -n 30
finish
