#!/usr/bin/env bash
# export_test.sh BUILD CASE: holds export to its exit codes, its one sentence on standard error, and the files that it writes.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/expect.sh"
# shellcheck source=tests/samples/programs.sh
. "$(dirname "${BASH_SOURCE[0]}")/programs.sh"

options() {
  touch model
  fails 2 "--model: name a checkpoint" "$export" --onnx x.onnx
  fails 2 "name the file to write" "$export" --model model
  fails 2 "'extra' is not an option" "$export" extra
  fails 2 "'--nonsense' is not an option" "$export" --nonsense
  fails 2 "--onnx: its value is missing" "$export" --onnx
  fails 2 "--onnx: the name is empty" "$export" --onnx ""
  fails 2 "--name: the name is empty" "$export" --model model --c x.c --name ""
  fails 2 "--c: given more than once" "$export" --model model --c a.c --c b.c
  fails 2 "--fold-batch-norm: is for --onnx" "$export" --model model --c x.c --fold-batch-norm
  fails 2 "--name: is for --c" "$export" --model model --onnx x.onnx --name x
  fails 2 "--decimal: is for --c" "$export" --model model --onnx x.onnx --decimal
  fails 2 "--c: is the checkpoint itself" "$export" --model model --c ./model
  fails 2 "name the same file" "$export" --model model --c x --onnx ./x
  fails 2 '\x1b[2J' "$export" "$(printf '\033[2J')"
  run "$export" --help
  expect "--help succeeds" code_is 0
  for option in model onnx c fold-batch-norm name decimal version; do expect "--help explains --$option" says "--$option"; done
  expect "no line of --help is longer than 100" [ -z "$(printf '%s\n' "$output" | grep -E '.{101}')" ]
  run "$export" --version
  expect "--version is one line" [ "$(printf '%s\n' "$output" | wc -l)" -eq 1 ]
}

# A checkpoint of a moment, in run/.
trained() { "$train" --limit 100 --epochs 1 --out run --quiet "$@" >/dev/null || exit 1; }

files() {
  trained
  run "$export" --model run/best.safetensors --onnx x.onnx --c x.c --name "my net"
  expect "both files are written" code_is 0
  expect "it says what and how large" says "x.c: simple_cnn as C, 4."
  expect "the ONNX file has the names of tensors" grep -q 'features.0.weight' x.onnx
  expect "and the names of classes" grep -q class_names x.onnx
  expect "the C file has the function" grep -qF 'void my_net_predict(const float *input, float *output);' x.c
  expect "and the names of classes" grep -q 'my_net_class_names\[' x.c
  expect "and the normalisation" grep -qF 'const float my_net_std[3] = {' x.c
  if command -v gcc >/dev/null; then
    run gcc -std=c99 -O2 -Wall -Wextra -pedantic -Werror -c x.c
    expect "which compiles without a warning" [ "$code$output" = 0 ]
  fi
  cp x.c first.c
  run "$export" --model run/best.safetensors --c x.c --name "my net"
  expect "the same again is the same" cmp x.c first.c
  run "$export" --model run/best.safetensors --c decimal.c --decimal
  expect "a file of decimal numbers is smaller" [ "$(wc -c <decimal.c)" -lt "$(wc -c <x.c)" ]
  expect "and named after its model" grep -q 'void simple_cnn_predict' decimal.c
}

folding() {
  trained --model resnet9 --width 4
  run "$export" --model run/best.safetensors --onnx x.onnx
  expect "norms stay in an ONNX file" grep -q BatchNormalization x.onnx
  run "$export" --model run/best.safetensors --onnx x.onnx --fold-batch-norm
  expect "unless they shall be folded" [ "$code$(grep -c BatchNormalization x.onnx)" = 00 ]
}

damage() {
  trained
  fails 5 "none.safetensors" "$export" --model none.safetensors --c x.c
  head -c 1000 run/best.safetensors >short.safetensors
  fails 5 "short.safetensors" "$export" --model short.safetensors --c x.c
  printf 'no checkpoint, but text that is long enough' >text
  fails 5 "text" "$export" --model text --c x.c
  expect "nothing is written" [ ! -e x.c ]
  printf older >x.c
  fails 5 "cannot" "$export" --model run/best.safetensors --c none/x.c
  fails 5 "choose another place with --onnx or --c" "$export" --model run/best.safetensors --c run
  printf older >x.onnx
  fails 5 "text" "$export" --model text --onnx x.onnx
  expect "an older file stays" [ "$(cat x.onnx)" = older ]
  if [ -e /dev/full ]; then
    code=0
    output=$("$export" --model run/best.safetensors --c x.c 2>&1 >/dev/full) || code=$?
    expect "standard output that is full is an error" code_is 5
    expect "  it says so" says "standard output cannot be written"
  fi
  code=0
  output=$( (ulimit -f 100; "$export" --model run/best.safetensors --c large.c) 2>&1 >/dev/null) || code=$?
  expect "a file that may not grow is an error" code_is 5
  expect "nothing of it remains" [ -z "$(find . -name '*large.c*')" ]
}

"$2"
finish
