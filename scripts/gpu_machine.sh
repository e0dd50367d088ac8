# shellcheck shell=bash
# What scripts/gpu_check must know of a machine beside setup.sh: its GPU, the CUDA toolkit, cuDNN and cuBLAS, and the packages of
# .deps/. Sourced.
# shellcheck disable=SC2034  # scripts/gpu_check uses them
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

deps="$root/.deps"

# ---- GPU and CUDA ------------------------------------------------------------------------------------------------------

missing="" # a sentence for each thing without which a GPU is not used
gpu="" driver="" capability="" cuda="" toolkit="" cudnn="" cudnn_include=""

lacks() { missing="$missing$*
"; }

look_for_gpu() {
  local answer
  if ! has nvidia-smi; then
    lacks "no GPU: nvidia-smi is not there, so this machine has no NVIDIA driver"
  elif ! answer=$(nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader 2>&1) || [ -z "$answer" ]; then
    lacks "no GPU: nvidia-smi says: $(printf '%s\n' "$answer" | head -n 1)"
  else
    IFS=, read -r gpu driver capability <<<"$answer"
    driver="${driver# }"
    capability="${capability# }"
  fi
}

look_for_cuda() {
  local nvcc
  nvcc=$(command -v nvcc || printf '%s/bin/nvcc' "${CUDA_HOME:-/usr/local/cuda}")
  if [ ! -x "$nvcc" ]; then
    lacks "no nvcc: install CUDA 12 or newer, or name its folder with CUDA_HOME"
    return 0
  fi
  cuda=$("$nvcc" --version | sed -n 's/^Cuda compilation tools, release \([0-9.]*\).*/\1/p')
  toolkit=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
  export CUDACXX="$nvcc"
  look_for_cudnn
}

# The folder nvidia/NAME of python3's packages, if FILE is in it.
python_package() {
  has python3 || return 0
  python3 - "$1" "$2" <<'END'
import os, sys
for path in sys.path:
    folder = os.path.join(path, "nvidia", sys.argv[1])
    if os.path.exists(os.path.join(folder, sys.argv[2])):
        print(folder)
        break
END
}

# add_path NAME DIR: puts DIR before the others in the variable NAME.
add_path() { export "$1=$2${!1:+:${!1}}"; }

look_for_cudnn() {
  local prefix folder
  for prefix in "$toolkit" ${CUDNN_ROOT:+"$CUDNN_ROOT"} /usr /usr/local; do
    for folder in "$prefix/include" "$prefix/include/$(uname -m)-linux-gnu"; do
      if [ -z "$cudnn_include" ] && [ -f "$folder/cudnn_version.h" ]; then cudnn_include="$folder"; fi
    done
  done
  if [ -z "$cudnn_include" ]; then
    # The package's header needs the package's library, whatever else is there.
    folder=$(python_package cudnn include/cudnn_version.h)
    if [ -n "$folder" ]; then
      cudnn_include="$folder/include"
      export CUDNN_ROOT="$folder"
      add_path LD_LIBRARY_PATH "$folder/lib"
    else
      lacks "no cuDNN: neither the CUDA toolkit nor python3 has its headers; install cuDNN 9 (pip install nvidia-cudnn-cu${cuda%%.*} is" \
        "enough), or name its folder with CUDNN_ROOT"
    fi
  fi
  if [ -n "$cudnn_include" ]; then
    cudnn=$(awk '/^#define CUDNN_(MAJOR|MINOR|PATCHLEVEL) +[0-9]/ { printf "%s%s", dot, $3; dot = "." }' \
      "$cudnn_include/cudnn_version.h")
  fi
  if [ ! -f "$toolkit/include/cublasLt.h" ]; then
    folder=$(python_package "cu${cuda%%.*}" include/cublasLt.h)
    [ -n "$folder" ] || folder=$(python_package cublas include/cublasLt.h)
    if [ -n "$folder" ]; then
      # After the toolkit's own headers, which come with -isystem.
      add_path CPLUS_INCLUDE_PATH "$folder/include"
      add_path LD_LIBRARY_PATH "$folder/lib"
    else
      lacks "no cuBLAS: neither the CUDA toolkit nor python3 has cublasLt.h; pip install nvidia-cublas brings it"
    fi
  fi
}

# Where compute-sanitizer is.
sanitizer() {
  local place
  place=$(command -v compute-sanitizer || printf '%s/bin/compute-sanitizer' "${toolkit:-/usr/local/cuda}")
  [ -x "$place" ] && printf '%s' "$place"
}

# ---- the packages of .deps/ --------------------------------------------------------------------------------------------

# Unpacks them into .deps/root, once.
unpack_deps() {
  local package names data
  case "$(uname -m)" in x86_64) names=amd64 ;; aarch64) names=arm64 ;; *) names=$(uname -m) ;; esac
  for package in "$deps"/*.deb; do
    case "$package" in *_all.deb | *"_$names.deb") ;; *) die "${package##*/} in .deps/ is not for this processor ($names)" ;; esac
  done
  names=$(cd "$deps" && echo ./*.deb)
  if [ "$(cat "$deps/root/unpacked" 2>/dev/null)" = "$names" ]; then return 0; fi
  say "Unpacking the packages of .deps/"
  rm -rf "$deps/root"
  mkdir -p "$deps/root"
  for package in "$deps"/*.deb; do
    if has dpkg-deb; then
      dpkg-deb -x "$package" "$deps/root" || die "$package is damaged; run scripts/bundle_deps again where there is a network"
    else
      has ar || die "neither dpkg-deb nor ar is here to unpack .deps/"
      data=$(ar t "$package" | grep '^data\.tar')
      if ! { ar p "$package" "$data" >"$deps/root/$data" && tar -C "$deps/root" -xf "$deps/root/$data"; }; then
        die "$package could not be unpacked"
      fi
      rm "$deps/root/$data"
    fi
  done
  printf '%s\n' "$names" >"$deps/root/unpacked"
}

# Sets `packages` to what CMake must be told.
prepare_packages() {
  packages=()
  by_hand=""
  if ls "$deps"/*.deb >/dev/null 2>&1; then
    unpack_deps
    # RPATH, not RUNPATH: oneDNN's own needs are looked for there too.
    packages=("-DCMAKE_PREFIX_PATH=$deps/root/usr" "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags")
  else
    install_everything
  fi
}
