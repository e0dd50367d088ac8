#!/usr/bin/env bash
# scripts/train, scripts/predict and scripts/test on machines that are not this one: a copy of the scripts in a folder of its own, and a PATH on which
# apt-get, dpkg-query, sudo, cmake, ninja, ctest and the compiler are stand-ins that write down how they were called.
# shellcheck disable=SC2016  # what stands in single quotes is for the stand-ins
set -eu
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "$0")/expect.sh"

calls="$scratch/calls"

stand_in() { # stand_in NAME: standard input is what it does after it has written its call down
  { printf '#!/bin/sh\necho "%s $*" >>"%s"\n' "$1" "$calls"; cat; } >"$bin/$1"
  chmod +x "$bin/$1"
}

# A machine of its own: Debian 12 as root, with every tool and package, no GPU, and a project to build.
new_machine() {
  machine="$scratch/machine $((${machines:=0} + 1))"
  machines=$((machines + 1))
  bin="$machine/bin"
  project="$machine/a clone"
  mkdir -p "$bin" "$project"
  cp -R "$root/scripts" "$root/samples" "$project/"
  : >"$calls"
  for tool in bash sh env sed tr tail sort mkdir dirname cat grep awk uname chmod rm mv ps sleep readlink; do ln -s "$(command -v "$tool")" "$bin/$tool"; done
  printf 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\n' >"$machine/os-release"
  printf 'MemAvailable:    8000000 kB\n' >"$machine/meminfo"
  sed -e "s|/etc/os-release|'$machine/os-release'|" -e "s|/dev/nvidiactl|'$machine/nvidiactl'|" -e 's|/usr/local/cuda|/none|' \
    -e "s|/proc/meminfo|'$machine/meminfo'|" "$root/scripts/setup.sh" >"$project/scripts/setup.sh"
  printf '[ "$1" != -u ] || echo 0\n' | stand_in id
  printf 'echo 3\n' | stand_in nproc
  printf 'echo 12.2.0\n' | stand_in g++
  printf 'shift 2\nfor package; do grep -qx "$package" "%s/missing" 2>/dev/null || echo "ii $package"; done\n' "$machine" | stand_in dpkg-query
  printf 'echo "settings: $DEBIAN_FRONTEND" >>"%s"\ncase "$*" in *install*) rm -f "%s/missing" ;; esac\n' "$calls" "$machine" | stand_in apt-get
  printf 'exit 0\n' | stand_in ninja
  cat <<'END' | stand_in cmake
case "$1" in
  --version) echo "cmake version 3.25.1" ;;
  -S) echo "CMAKE_HOME_DIRECTORY:INTERNAL=$2" >"$4/CMakeCache.txt"; : >"$4/build.ninja" ;;
  --build) mkdir -p "$2/samples"; printf '#!/bin/sh\necho "trained in $PWD with:"\nprintf "[%%s]\\n" "$@"\nexit 4\n' >"$2/samples/train_cifar"; chmod +x "$2/samples/train_cifar" ;;
esac
END
  printf 'echo "100%% tests passed"\n' | stand_in ctest
}

# From now on CMake's builds print the lines "$@" and make nothing.
builds_print() { printf 'case "$1" in --version) echo "cmake version 3.25.1" ;; --build) printf "%%s\\n" %s ;; esac\n' "$(printf "'%s' " "$@")" | stand_in cmake; }

on_machine() { # on_machine SCRIPT ARGUMENT...
  local script="$1"
  shift
  run env -i PATH="$bin" HOME="$machine" bash "$project/scripts/$script" "$@"
}
called() { grep -q -- "$1" "$calls"; }
not_called() { ! called "$1"; }

