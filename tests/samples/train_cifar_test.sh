#!/usr/bin/env bash
# train_cifar_test.sh BUILD CASE: holds train_cifar to its exit codes, its one sentence on standard error, and what it leaves behind.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/expect.sh"
train="$1/samples/train_cifar"
cd "$scratch" || exit 1

# small OUT [OPTION...]: a run of a moment.
small() {
  local out="$1"
  shift
  "$train" --limit 200 --epochs 2 --batch-size 32 --out "$out" "$@"
}

# fails CODE WORDS COMMAND...: it ends with the code, prints one line on standard error (and the usage line for code 2), with the words.
fails() {
  local wanted="$1" words="$2" lines=1
  shift 2
  code=0
  output=$("$@" 2>&1 >/dev/null </dev/null) || code=$?
  [ "$wanted" != 2 ] || lines=2
  expect "$wanted with '$words': ${*##*/}" code_is "$wanted"
  expect "  it says so" says "$words"
  expect "  in $lines line(s)" [ "$(printf '%s\n' "$output" | wc -l)" -eq "$lines" ]
}

# A set of the published format: 5 x 10,000 + 10,000 records of label 3 and zeros.
make_cifar() {
  mkdir -p "$1"
  { printf '\003'; head -c 3072 /dev/zero; } >record
  for _ in 1 2 3 4 5 6 7 8 9 10; do cat record; done >ten
  for _ in 1 2 3 4 5 6 7 8 9 10; do cat ten; done >hundred
  for _ in 1 2 3 4 5 6 7 8 9 10; do cat hundred; done >thousand
  for _ in 1 2 3 4 5 6 7 8 9 10; do cat thousand; done >"$1/data_batch_1.bin"
  for name in data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do ln "$1/data_batch_1.bin" "$1/$name.bin"; done
  printf '%s\n' airplane automobile bird cat deer dog frog horse ship truck >"$1/batches.meta.txt"
}

options() {
  fails 2 "nonsense" "$train" --nonsense
  fails 2 "extra" "$train" extra
  for number in abc nan inf -inf 0 -1 1.5 "" 99999999999999999999 1e3 " 3"; do fails 2 "--epochs" "$train" --epochs "$number"; done
  for number in abc nan inf 0 -1 "" 1e400 0.1x; do fails 2 "--lr" "$train" --lr "$number"; done
  for option in --batch-size --threads --limit; do fails 2 "$option" "$train" "$option" 0; done
  fails 2 "--threads" "$train" --threads 1025
  fails 2 "--seed" "$train" --seed -1
  fails 2 "--seed" "$train" --seed 18446744073709551616
  fails 2 "--optimizer" "$train" --optimizer rmsprop
  fails 2 "tpu" "$train" --device tpu
  fails 2 "cuda:x" "$train" --device cuda:x
  fails 2 "--epochs" "$train" --epochs
  fails 2 "--epochs" "$train" --epochs 1 --epochs 2
  run "$train" --help
  expect "--help succeeds" code_is 0
  for option in data epochs batch-size lr optimizer device threads seed out augment limit quiet version; do
    expect "--help explains --$option" says "--$option"
  done
  expect "no line of --help is longer than 100" [ -z "$(printf '%s\n' "$output" | grep -E '.{101}')" ]
  run "$train" --version
  expect "--version is one line" [ "$(printf '%s\n' "$output" | wc -l)" -eq 1 ]
}

device() {
  if [ -e /dev/nvidiactl ]; then
    printf 'a GPU is here: the missing one cannot be tried\n'
    exit 77
  fi
  fails 3 "cuda:0" "$train" --device cuda
  fails 3 "cuda:7" "$train" --device cuda:7
}

