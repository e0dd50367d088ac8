# shellcheck shell=bash
# What scripts/train, scripts/predict and scripts/test share: it brings the machine and build/ to the point where the work can start, and does nothing
# that is done already. Sourced.

self="${self:-$0}" # the script that was called, without symbolic links
program="scripts/${self##*/}"
root=$(CDPATH='' cd -P -- "$(dirname "${BASH_SOURCE[0]}")" && cd .. && pwd -P)
build="$root/build"

debian_libraries="libhwy-dev libpng-dev libturbojpeg0-dev zlib1g-dev libfmt-dev libcli11-dev nlohmann-json3-dev libgtest-dev libgmock-dev libbenchmark-dev"
fedora_packages="gcc-c++ cmake ninja-build highway-devel libpng-devel turbojpeg-devel zlib-devel fmt-devel cli11-devel json-devel gtest-devel gmock-devel google-benchmark-devel"

say() { printf '%s\n' "$*"; }

die() {
  printf '%s: %s\n' "$program" "$*" >&2
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# ---- the build folder --------------------------------------------------------------------------------------------------

# What to do about files that are not what they should be.
remove_build() { printf "if build/ is damaged, remove it and run %s again: rm -rf '%s'" "$program" "$build"; }

# A sentence about the disk, if it has no room for a build.
no_room() {
  local folder free
  for folder in "$build" "${TMPDIR:-/tmp}"; do
    free=$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }' || true)
    if [ -n "$free" ] && [ "$free" -lt 200 ]; then
      printf '. The disk is full: %s MiB are free for %s; make room and run %s again' "$free" "$folder" "$program"
      return 0
    fi
  done
}

make_build_folder() {
  local why
  if [ -e "$build" ] && [ ! -d "$build" ]; then die "$build is a file where a folder must be; remove it: rm '$build'"; fi
  why=$(mkdir -p "$build" 2>&1) || die "cannot make the folder $build: ${why##*: }$(no_room)"
  [ -w "$build" ] || die "this user cannot write in $build; whoever made it can remove it: sudo rm -rf '$build'"
}

# Takes the lock of the build folder, behind whoever has it. Scripts that build at the same time would write each other's files.
lock_build() {
  local owner waits=0 said=""
  make_build_folder
  if has flock; then
    exec 9>>"$build/lock" || die "cannot write in $build$(no_room)"
    if ! flock -n 9; then
      owner=$(cat "$build/lock" 2>/dev/null || true)
      say "Waiting for ${owner:+process }${owner:-another script}, which is building in build/"
      flock 9 || die "cannot lock $build/lock; is build/ on a file system without locks?"
    fi
    printf '%s' "$$" >"$build/lock" || true
    return 0
  fi
  while ! mkdir "$build/lock.d" 2>/dev/null; do
    [ -d "$build/lock.d" ] || [ "$waits" -lt 10 ] || die "cannot make the folder $build/lock.d$(no_room)"
    owner=$(cat "$build/lock.d/pid" 2>/dev/null || true)
    # The process that made it has ended, or was stopped before it could write its number down.
    if { [ -n "$owner" ] && ! ps -p "$owner" >/dev/null 2>&1; } || { [ -z "$owner" ] && [ "$waits" -ge 10 ]; }; then
      # One of those that wait moves it away; what another has made anew in the meantime goes back.
      if mv "$build/lock.d" "$build/lock.d.$$" 2>/dev/null; then
        [ "$(cat "$build/lock.d.$$/pid" 2>/dev/null || true)" = "$owner" ] || mv "$build/lock.d.$$" "$build/lock.d"
        rm -rf "$build/lock.d.$$"
      fi
      waits=0
      continue
    fi
    [ -n "$said" ] || [ -z "$owner" ] || say "Waiting for process $owner, which is building in build/"
    [ -z "$owner" ] || said=1
    waits=$((waits + 1))
    sleep 1
  done
  trap unlock_build EXIT
  printf '%s' "$$" >"$build/lock.d/pid" || true
}

