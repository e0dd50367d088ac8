#!/usr/bin/env bash
# ranks_test.sh BUILD MPIRUN: train_cifar as several processes that MPIRUN starts.
set -eu
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "$0")/../scripts/expect.sh"
# shellcheck source=tests/samples/programs.sh
. "$(dirname "$0")/programs.sh"
mpirun="$2"
code=0 output=""
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none

# ranks COUNT: what stands before the program of so many processes.
ranks() { under=("$mpirun" -n "$1"); }

# field RUN NAME: of its config.json.
field() { sed -n "s/^ *\"$2\": \(.*[^,]\),*$/\1/p" "$1/config.json"; }

# At a larger rate rounding decides which pixel max pooling takes, and losses part by 2e-4 in four epochs.
calm=(--lr 1e-4)

# same_losses RUN OTHER: in all epochs, but for rounding.
same_losses() {
  paste -d, "$1/metrics.csv" "$2/metrics.csv" | awk -F, '
    NR == 1 { half = NF / 2; next }
    { for (i = 2; i <= 4; i += 2) if (($i - $(i + half))^2 > 1e-10) bad = 1 }
    END { exit bad || NR < 2 }'
}

small one "${calm[@]}" > one.txt
ranks 2
TERM=xterm small two "${calm[@]}" > two.txt
expect "progress is for terminals, not for a file" [ "$(grep -c left two.txt)" = 0 ]
expect "the screen tells how many processes train" grep -q "^2 processes of [0-9]* thread" two.txt
expect "two ranks print each line once" [ "$(wc -l < two.txt)" -eq "$(wc -l < one.txt)" ]
expect "they come to the losses of one process" same_losses two one
expect "config.json has the world" [ "$(field two world)" = 2 ]
expect "also that of one" [ "$(field one world)" = 1 ]
expect "a run has the same files" [ "$(ls two)" = "$(ls one)" ]

# Another number of ranks goes on with a run.
epochs=4
under=()
small whole "${calm[@]}" > /dev/null
ranks 2
epochs=2
small begun "${calm[@]}" > /dev/null
ranks 3
"${under[@]}" "$train" --resume --out begun --epochs 4 > /dev/null
expect "three ranks go on where two stopped" same_losses begun whole
expect "config.json has the world of now" [ "$(field begun world)" = 3 ]
under=()
"$train" --resume --out begun --epochs 4 --quiet > again.txt
expect "a run that is done says so to one process" grep -q "files in begun" again.txt
ranks 2
epochs=3
"${under[@]}" "$train" --resume --out one --epochs 3 > /dev/null
expect "two ranks share the processors of the run of one" [ "$(field one threads)" = "$(field two threads)" ]
"${under[@]}" "$train" --resume --out begun --epochs 4 --threads 3 --quiet > again.txt
expect "a run that is done says so to two" grep -q "files in begun" again.txt
epochs=2

# said WORDS: how often they are among what the ranks print.
said() { printf '%s\n' "$output" | grep -c -- "$1" || true; }
sentences() { said '^train_cifar: '; }
ranks 2
code=0
output=$("${under[@]}" "$train" --nonsense 2>&1) || code=$?
expect "a wrong option ends all ranks" code_is 2
expect "  and is said once" [ "$(said "is not an option")" -eq 1 ]
code=0
output=$(small two 2>&1) || code=$?
expect "a folder with results ends all ranks" code_is 5
expect "  and is said once" [ "$(said "holds the results")" -eq 1 ]
code=0
output=$("${under[@]}" "$train" --find-lr 2>&1) || code=$?
expect "what one process does is refused" code_is 2
code=0
output=$("$mpirun" -n 1 "$train" --limit 64 --epochs 1 --out odd : -n 1 "$train" --limit 65 --epochs 1 --out odd 2>&1) || code=$?
expect "other options on a rank are refused" code_is 2
expect "  and the rank and both values are named" [ "$(said 'rank 1 has another option --limit than rank 0: "65" instead of "64"')" -eq 1 ]
expect "  and nothing is written" [ ! -e odd ]
code=0
output=$("$mpirun" -n 1 "$train" --limit 64 --augment --epochs 1 --out odd : -n 2 "$train" --limit 64 --epochs 1 --out odd 2>&1) || code=$?
expect "an option that one rank has is named" [ "$(said 'rank 0 has another option --augment than rank 1: "given" instead of "not given"')" -eq 1 ]