data() {
  fails 4 "no-such-folder" "$train" --data no-such-folder --out out
  touch file
  fails 4 "file" "$train" --data file --out out
  make_cifar good
  run small fine --data good --augment
  expect "a set of the published format is trained on" code_is 0
  for damage in missing empty short long folder label meta; do
    rm -rf bad
    mkdir bad
    ln good/* bad
    rm bad/data_batch_3.bin
    case $damage in
      missing) ;;
      empty) : >bad/data_batch_3.bin ;;
      short) head -c 30729999 good/data_batch_3.bin >bad/data_batch_3.bin ;;
      long) { cat good/data_batch_3.bin; printf x; } >bad/data_batch_3.bin ;;
      folder) mkdir bad/data_batch_3.bin ;;
      label) { head -c 6146 good/data_batch_3.bin; printf '\012'; tail -c +6148 good/data_batch_3.bin; } >bad/data_batch_3.bin ;;
      meta)
        ln good/data_batch_3.bin bad
        rm bad/batches.meta.txt
        printf 'cat\ndog\n' >bad/batches.meta.txt
        ;;
    esac
    words=data_batch_3.bin
    [ "$damage" != meta ] || words=batches.meta.txt
    fails 4 "$words" "$train" --data bad --out out
  done
  expect "nothing is left of runs that did not begin" [ ! -e out ]
}

output() {
  touch file
  fails 5 "file" small file
  fails 5 "file/below" small file/below
  fails 5 "/dev/full" small /dev/full
  run small good
  expect "a run succeeds" code_is 0
  mkdir taken
  mkdir taken/metrics.jsonl
  fails 5 "metrics.jsonl" small taken
  head -c 1000 good/last.safetensors >damaged.safetensors
  fails 5 "damaged.safetensors" small out --init damaged.safetensors
  fails 5 "none.safetensors" small out --init none.safetensors
  run small again --init good/best.safetensors
  expect "a checkpoint is a start" code_is 0
  # A limit on the size of files stands for a full disk: the checkpoint does not fit, and the older one stays.
  before=$(cksum <good/last.safetensors)
  code=0
  output=$(ulimit -f 100 && small good 2>&1 >/dev/null) || code=$?
  expect "no room for a checkpoint: 5" code_is 5
  expect "  the file is named" says "safetensors"
  expect "  the older checkpoint stays" [ "$before" = "$(cksum <good/last.safetensors)" ]
}

not_finite() {
  fails 6 "loss" small out --lr 1e30
  expect "no checkpoint was written" [ ! -e out/last.safetensors ]
}

memory() {
  code=0
  output=$(ulimit -v 600000 && "$train" --batch-size 10000 --epochs 1 --out out 2>&1 >/dev/null) || code=$?
  expect "out of memory: 7" code_is 7
  expect "  in one line" [ "$(printf '%s\n' "$output" | wc -l)" -eq 1 ]
  expect "  that says so" says "memory"
}

interrupt() {
  "$train" --epochs 100000 --out out >log 2>errors &
  local process=$!
  for _ in $(seq 100); do
    [ ! -e out/best.safetensors ] || break
    sleep 0.1
  done
  kill -INT $process
  code=0
  wait $process || code=$?
  output=$(cat errors)
  expect "Ctrl-C: 130" code_is 130
  expect "  in one line" [ "$(wc -l <errors)" -eq 1 ]
  expect "  that names the weights" says "out/last.safetensors"
  run small again --init out/last.safetensors
  expect "  which can be loaded" code_is 0
}

same_bits() {
  small one --augment --threads 1 >/dev/null
  small two --augment --threads 2 >/dev/null
  small two_again --augment --threads 2 >/dev/null
  small other --augment --seed 1 >/dev/null
  for file in last.safetensors best.safetensors; do
    expect "$file: one thread and two" cmp one/$file two/$file
    expect "$file: twice" cmp two/$file two_again/$file
  done
  output=$(cmp one/last.safetensors other/last.safetensors)
  expect "another seed, other weights" says "differ"
}

files() {
  run small out --quiet
  expect "--quiet prints one line" [ "$(printf '%s\n' "$output" | wc -l)" -eq 1 ]
  for word in "test accuracy" "best" "images/s" " s, " "out"; do expect "the last line has '$word'" says "$word"; done
  output=$(cat out/config.json)
  for word in class_names mean 0.4914 std seed lr batch_size; do expect "config.json has $word" says "$word"; done
  output=$(head -n 1 out/metrics.jsonl)
  for word in epoch train_loss train_accuracy test_loss test_accuracy lr seconds images_per_second; do
    expect "metrics.jsonl has $word" says "\"$word\":"
  done
  expect "a line an epoch" [ "$(wc -l <out/metrics.jsonl)" -eq 2 ]
  output=$(head -c 4096 out/best.safetensors | tr -d '\0')
  for word in __metadata__ SimpleCNN num_classes class_names mean std version features.0.weight classifier.4.bias; do
    expect "best.safetensors has $word" says "$word"
  done
  small unread 2>errors | true
  output=$(cat errors)
  expect "a reader that went away ends no run" [ -s unread/best.safetensors ]
  run small piped
  expect "plain lines when piped" is_silent_on "$(printf '\r')"
}

quickstart() {
  run "$1/samples/quickstart"
  expect "quickstart succeeds" code_is 0
  for words in "268,650" "Output shape: [4, 10]" "Training step loss: 2.3"; do expect "it prints '$words'" says "$words"; done
}

code=0
output=""
"$2" "$1"
finish