unlock_build() {
  if has flock; then
    exec 9>&-
  else
    rm -rf "$build/lock.d"
    trap - EXIT
  fi
}

# ---- packages ----------------------------------------------------------------------------------------------------------

# Those of the Debian packages "$@" that are not installed.
missing_packages() {
  local installed package missing=""
  # shellcheck disable=SC2016  # dpkg-query expands these, not the shell
  installed=$(dpkg-query --show --showformat='${db:Status-Abbrev}${Package}\n' "$@" 2>/dev/null | sed -n 's/^[ih]i *//p' | tr '\n' ' ')
  for package in "$@"; do
    case " $installed" in
      *" $package "*) ;;
      *) missing="$missing $package" ;;
    esac
  done
  printf '%s' "${missing# }"
}

apt_get() {
  # A machine that has just started may be installing its updates: wait for it.
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >>"$build/setup.log" 2>&1 </dev/null 9>&-
}

# Installs those of the Debian packages "$@" that are not there.
install_packages() {
  local missing by_root by_sudo
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  by_root="apt-get update && apt-get install -y --no-install-recommends $missing"
  by_sudo="sudo apt-get update && sudo apt-get install -y --no-install-recommends $missing"
  as_root=""
  if [ "$(id -u)" != 0 ]; then
    has sudo || die "packages are missing; as root, run: $by_root"
    as_root="sudo"
    # Without a terminal nobody can answer sudo's question for the password.
    [ -t 0 ] || as_root="sudo -n"
    $as_root true || die "packages are missing; run: $by_sudo"
  fi
  say "Installing with apt-get: $missing"
  mkdir -p "$build"
  : >"$build/setup.log"
  apt_get update || say "apt-get update failed; trying with the package lists that are here"
  # shellcheck disable=SC2086  # one word for each package
  if ! apt_get install -y --no-install-recommends $missing; then
    tail -n 5 "$build/setup.log" >&2
    if [ -n "$as_root" ]; then by_root=$by_sudo; fi
    die "apt-get could not install what is missing (all it said: $build/setup.log); see whether the network is there, or run: $by_root"
  fi
}

# ---- versions ----------------------------------------------------------------------------------------------------------

# at_least VERSION MAJOR MINOR
at_least() {
  local major="${1%%.*}" rest="${1#*.}."
  [ "$major" -gt "$2" ] || { [ "$major" -eq "$2" ] && [ "${rest%%.*}" -ge "$3" ]; }
}

# The distribution, if its packages are older than what libgpucnn needs.
old_distribution() (
  [ -r /etc/os-release ] || exit 0
  # shellcheck disable=SC1091
  . /etc/os-release
  case "${UBUNTU_CODENAME:-${VERSION_CODENAME:-}}" in
    stretch | buster | bullseye | xenial | bionic | focal | jammy) printf '%s' "${PRETTY_NAME:-$NAME}" ;;
  esac
)

check_tools() {
  local version
  has cmake || die "CMake is not installed; libgpucnn needs CMake 3.25 or newer"
  version=$(cmake --version | sed -n 's/^cmake version //p')
  at_least "$version" 3 25 || die "CMake $version is too old; libgpucnn needs CMake 3.25 or newer (pip install cmake brings one)"
  if [ -z "${CXX:-}" ]; then
    has g++ || die "g++ is not installed; libgpucnn needs g++ 12 or newer"
    version=$(g++ -dumpfullversion)
    at_least "$version" 12 0 || die "g++ $version is too old; libgpucnn needs g++ 12 or newer (CXX=g++-12 chooses another)"
  fi
}

# ---- set-up ------------------------------------------------------------------------------------------------------------