new_machine
cd "$scratch"
on_machine train --data photo
expect "before the first build, a folder that is not there is named" ends_with_line "scripts/train: there is no file or folder 'photo'"
expect "  with the program's code" code_is 4
on_machine train --data=photo
expect "  in one word, too" code_is 4
on_machine train --epoch 20
expect "  and so is an option that is none" ends_with_line "scripts/train: '--epoch' is not an option"
expect "  with the program's code" code_is 2
on_machine predict --model none.safetensors photo.png
expect "  and weights that are not there" ends_with_line "scripts/predict: there is no file or folder 'none.safetensors'"
expect "  and nothing was built" not_called cmake
mkdir "my data"
on_machine train --data "my data" --epochs 20
expect "train passes its arguments on as they are" says "[--data]
[my data]
[--epochs]
[20]"
expect "train works in the caller's folder" says "trained in $scratch with:"
expect "train ends with the program's own code" code_is 4
expect "it configures a Release build with Ninja" called "cmake -S $project -B $project/build -DCMAKE_BUILD_TYPE=Release .*-G Ninja"
expect "it builds what it needs on all cores" called "cmake --build $project/build --target train_cifar --parallel 3"
expect "it installs nothing that is there" not_called apt-get
builds_print "[0/2] Re-checking globbed directories..." "ninja: no work to do."
: >"$calls"
on_machine train
expect "a second call prints nothing of its own" test "$output" = "trained in $scratch with:
[]"
expect "and configures nothing" not_called "cmake -S"
printf '#!/bin/sh\n[ "$1" = --version ] || echo "looked at $2"\n' >"$project/build/samples/predict"
chmod +x "$project/build/samples/predict"
on_machine predict --model "my photo.png"
expect "predict runs the other program" says "looked at my photo.png"
expect "  and prints nothing of its own" test "$output" = "looked at my photo.png"
expect "  of what is built" called "cmake --build $project/build --target predict"
builds_print "[0/2] Re-checking globbed directories..." "[1/2] Building" "[2/2] Building"
on_machine train
expect "where something is to do, it says so" says "Building train_cifar in build/ with 3 jobs; the first time takes a few minutes
[1/2] Building
[2/2] Building
trained in"

new_machine
printf 'MemAvailable:    1300000 kB\n' >"$machine/meminfo"
on_machine test
expect "little memory means few jobs" called "cmake --build $project/build --target all --parallel 1"

new_machine
on_machine test -R relu
expect "test builds everything" called "cmake --build $project/build --target all"
expect "test passes its arguments to ctest" called "ctest --test-dir $project/build --output-on-failure --no-tests=error -R relu"
expect "test succeeds with ctest" code_is 0
printf 'exit 8\n' | stand_in ctest
on_machine test
expect "test fails with ctest" code_is 1
expect "and says so" ends_with_line "scripts/test: not all tests passed; the list stands above"

new_machine
printf 'libfmt-dev\nlibhwy-dev\n' >"$machine/missing"
on_machine test
expect "root gets exactly the missing packages" called "apt-get .*install -y --no-install-recommends libhwy-dev libfmt-dev$"
expect "after an update" test "$(grep -c 'apt-get .*update' "$calls")" = 1
expect "without questions" called "settings: noninteractive"
expect "and goes on" code_is 0

new_machine
echo libfmt-dev >"$machine/missing"
printf 'echo 1000\n' | stand_in id
on_machine test
expect "without root and sudo it stops" code_is 1
expect "with the exact line" ends_with_line "scripts/test: packages are missing; as root, run: apt-get update && apt-get install -y --no-install-recommends libfmt-dev"
expect "and touches nothing" not_called "apt-get"
printf 'exit 1\n' | stand_in sudo
on_machine test
expect "with a sudo that refuses it stops" code_is 1
expect "with a line that uses sudo" ends_with_line "scripts/test: packages are missing; run: sudo apt-get update && sudo apt-get install -y --no-install-recommends libfmt-dev"
printf '[ "$1" != -n ] || shift\n"$@"\n' | stand_in sudo
on_machine test
expect "with sudo it installs" called "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get .*install"
expect "and goes on" code_is 0

new_machine
echo libfmt-dev >"$machine/missing"
printf 'echo "E: Unable to locate package"\nexit 100\n' | stand_in apt-get
on_machine test
expect "a failed installation stops" code_is 1
expect "with apt-get's own reason" says "E: Unable to locate package"
expect "and the line to try" says "or run: apt-get update && apt-get install -y --no-install-recommends libfmt-dev"

new_machine
printf 'echo "cmake version 3.22.1"\n' | stand_in cmake
on_machine train
expect "an old CMake is named" ends_with_line "scripts/train: CMake 3.22.1 is too old; libgpucnn needs CMake 3.25 or newer (pip install cmake brings one)"
expect "and is an error" code_is 1
printf 'echo "cmake version 4.0.2"\n' | stand_in cmake
printf 'echo 11.4.0\n' | stand_in g++
on_machine train
expect "an old g++ is named" ends_with_line "scripts/train: g++ 11.4.0 is too old; libgpucnn needs g++ 12 or newer (CXX=g++-12 chooses another)"

