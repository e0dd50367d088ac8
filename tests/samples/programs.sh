# shellcheck shell=bash
# What the tests of the programs have in common. Sourced with the build folder as $1, behind expect.sh.

train="$1/samples/train_cifar"
# shellcheck disable=SC2034  # the tests use them
predict="$1/samples/predict" export="$1/samples/export" preloads="$1/tests/samples"
under=() # what stands before the program in small
# shellcheck disable=SC2154  # expect.sh sets it
cd "$scratch" || exit 1

# small OUT [OPTION...]: a run of a moment, of $epochs epochs, with a rate that stays: unless it is told otherwise.
epochs=2
small() {
  local out="$1" option options=()
  shift
  for option in --optimizer=adam --lr=1e-3 --schedule=constant --weight-decay=0 --label-smoothing=0; do
    case " $* " in *" ${option%%=*} "*) ;; *) options+=("$option") ;; esac
  done
  ${under[@]+"${under[@]}"} "$train" --limit 200 --epochs $epochs --batch-size 32 --out "$out" ${options[@]+"${options[@]}"} "$@"
}

# fails CODE WORDS COMMAND...: it ends with the code, prints one line on standard error (and the usage line for code 2), with the words.
fails() {
  local wanted="$1" words="$2" lines=1
  shift 2
  code=0
  # shellcheck disable=SC2034  # expect.sh reads it
  output=$("$@" 2>&1 >/dev/null </dev/null) || code=$?
  [ "$wanted" != 2 ] || lines=2
  expect "$wanted with '$words': ${*##*/}" code_is "$wanted"
  expect "  it says so" says "$words"
  expect "  in $lines line(s)" [ "$(printf '%s\n' "$output" | wc -l)" -eq "$lines" ]
}

# is_there FILE: waits for it.
is_there() {
  local _
  for _ in $(seq 300); do
    [ ! -e "$1" ] || return 0
    sleep 0.1
  done
  return 1
}