install_everything() {
  local old wanted="$debian_libraries" missing
  if has apt-get && has dpkg-query; then
    has ninja || wanted="ninja-build $wanted"
    has cmake || wanted="cmake $wanted"
    has "${CXX:-g++}" || wanted="g++ $wanted"
    old=$(old_distribution)
    if [ -n "$old" ]; then
      # shellcheck disable=SC2086
      missing=$(missing_packages $wanted)
      [ -z "$missing" ] || die "$old is too old: libgpucnn needs CMake 3.25 and g++ 12, which come with Debian 12, Ubuntu 24.04 and later"
    fi
    # shellcheck disable=SC2086
    install_packages $wanted
  elif has dnf; then
    # shellcheck disable=SC2086
    rpm -q $fedora_packages >/dev/null 2>&1 || by_hand="sudo dnf install -y $fedora_packages"
  else
    by_hand="your package manager for: C++20 compiler, CMake 3.25, Ninja, Highway, libpng, TurboJPEG, zlib, fmt, CLI11, nlohmann-json, GoogleTest, Google Benchmark"
  fi
  [ -z "$by_hand" ] || say "If something is missing: $by_hand"
}

has_nvcc() { has nvcc || [ -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]; }

has_driver() { has nvidia-smi || [ -e /dev/nvidiactl ]; }

# Whether the build is to have CUDA code: for a GPU of this machine, for those that the user names, or to test it in the emulator.
needs_cuda() { has_nvcc && { has_driver || [ -n "${GPUCNN_CUDA_ARCHITECTURES:-}" ] || [ "$program" = scripts/test ]; }; }

mention_the_gpu() {
  if has_driver && ! has_nvcc; then
    say "Note: this machine has an NVIDIA driver but no CUDA toolkit (nvcc), so the build is for the CPU. For the GPU, install CUDA 12 or" \
      "newer with cuDNN 9 (https://developer.nvidia.com/cuda-downloads), remove build/ and run $program again"
  fi
}

# Sets `architectures` to what the variable asks for, else to those of this machine's GPUs, so that the build makes no code for others;
# empty: all of a release.
choose_architectures() {
  architectures="${GPUCNN_CUDA_ARCHITECTURES:-}"
  [ -z "$architectures" ] || return 0
  architectures=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sed -n 's/^\([0-9]*\)\.\([0-9]*\)$/\1\2/p' | sort -nu | tr "\n" ";")
  architectures="${architectures%;}"
  if [ -n "$architectures" ]; then
    say "CUDA code is built for this machine's GPU only: GPUCNN_CUDA_ARCHITECTURES=$architectures"
  elif ! has_driver; then
    architectures=90
    say "CUDA code is built for compute capability 9.0 only, as this machine has no GPU; GPUCNN_CUDA_ARCHITECTURES chooses others"
  fi
}

# Cores, but no more than one for each GiB of free memory: the compiler takes about that.
count_jobs() {
  local cores memory
  cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
  memory=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo 2>/dev/null || true)
  if [ -n "$memory" ] && [ "$memory" -lt "$cores" ]; then cores=$memory; fi
  [ "$cores" -ge 1 ] || cores=1
  printf '%s' "$cores"
}

# Whether build/ is configured as this script needs it. CUDA code that an earlier script left out is compiled once somebody needs it.
is_configured() {
  local source=""
  [ ! -f "$build/CMakeCache.txt" ] || source=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt")
  [ "$source" = "$root" ] || return 1
  [ -f "$build/build.ninja" ] || [ -f "$build/Makefile" ] || return 1
  [ ! -f "$build/without_cuda" ] || ! needs_cuda
}

configure() {
  if is_configured; then return 0; fi

  set -- -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DGPUCNN_WERROR=OFF
  [ ! -f "$build/CMakeCache.txt" ] || set -- "$@" --fresh
  if has ninja; then set -- "$@" -G Ninja; fi
  if has ccache; then set -- "$@" -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache; fi
  if [ -z "${CXX:-}" ]; then set -- "$@" -DCMAKE_CXX_COMPILER=g++; fi
  rm -f "$build/without_cuda"
  if needs_cuda; then
    choose_architectures
    [ -z "$architectures" ] || set -- "$@" "-DGPUCNN_CUDA_ARCHITECTURES=$architectures"
  elif has_nvcc; then
    say "CUDA code is left out, as this machine has no GPU; scripts/test compiles it, too"
    : >"$build/without_cuda"
    set -- "$@" -DGPUCNN_CUDA=OFF
  fi
  say "Configuring build/"
  if ! cmake "$@" >"$build/configure.log" 2>&1; then
    tail -n 15 "$build/configure.log" >&2
    die "CMake could not configure build/ (all it said: $build/configure.log)${by_hand:+. Something is missing? $by_hand}" \
      "($(remove_build))$(no_room)"
  fi
}

