#!/usr/bin/env bash
# scripts/download_cifar10, without a network: archives of its own behind file:// addresses, and a curl that says "offline".
set -eu
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "$0")/expect.sh"
if ! command -v curl >/dev/null; then
  printf 'skipped: needs curl\n'
  exit 77
fi

script="$root/scripts/download_cifar10"
published=c32a1d4ab5d03f1284b67883e8d87530
part=cifar-10-binary.tar.gz.part

# An archive with files of the right names and sizes, all zeros.
mkdir -p "$scratch/make/cifar-10-batches-bin"
for batch in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
  truncate -s 30730000 "$scratch/make/cifar-10-batches-bin/$batch.bin"
done
printf 'airplane\n' >"$scratch/make/cifar-10-batches-bin/batches.meta.txt"
tar -C "$scratch/make" -cf - cifar-10-batches-bin | gzip -1 >"$scratch/archive.tar.gz"
rm -r "$scratch/make"
zeros=$(md5sum <"$scratch/archive.tar.gz" | cut -d ' ' -f 1)

# download DIR [URL]: the script as it stands.
download() { run env CIFAR10_URL="${2:-file://$scratch/archive.tar.gz}" bash "$script" "$1"; }

# download_zeros DIR: the script, had our archive been the published one.
download_zeros() {
  # shellcheck disable=SC2016  # the inner shell expands them
  run env CIFAR10_URL="file://$scratch/archive.tar.gz" bash -c 'set -eu; . "$1"; md5="$2"; main "$3"' bash "$script" "$zeros" "$1"
}

download_zeros "$scratch/a folder"
expect "a whole download succeeds" code_is 0
expect "and says how to go on" says "scripts/train --data $scratch/a folder"
expect "the batches lie in the folder itself" test "$(wc -c <"$scratch/a folder/data_batch_5.bin")" = 30730000
expect "the archive is gone" test ! -e "$scratch/a folder/$part"

download "$scratch/a folder" "file://$scratch/nowhere"
expect "a complete folder needs nothing" code_is 0
expect "and it says so" ends_with_line "CIFAR-10 is already complete in $scratch/a folder"

truncate -s 100 "$scratch/a folder/data_batch_3.bin"
download_zeros "$scratch/a folder"
expect "a damaged batch is replaced" test "$(wc -c <"$scratch/a folder/data_batch_3.bin")" = 30730000

mkdir "$scratch/half"
head -c 1000 "$scratch/archive.tar.gz" >"$scratch/half/$part"
download_zeros "$scratch/half"
expect "a broken-off download goes on" says "Going on after 1000 bytes"
expect "and is whole in the end" code_is 0

mkdir "$scratch/fetched"
cp "$scratch/archive.tar.gz" "$scratch/fetched/$part"
run env CIFAR10_URL="file://$scratch/nowhere" bash -c "set -eu; . '$script'; md5=$zeros; main '$scratch/fetched'"
expect "a whole archive is not fetched again" code_is 0

download "$scratch/wrong"
expect "another archive is refused" code_is 1
expect "and named by both sums" says "expected md5 $published, found $zeros"
expect "and removed" test ! -e "$scratch/wrong/$part"

mkdir "$scratch/bin" "$scratch/offline"
# shellcheck disable=SC2016
printf '#!/bin/sh\necho "curl: (6) Could not resolve host" >&2\nexit 6\n' >"$scratch/bin/curl"
chmod +x "$scratch/bin/curl"
printf 'some' >"$scratch/offline/$part"
run env PATH="$scratch/bin:$PATH" bash "$script" "$scratch/offline"
expect "offline is an error" code_is 1
expect "that asks for the network" says "is this machine online?"
expect "and keeps what is here" test "$(cat "$scratch/offline/$part")" = some

run bash "$script"
expect "no folder is a wrong call" code_is 2
expect "answered by the usage" ends_with_line "usage: scripts/download_cifar10 DIR"
: >"$scratch/file"
download "$scratch/file"
expect "a file is no folder" code_is 1
expect "and it is named" says "cannot make the directory $scratch/file"

finish
