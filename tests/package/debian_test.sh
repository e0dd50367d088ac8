#!/usr/bin/env bash
# debian_test.sh BUILD CPACK COMPILER: packs BUILD as Debian packages, unpacks these into a root of their own, and uses them there.
# Nothing is installed. Skipped (77) where Debian's tools are missing.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/expect.sh"
build="$1"
cpack="$2"
compiler="$3"
for tool in dpkg-deb dpkg-shlibdeps file pkg-config readelf; do
  command -v "$tool" >/dev/null || {
    printf '%s is missing\n' "$tool"
    exit 77
  }
done
packages="$scratch/packages"
prefix="$scratch/root/usr"

# field PACKAGE FIELD
field() { dpkg-deb --field "$packages/$1"_*.deb "$2"; }

# needs PACKAGE WORDS: the package depends on what WORDS name.
needs() { case ", $(field "$1" Depends)," in *", $2"[\ ,]*) ;; *) return 1 ;; esac; }

# All that a package depends on is a package of ours or one that this machine knows.
all_known() {
  local name
  for name in $(field "$1" Depends | tr ',' '\n' | sed 's/(.*//; s/|.*//'); do
    case "$name" in libgpucnn*) continue ;; esac
    dpkg-query --show "$name" >/dev/null 2>&1 || {
      output="$1 depends on $name, which is not installed here"
      return 1
    }
  done
}

# Libraries are looked for beside the program, and nowhere else but in the system.
# shellcheck disable=SC2016  # the linker expands it
finds_by_itself() { ! readelf -d "$1" | grep -E 'R(UN)?PATH' | grep -vF '[$ORIGIN/'; }

pack() {
  run "$cpack" --config "$build/CPackConfig.cmake" -B "$packages"
  expect "cpack makes the packages" code_is 0
  [ "$failures" = 0 ] || finish
  mkdir -p "$scratch/root"
  for package in "$packages"/*.deb; do dpkg-deb --extract "$package" "$scratch/root"; done
}

depends() {
  version=$(field libgpucnn-dev Version)
  run field gpucnn-tools Depends
  expect "the programs need libhwy1 or the library" says "$([ -n "$shared" ] && printf 'libgpucnn0.1 (= %s)' "$version" || printf libhwy1)"
  expect "the programs need libc6" needs gpucnn-tools libc6
  run field libgpucnn-dev Depends
  if [ -n "$shared" ]; then
    expect "headers need their library" says "libgpucnn0.1 (= $version)"
    expect "the library needs libpng" needs libgpucnn0.1 libpng16-16
    expect "the library's dependencies are known" all_known libgpucnn0.1
  else
    for name in libhwy-dev libpng-dev libturbojpeg0-dev zlib1g-dev; do
      expect "a static library needs $name" needs libgpucnn-dev "$name"
    done
  fi
  expect "the dependencies of headers are known" all_known libgpucnn-dev
  expect "the programs' dependencies are known" all_known gpucnn-tools
}

programs() {
  export LD_LIBRARY_PATH
  LD_LIBRARY_PATH=$(dirname "$(find "$prefix" -name gpucnn.pc)")/..
  for program in "$prefix"/bin/*; do
    name=$(basename "$program")
    run "$program" --help
    expect "$name starts" code_is 0
    expect "$name has a manual page" grep -qF ".TH \"$(printf '%s' "$name" | tr '[:lower:]' '[:upper:]')\"" "$prefix/share/man/man1/$name.1"
    expect "$name names no folder of the build" finds_by_itself "$program"
  done
  run "$prefix/bin/gpucnn-train" --limit 100 --epochs 1 --out "$scratch/run" --quiet
  expect "gpucnn-train trains" [ -s "$scratch/run/best.safetensors" ]
}

links() {
  export PKG_CONFIG_PATH
  PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name gpucnn.pc)")
  # shellcheck disable=SC2046  # one word for each option
  run "$compiler" -std=c++20 "$root/tests/consumer/quickstart.cpp" $(pkg-config --static --cflags --libs gpucnn) -o "$scratch/quickstart"
  expect "pkg-config links a program" code_is 0
  run "$scratch/quickstart"
  expect "which runs" says "after 20 steps"
}

pack
shared=$(find "$packages" -name 'libgpucnn0.1_*.deb')
depends
programs
links
finish