# Everything up to a configured build/, and its lock.
prepare() {
  by_hand=""
  lock_build
  install_everything
  check_tools
  mention_the_gpu
  jobs=$(count_jobs)
  configure
}

# Of Ninja's lines "[7/71] Building …" it passes on one for each tenth of the way; all else stays.
thin_out() {
  local line tenth shown=-1 step='^\[([0-9]+)/([0-9]+)\] '
  while IFS= read -r line; do
    if [[ $line =~ $step ]]; then
      tenth=$((10 * BASH_REMATCH[1] / BASH_REMATCH[2]))
      [ "$tenth" -gt "$shown" ] || continue
      shown=$tenth
    fi
    printf '%s\n' "$line"
  done
}

build_failed() {
  die "the build failed; the words above say where. If they name no source, build/ may be damaged: remove it and run $program again:" \
    "rm -rf '$build'$(no_room)"
}

# show_build NAME: passes on what a build of this target prints, but nothing where nothing was to do. On a terminal Ninja's steps share a line.
show_build() {
  local line said="" amid="" step='^\[[0-9]+/[0-9]+\] '
  while IFS= read -r line; do
    case "$line" in "ninja: no work to do." | "[0/"*"] Re-checking globbed directories..." | "ninja: Entering directory"*) continue ;; esac
    [ -n "$said" ] || say "Building $1 in build/ with $jobs jobs; the first time takes a few minutes"
    said=1
    if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ] && [[ $line =~ $step ]]; then
      printf '\r\033[K%.78s' "$line"
      amid=1
    else
      [ -z "$amid" ] || printf '\n'
      amid=""
      printf '%s\n' "$line"
    fi
  done
  [ -z "$amid" ] || printf '\n'
}

run_build() { cmake --build "$build" --target "$1" --parallel "$jobs" 2>&1; }

# build_target NAME: silent when there is nothing to do.
build_target() {
  if [ -t 1 ]; then
    (set -o pipefail && run_build "$1" | show_build "$1") || build_failed
  else
    (set -o pipefail && run_build "$1" | show_build "$1" | thin_out) || build_failed
  fi
}

# refuse CODE WORDS...: as the program itself would, before it is built.
refuse() {
  local code="$1"
  shift
  printf '%s: %s\n' "$program" "$*" >&2
  exit "$code"
}

# check_words FOLDER OPTION WORD...: before the first build, which takes minutes, refuses options that no source of the program in
# samples/FOLDER names (code 2), and a path behind OPTION that is not there (code 4). The program itself looks at all the rest.
check_words() {
  local folder="$1" path_option="$2" word name before=""
  shift 2
  for word; do
    if [ "$before" = "$path_option" ] && [ ! -e "$word" ]; then refuse 4 "there is no file or folder '$word'"; fi
    before="$word"
    case "$word" in
      "$path_option="*) [ -e "${word#*=}" ] || refuse 4 "there is no file or folder '${word#*=}'" ;;
    esac
    case "$word" in
      --?*) name="${word%%=*}" ;;
      *) continue ;;
    esac
    grep -rqE -- "[\",]${name}[\",]" "$root/samples/$folder" "$root/samples/common" || refuse 2 "'$name' is not an option"
  done
}

# check_program FILE: dies unless it starts. A file of a disk that was full or of a build that was broken off may be cut short.
check_program() {
  local code=0 said
  said=$("$1" --version 2>&1 >/dev/null </dev/null) || code=$?
  if [ ! -s "$1" ] || [ "$code" -ge 126 ]; then
    die "build/${1#"$build/"} does not start${said:+ ($(printf '%s\n' "$said" | tail -n 1))}; $(remove_build)"
  fi
}
