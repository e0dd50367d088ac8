#!/usr/bin/env bash
# scripts/bundle_deps with an apt-get that is a stand-in.
# shellcheck disable=SC2016  # what stands in single quotes is for the stand-in
set -eu
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "$0")/expect.sh"

project="$scratch/a clone"
mkdir -p "$project" "$scratch/bin"
cp -R "$root/scripts" "$project/"
calls="$scratch/calls"
apt_get() { # standard input is what it does after it has written its call down
  { printf '#!/bin/sh\necho "$*" >>"%s"\n' "$calls"; cat; } >"$scratch/bin/apt-get"
  chmod +x "$scratch/bin/apt-get"
}
bundle() {
  : >"$calls"
  run env PATH="$scratch/bin:$PATH" bash "$project/scripts/bundle_deps" "$@"
}
works='case "$*" in
  *" install "*) for p in libc6 gcc-12-base libgomp1 googletest libfmt9 libfmt-dev; do echo "Inst $p (1 Debian [amd64])"; done ;;
  *download*) for p; do case $p in lib*) head -c ${size:-1000} /dev/zero >"${p}_1_amd64.deb" ;; esac; done ;;
esac
'

printf '%s' "$works" | apt_get
mkdir -p "$project/.deps/root/usr"
: >"$project/.deps/libfmt-dev_0_amd64.deb"
bundle
expect "it succeeds" code_is 0
expect "it asks what an empty machine would get" grep -q -- '-s install --no-install-recommends -o Dir::State::status=/dev/null libhwy-dev' "$calls"
expect "it fetches what a compiler does not bring" grep -q 'download .* libfmt-dev libfmt9$' "$calls"
expect "the packages are there, still packed, and no older ones" test "$(cd "$project/.deps" && echo *)" = "libfmt-dev_1_amd64.deb libfmt9_1_amd64.deb"
expect "it says how many and how large" says "2 packages, 0.0 MiB, in .deps/"

{ printf 'size=25000000\n'; printf '%s' "$works"; } | apt_get
bundle
expect "more than 40 MiB is an error" code_is 1
expect "that says so" says "the packages have 47 MiB, and .deps/ may have 40 MiB"
expect "and leaves what was there" test "$(cd "$project/.deps" && echo *.deb)" = "libfmt-dev_1_amd64.deb libfmt9_1_amd64.deb"
expect "and nothing half done" test ! -e "$project/.deps/new"

printf 'echo "E: Unable to locate package libhwy-dev"\nexit 100\n' | apt_get
bundle
expect "an unknown package is an error" code_is 1
expect "with apt-get's own reason" says "E: Unable to locate package libhwy-dev"
printf 'case "$*" in *" install "*) echo "Inst libfmt9 (1)" ;; *) echo "E: no network"; exit 100 ;; esac\n' | apt_get
bundle
expect "a failed download is an error" code_is 1
expect "with apt-get's own reason" says "E: no network"
bundle now
expect "an argument is a wrong call" code_is 2

finish