new_machine
printf 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\nVERSION_CODENAME=jammy\nUBUNTU_CODENAME=jammy\n' >"$machine/os-release"
echo libhwy-dev >"$machine/missing"
on_machine train
expect "an old distribution is named before anything is installed" says "Ubuntu 22.04.5 LTS is too old"
expect "and touches nothing" not_called apt-get

new_machine
: >"$machine/nvidiactl"
on_machine test
expect "a GPU without a toolkit is mentioned" says "an NVIDIA driver but no CUDA toolkit"
expect "with the way out" says "remove build/ and run scripts/test again"
expect "and the CPU build goes on" code_is 0
expect "without a toolkit no architecture is chosen" not_called GPUCNN_CUDA_ARCHITECTURES

new_machine
printf 'exit 0\n' | stand_in nvcc
on_machine test
expect "without a GPU, CUDA code is for one architecture" called "-DGPUCNN_CUDA_ARCHITECTURES=90$"
expect "in so many words" says "for compute capability 9.0 only, as this machine has no GPU"

new_machine
printf 'exit 0\n' | stand_in nvcc
on_machine train
expect "without a GPU, train leaves CUDA code out" called "cmake -S .* -DGPUCNN_CUDA=OFF$"
expect "and says so" says "CUDA code is left out, as this machine has no GPU; scripts/test compiles it, too"
: >"$calls"
on_machine train
expect "and does not configure again" not_called "cmake -S"
on_machine test
expect "but test does" called "cmake -S .*-DGPUCNN_CUDA_ARCHITECTURES=90$"
expect "with CUDA again" not_called GPUCNN_CUDA=OFF
: >"$calls"
on_machine train
expect "and train keeps what test has configured" not_called "cmake -S"

new_machine
printf 'exit 0\n' | stand_in nvcc
run env -i PATH="$bin" HOME="$machine" "GPUCNN_CUDA_ARCHITECTURES=75-real;86" bash "$project/scripts/test"
expect "a variable chooses others" called "-DGPUCNN_CUDA_ARCHITECTURES=75-real;86$"

new_machine
printf 'exit 0\n' | stand_in nvcc
printf 'printf "8.9\\n12.0\\n8.9\\n"\n' | stand_in nvidia-smi
on_machine test
expect "with GPUs, it is for theirs" called "-DGPUCNN_CUDA_ARCHITECTURES=89;120$"
expect "in so many words" says "for this machine's GPU only: GPUCNN_CUDA_ARCHITECTURES=89;120"
printf 'echo "NVIDIA-SMI has failed"\nexit 9\n' | stand_in nvidia-smi
rm -r "$project/build"
: >"$calls"
on_machine test
expect "with a driver that does not answer, it is for all" not_called GPUCNN_CUDA_ARCHITECTURES

new_machine
rm "$bin/apt-get"
printf 'exit 1\n' | stand_in dnf
printf 'exit 1\n' | stand_in rpm
on_machine test
expect "elsewhere it prints the line for dnf" says "sudo dnf install -y gcc-c++ cmake ninja-build"
expect "and goes on" code_is 0
rm -r "$bin/dnf" "$project/build"
printf 'case "$1" in --version) echo "cmake version 3.25.1" ;; *) echo "Could NOT find Highway"; exit 1 ;; esac\n' | stand_in cmake
on_machine test
expect "or what to look for in another package manager" says "your package manager for: C++20 compiler, CMake 3.25"
expect "and stops where something is missing" code_is 1
expect "with CMake's own reason" says "Could NOT find Highway"

new_machine
mkdir "$machine/elsewhere"
ln -s ../../"${machine##*/}"/elsewhere/second "$machine/elsewhere/first"
ln -s "$project/scripts/train" "$machine/elsewhere/second"
run env -i PATH="$bin" HOME="$machine" bash "$machine/elsewhere/first" --epochs 3
expect "a symbolic link to a link to the script works" says "[--epochs]
[3]"
expect "from the caller's folder" says "trained in $scratch with:"
printf 'exit 1\n' | stand_in cmake
run env -i PATH="$bin" HOME="$machine" bash "$machine/elsewhere/first"
expect "and the script has its own name" says "scripts/train: CMake"
new_machine
ln -s "$project/scripts" "$machine/linked"
run env -i PATH="$bin" HOME="$machine" CDPATH="$machine" bash "$machine/linked/train"
expect "as does a link to its folder" says "trained in $scratch with:"