code=0
output=$(small diverged --lr 1e30 2>&1) || code=$?
expect "a loss that is not finite ends all ranks" code_is 6
expect "  and is said once" [ "$(sentences)" -eq 1 ]

# Rank 0 finds its folder gone when an epoch ends, as it would find a disk full.
epochs=100000
small lost > lost.txt 2>&1 &
process=$!
epochs=2
is_there lost/metrics.csv
mv lost kept
code=0
wait $process || code=$?
output=$(cat lost.txt)
expect "files that cannot be written end all ranks" code_is 5
expect "  and that is said once" [ "$(said '^train_cifar: \|^gpucnn: ')" -eq 1 ]
code=0
output=$("$train" --resume --out kept --epochs "$(wc -l < kept/metrics.csv)" 2>&1) || code=$?
expect "  and the last checkpoint is sound" code_is 0

# photos FOLDER CLASS...: a dataset of one image for each class.
photos() {
  local folder="$1" class
  shift
  for class in "$@"; do
    mkdir -p "$folder/data/$class"
    base64 -d > "$folder/data/$class/0.png" <<< iVBORw0KGgoAAAANSUhEUgAAACgAAAAeCAIAAADRv8uKAAAALklEQVR42u3NIQEAMAgAMHgGNP2TkeMRkJitwHKq48KLI2KxWCwWi8VisVgs3n05eQFUOBxrugAAAABJRU5ErkJggg==
    cp "$folder/data/$class/0.png" "$folder/data/$class/1.png"
  done
}

# loads FOLDERS COUNTS: so many ranks in each of two folders read the dataset that they find there.
loads() {
  local options=(--data data --image-size 8 --batch-size 4 --epochs 1 --out "$PWD/loaded")
  code=0
  output=$(timeout 15 "$mpirun" -wdir "$PWD/$1" -n "$3" "$train" "${options[@]}" : -wdir "$PWD/$2" -n "$4" "$train" "${options[@]}" 2>&1) || code=$?
}

photos whole cat dog
photos damaged cat dog
for file in damaged/data/*/*.png; do head -c 60 "whole/${file#*/}" > "$file"; done # whichever a rank decodes
photos other cat frog
photos more cat dog frog
mkdir missing
loads whole whole 1 1
expect "two ranks learn from photos" code_is 0
rm -rf loaded
for case in "whole missing 2 1" "whole missing 1 2" "missing whole 1 2" "whole damaged 1 2"; do
  # shellcheck disable=SC2086  # words
  loads $case
  expect "data that some ranks cannot read end all: $case" code_is 4
  expect "  which is said once" [ "$(sentences)" -eq 1 ]
done
for case in "more:cat, dog, frog" "other:cat, frog"; do
  loads whole "${case%%:*}" 2 1
  expect "other data of a rank are refused" code_is 2
  expect "  and what differs is named" [ "$(said "\-\-data: rank 2 has other classes in data than rank 0: ${case#*:} instead of")" -eq 1 ]
done
expect "  and nothing is written" [ ! -e loaded ]

# A signal to any rank is one to all.
# shellcheck disable=SC2016  # for that shell
signalled='echo $$ > process; exec "$0" "$@"'
many=(--limit 200 --epochs 100000 --batch-size 32 --quiet)
"$mpirun" -n 1 "$train" "${many[@]}" --out stopped : -n 1 bash -c "$signalled" "$train" "${many[@]}" --out stopped > stopped.txt 2>&1 &
process=$!
is_there stopped/metrics.csv
kill -TERM "$(cat process)"
code=0
wait $process || code=$?
output=$(cat stopped.txt)
expect "SIGTERM to rank 1 ends the run as one to rank 0 does" code_is 143
expect "  and the weights are saved" says "interrupted after"

finish