# Two at once: a build that meets another one says so.
for locking in flock none; do
  new_machine
  [ "$locking" = none ] || ln -s "$(command -v flock)" "$bin/flock"
  cat <<'END' | stand_in cmake
case "$1" in
  --version) echo "cmake version 3.25.1" ;;
  -S) mkdir "$4/busy" || echo COLLISION; sleep 1; echo "CMAKE_HOME_DIRECTORY:INTERNAL=$2" >"$4/CMakeCache.txt"; : >"$4/build.ninja"; rm -r "$4/busy" ;;
  --build) mkdir "$2/busy" || echo COLLISION; sleep 1; mkdir -p "$2/samples"; : >"$2/samples/training"; printf '#!/bin/sh\n[ "$1" = --version ] || { echo trained; while [ -e "${0%%/*}/training" ]; do sleep 0.2; done; }\n' >"$2/samples/train_cifar"; chmod +x "$2/samples/train_cifar"; rm -r "$2/busy" ;;
esac
END
  : >"$scratch/first"
  env -i PATH="$bin" HOME="$machine" bash "$project/scripts/train" >"$scratch/first" 2>&1 &
  first=$!
  for _ in 1 2 3 4 5 6 7 8 9 10; do grep -q Configuring "$scratch/first" || sleep 0.2; done
  env -i PATH="$bin" HOME="$machine" bash "$project/scripts/train" >"$scratch/second" 2>&1 &
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do grep -q trained "$scratch/second" || sleep 0.5; done
  output="$(cat "$scratch/first") / $(cat "$scratch/second")"
  expect "two at once (lock: $locking): the second waits and says for whom" says "Waiting for process $first, which is building in build/"
  expect "they do not build at the same time" is_silent_on COLLISION
  expect "it trains" grep -q trained "$scratch/second"
  expect "while the first is training still" kill -0 "$first"
  rm "$project/build/samples/training"
  wait
done
sed -i 's/: >"$2\/samples\/training"; //' "$bin/cmake"
mkdir "$project/build/lock.d"
(exit 0) &
echo $! >"$project/build/lock.d/pid"
wait
on_machine train
expect "a lock whose owner has ended holds up nobody" says trained
expect "and is removed" test ! -e "$project/build/lock.d"

new_machine
printf 'printf "Filesystem 1024-blocks Used Available Capacity Mounted on\\n/dev/x 1000 1000 0 100%%%% /\\n"\n' | stand_in df
printf 'case "$1" in --version) echo "cmake version 3.25.1" ;; *) echo "ninja: fatal: no words of ours"; exit 1 ;; esac\n' | stand_in cmake
on_machine train
expect "a full disk is named when configuring" says "The disk is full: 0 MiB are free for $project/build; make room and run scripts/train again"
echo "CMAKE_HOME_DIRECTORY:INTERNAL=$project" >"$project/build/CMakeCache.txt"
: >"$project/build/build.ninja"
on_machine train
expect "and when building" says "The disk is full: 0 MiB are free for $project/build; make room and run scripts/train again"
rm "$bin/df"
on_machine train
expect "a build folder that may be damaged: what to remove" says "rm -rf '$project/build'"
expect "with no word of the disk" is_silent_on "disk is full"

new_machine
mkdir "$project/build"
head -c 100 /dev/zero >"$project/build/CMakeCache.txt"
: >"$project/build/build.ninja"
on_machine train
expect "a damaged cache is made anew" called "cmake -S .*--fresh"
expect "and the build goes on" says "trained in"
printf '\177ELF\0\0' >"$project/build/samples/train_cifar"
builds_print "ninja: no work to do."
on_machine train
expect "a damaged program: what to remove" says "cannot execute binary file: Exec format error); if build/ is damaged, remove it and run scripts/train again: rm -rf '$project/build'"
: >"$project/build/samples/train_cifar"
on_machine train
expect "an empty one too" says "does not start; if build/ is damaged, remove it and run scripts/train again: rm -rf '$project/build'"
expect "is an error" code_is 1

new_machine
: >"$project/build"
on_machine train
expect "a file in place of the build folder is named" ends_with_line "scripts/train: $project/build is a file where a folder must be; remove it: rm '$project/build'"

finish
