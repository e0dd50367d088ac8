#!/usr/bin/env bash
# resume_test.sh BUILD CASE [COUNT]: runs of train_cifar that end early, however that comes about, and go on; and folders that are used.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/expect.sh"
# shellcheck source=tests/samples/programs.sh
. "$(dirname "${BASH_SOURCE[0]}")/programs.sh"
count="${3:-}"

# Whatever there is: a schedule, an average, augmentation, and dropout, which the model has.
recipe=(--limit 600 --batch-size 32 --augment --schedule onecycle --ema 0.98 --label-smoothing 0.1)

# whole OUT [OPTION...]: a run of that recipe, four epochs long.
whole() {
  local out="$1"
  shift
  ${under[@]+"${under[@]}"} "$train" "${recipe[@]}" --epochs "${long:-4}" --out "$out" "$@"
}

# is_same A B: whether two runs came to the same, but for the time it took.
is_same() {
  local file
  for file in last.safetensors best.safetensors state.safetensors; do cmp -s "$1/$file" "$2/$file" || return 1; done
  for file in metrics.jsonl metrics.csv; do [ "$(without_times "$1/$file")" = "$(without_times "$2/$file")" ] || return 1; done
}

# The lines of a file of metrics without the last two fields, which are times.
without_times() { sed -E 's/,[^,]*,[^,]*$//' "$1"; }

# Whether each line of metrics is whole.
has_whole_lines() {
  [ ! -e "$1/metrics.jsonl" ] || {
    [ -z "$(tail -c 1 "$1/metrics.jsonl")" ] && ! grep -qvE '^\{"epoch":[0-9]+,.*\}$' "$1/metrics.jsonl"
  }
}

# ends_with CODE PROCESS: waits for it.
ends_with() {
  code=0
  wait "$2" || code=$?
  code_is "$1"
}

resume() {
  whole whole --quiet >/dev/null
  long=2 run whole halves
  expect "a run of two epochs" code_is 0
  fails 5 "--epochs 4: the schedule of the run in halves/config.json is made for 2" "$train" --resume --out halves --epochs 4
  epochs=2
  run small short
  run "$train" --resume --out short --epochs 5 --threads 1
  expect "a run with a constant rate goes on for more epochs" code_is 0
  expect "  and says where" says "going on after 2 of 5 epochs"
  expect "  it has all metrics" [ "$(wc -l <short/metrics.jsonl)" = 5 ]
  epochs=5 small five >/dev/null
  expect "  with the bits of one that was never stopped" is_same five short
  run "$train" --resume --out short
  expect "a finished run has nothing to do" says "nothing to do: all 5 epochs are done"
  for change in "--batch-size 64" "--lr 0.01" "--optimizer sgd" "--schedule onecycle" "--seed 9" "--augment" "--model lenet5" "--ema 0.9" "--limit 100"; do
    before=$(cat short/* | cksum)
    # shellcheck disable=SC2086  # an option and its value
    fails 5 "${change%% *}" "$train" --resume --out short $change
    expect "  nothing is lost" [ "$before" = "$(cat short/* | cksum)" ]
  done
  fails 2 "--resume: needs the folder" "$train" --resume
  fails 2 "--overwrite" "$train" --resume --overwrite --out short
  run small fresh --resume
  expect "where there is nothing, a run begins" code_is 0
  small plain >/dev/null
  expect "  as without --resume" is_same plain fresh
  epochs=5 small kept --keep 3 >/dev/null
  expect "--keep 3 keeps three states" [ "$(cd kept && echo state*)" = "state-3-0.safetensors state-4-0.safetensors state-5-0.safetensors state.safetensors" ]
  before=$(cksum <kept/state-5-0.safetensors)
  cp kept/state-3-0.safetensors kept/state.safetensors
  expect "  which share no memory" [ "$before" = "$(cksum <kept/state-5-0.safetensors)" ]
  run "$train" --resume --out kept
  expect "  an older one can be gone on from" says "going on after 3 of 5 epochs"
  expect "  to the same end" is_same kept five
  epochs=5 small rare --save-every 2 --keep 9 >/dev/null
  expect "--save-every 2 saves every other epoch and the last" [ "$(cd rare && echo state-*)" = "state-2-0.safetensors state-4-0.safetensors state-5-0.safetensors" ]
  fails 5 "--epochs 1: the run in five has done 5" "$train" --resume --out five --epochs 1
  for words in 0 -1 x 0m 1.5 m ""; do fails 2 "--save-every" "$train" --save-every "$words"; done
}

# Of the files of a run: which are damaged, and what is said of it.
damage() {
  small good >/dev/null
  for file in state.safetensors config.json metrics.jsonl; do
    for kind in truncated empty zeros; do
      rm -rf bad
      cp -r good bad
      case $kind in
        truncated) head -c 100 "good/$file" >"bad/$file" ;;
        empty) : >"bad/$file" ;;
        zeros) head -c 500 /dev/zero >"bad/$file" ;;
      esac
      before=$(cat bad/* | cksum)
      fails 5 "bad/$file" "$train" --resume --out bad --epochs 3
      expect "  nothing is lost" [ "$before" = "$(cat bad/* | cksum)" ]
    done
  done
  rm -rf bad
  cp -r good bad
  cp good/last.safetensors bad/state.safetensors
  fails 5 "without the state of a run" "$train" --resume --out bad --epochs 3
  { head -c -4 good/state.safetensors; printf '\377\377\377\177'; } >bad/state.safetensors
  fails 5 "bad/state.safetensors: tensor optimizer.exp_avg_sq.classifier.4.bias holds nan" "$train" --resume --out bad --epochs 3
  sed 's/"checkpoint.version":"1"/"checkpoint.version":"7"/' good/state.safetensors >bad/state.safetensors
  fails 5 "version 7, of a newer libgpucnn" "$train" --resume --out bad --epochs 3
  small other --model lenet5 >/dev/null
  cp other/state.safetensors bad/state.safetensors
  fails 5 "missing" "$train" --resume --out bad --epochs 3
  small momentum --optimizer sgd >/dev/null
  cp momentum/state.safetensors bad/state.safetensors
  fails 5 "has optimizer SGD, this run Adam" "$train" --resume --out bad --epochs 3
  small cycle --schedule onecycle >/dev/null
  cp cycle/state.safetensors bad/state.safetensors
  fails 5 "has scheduler OneCycleLR, this run none" "$train" --resume --out bad --epochs 3
  cp good/state.safetensors bad/state.safetensors
  # What config.json says must be what the run began with, for its options are not all in the numbers of the state.
  for change in 's/"label_smoothing": 0.0/"label_smoothing": 0.3/' 's/"augment": false/"augment": true/' 's/"lr": 0.001/"lr": 0.5/'; do
    sed "$change" good/config.json >bad/config.json
    fails 5 "bad/state.safetensors: is of a run with" "$train" --resume --out bad --epochs 3
  done
  for change in 's/"epochs": 2/"epochs": false/' 's/"precision": "fp32"/"precision": null/' '/"lr"/d'; do
    sed "$change" good/config.json >bad/config.json
    fails 5 "bad/config.json: it" "$train" --resume --out bad --epochs 3
  done
  cp good/config.json bad/config.json
  for file in config.json metrics.jsonl state.safetensors; do
    rm "bad/$file"
    mkfifo "bad/$file"
    fails 5 "bad/$file" timeout 20 "$train" --resume --out bad --epochs 3
    rm "bad/$file"
    mkdir "bad/$file"
    fails 5 "bad/$file" timeout 20 "$train" --resume --out bad --epochs 3
    rmdir "bad/$file"
    before=$(cat bad/* | cksum)
    fails 5 "bad" timeout 20 "$train" --resume --out bad --epochs 3
    expect "  nothing is lost" [ "$before" = "$(cat bad/* | cksum)" ]
    cp "good/$file" "bad/$file"
  done
  rm bad/best.safetensors
  fails 5 "bad/best.safetensors: is not there" "$train" --resume --out bad --epochs 3
  for field in '"batch_size": -5' '"lr": "fast"' '"epochs": null, "epochs": 1e99' '"surprise": 1' '"device": "tpu"'; do
    sed "s/\"keep\": 1,/\"keep\": 1, $field,/" good/config.json >bad/config.json
    fails 5 "bad/config.json" "$train" --resume --out bad --epochs 3
  done
}

# A folder that is used, in use, or not what it should be.
folder() {
  local file
  epochs=3 small used >/dev/null
  before=$(cat used/* | cksum)
  fails 5 "--resume goes on with that run, --overwrite removes them" small used
  expect "  nothing is lost" [ "$before" = "$(cat used/* | cksum)" ]
  fails 5 "it holds the results" small used --lr 1e30
  for file in config.json metrics.jsonl metrics.csv last.safetensors best.safetensors state.safetensors state-3-0.safetensors; do
    mkdir "with-$file"
    touch "with-$file/$file"
    case $file in
      config.json | state.safetensors) fails 5 "it holds the results of a run; --resume goes on with that run" small "with-$file" ;;
      *) fails 5 "it holds results, and no state that --resume could go on from" small "with-$file" ;;
    esac
  done
  mkdir other
  touch other/notes.txt
  run small other
  expect "a folder with other files is not used" code_is 0
  expect "  they stay" [ -e other/notes.txt ]
  epochs=1 run small used --overwrite --keep 2
  expect "--overwrite writes anew" code_is 0
  expect "  all of it" [ "$(wc -l <used/metrics.jsonl)" = 1 ]
  mkfifo fifo
  ln -s nowhere link
  for file in fifo link; do
    rm -rf odd
    cp -r used odd
    rm odd/metrics.jsonl
    cp -P -r "$file" odd/metrics.jsonl
    fails 5 "odd/metrics.jsonl" small odd --overwrite
    rm odd/metrics.jsonl
    expect "  nothing is lost" [ "$(cat odd/* | cksum)" = "$(find used -type f -not -name metrics.jsonl | sort | xargs cat | cksum)" ]
  done
  code=0
  output=$(ulimit -f 0 && small used --overwrite 2>&1) || code=$?
  expect "on a full disk --overwrite removes nothing" [ -s used/best.safetensors ]
  small used --overwrite >/dev/null
  chmod 600 used/last.safetensors
  touch used/.gpucnn-1-1.tmp
  "$train" --resume --out used --epochs 4 >/dev/null
  expect "rights are kept" [ "$(stat -c %a used/last.safetensors)" = 600 ]
  expect "what a killed process left is removed" [ ! -e used/.gpucnn-1-1.tmp ]
  "$train" --limit 600 --epochs 100000 --out busy >/dev/null 2>&1 &
  local process=$!
  expect "a run begins" is_there busy/best.safetensors
  for option in --resume --overwrite --quiet; do fails 5 "another run is writing into it" small busy $option; done
  kill -9 $process
  wait $process 2>/dev/null
  expect "its metrics are whole lines" has_whole_lines busy
  run small busy --overwrite
  expect "once it is gone the folder is free" code_is 0
  for _ in 1 2 3 4; do "$train" --limit 300 --epochs 3 --out race >/dev/null 2>&1 & done
  wait
  expect "of four runs at once in one folder one writes" [ "$(wc -l <race/metrics.jsonl)" = 3 ]
  expect "  whole lines" has_whole_lines race
  for _ in 1 2 3 4; do "$train" --limit 100 --epochs 1 >/dev/null 2>&1 & done
  wait
  expect "four runs at once without a folder have four" [ "$(find runs -name best.safetensors | wc -l)" = 4 ]
}

# Signals that ask a run to end.
signals() {
  local name number process
  whole whole --quiet >/dev/null
  for name in INT TERM HUP; do
    number=$(kill -l $name)
    rm -rf out
    env --default-signal="$name" "$train" "${recipe[@]}" --epochs 4 --out out --save-every 100 >/dev/null 2>errors &
    process=$!
    expect "a run begins" is_there out/config.json
    kill -s $name $process
    expect "SIG$name: $((128 + number))" ends_with $((128 + number)) $process
    output=$(cat errors)
    expect "  in one line that says what to do" says "--resume goes on from there"
    expect "  which is one" [ "$(wc -l <errors)" = 1 ]
    "$train" --resume --out out --save-every 1 >/dev/null
    expect "  the run goes on to the same end" is_same whole out
  done
  # As a terminal sends it that closes.
  "$train" "${recipe[@]}" --epochs 1000 --out closed >/dev/null 2>&1 &
  process=$!
  expect "a run begins" is_there closed/best.safetensors
  kill -s HUP $process
  kill -s HUP $process
  expect "two SIGHUP at once are one" ends_with 129 $process
  expect "  the run has a state amid an epoch, or behind one" [ -s closed/state.safetensors ]
  env --default-signal=TERM "$train" --limit 10000 --epochs 2 --batch-size 10000 --out slow >/dev/null 2>&1 &
  process=$!
  expect "a run with long steps begins" is_there slow/config.json
  kill -s TERM $process
  sleep 0.1
  kill -s TERM $process
  expect "a second signal ends it at once" ends_with 143 $process
  expect "  without weights" [ ! -e slow/last.safetensors ]
  nohup "$train" --limit 300 --epochs 20 --out hup >/dev/null 2>&1 &
  process=$!
  expect "a run under nohup begins" is_there hup/config.json
  kill -s HUP $process
  expect "SIGHUP is ignored under nohup" ends_with 0 $process
  if unshare --pid --fork --mount-proc true 2>/dev/null; then
    unshare --pid --fork --kill-child "$train" "${recipe[@]}" --epochs 1000 --out first >/dev/null 2>&1 &
    process=$!
    expect "a run as process 1 begins" is_there first/best.safetensors
    kill -s TERM "$(pgrep -P $process)"
    expect "SIGTERM ends process 1, too" ends_with 143 $process
  fi
}

# kills: runs that are killed at random moments, some more than once, end as one that never was.
kills() {
  local n delay process threads longest
  longest=$(date +%s%3N)
  whole whole --quiet >/dev/null
  longest=$(($(date +%s%3N) - longest)) # milliseconds of a run
  RANDOM=${SEED:-1}
  for n in $(seq "${count:-5}"); do
    rm -rf killed
    for _ in 1 2 3; do
      threads=$((RANDOM % 2 + 1))
      delay=$(printf '%d.%03d' $((RANDOM % longest / 1000)) $((RANDOM % longest % 1000)))
      "$train" "${recipe[@]}" --epochs 4 --resume --out killed --threads $threads --save-every "$([ $threads = 1 ] && echo 0.00005m || echo 1)" >/dev/null 2>&1 &
      process=$!
      sleep "$delay"
      kill -9 $process 2>/dev/null
      wait $process 2>/dev/null
      expect "$n: killed after $delay s: metrics are whole lines" has_whole_lines killed
    done
    run "$train" "${recipe[@]}" --epochs 4 --resume --out killed
    expect "$n: it goes on to its end" code_is 0
    expect "$n: with the same bits" is_same whole killed
    expect "$n: nothing is left over" [ "$(find killed -name '.gpucnn*' | wc -l)" = 0 ]
  done
}

# kills_on_gpu: the same on the stand-in for a GPU, whose steps are captured.
kills_on_gpu() {
  train="$1/tests/cuda_on_cpu/cuda_on_cpu_train_cifar"
  recipe=(--limit 24 --batch-size 4 --augment --optimizer adam --schedule onecycle --ema 0.98 --device cuda)
  kills
}

# failing_calls: each system call of each kind on the run's files fails in turn, or every COUNT-th. The run ends with 0 or 5, and goes
# on to the same end.
failing_calls() {
  local call how n calls step ended
  long=2
  whole whole --quiet >/dev/null
  for call in open write fsync close rename; do
    rm -rf begun
    under=(env LD_PRELOAD="$preloads/libfailing_calls.so" FAIL_IN="$scratch/begun" FAIL_CALL="$call" COUNT_TO="$scratch/count")
    whole "$scratch/begun" --quiet >/dev/null
    calls=$(cat count)
    expect "$call is called" [ "$calls" -gt 5 ]
    step="${count:-$((calls / 3))}"
    for how in ENOSPC EIO EINTR $([ $call != write ] || echo short); do
      for n in $(seq $((RANDOM % step + 1)) "$step" "$calls"); do
        rm -rf begun
        under=(env LD_PRELOAD="$preloads/libfailing_calls.so" FAIL_IN="$scratch/begun" FAIL_CALL="$call" FAIL_AT="$n" FAIL_HOW="$how")
        run whole "$scratch/begun" --quiet
        ended=$code
        case $how in
          EINTR | short) expect "$call $n fails with $how: 0" code_is 0 ;;
          # Files that are only read, and folders that are looked through, may be left alone.
          *) [ "$call $code" = "open 0" ] || [ "$call $code" = "close 0" ] || expect "$call $n fails with $how: 5" code_is 5 ;;
        esac
        [ "$ended" != 5 ] || expect "  in one line" [ "$(printf '%s
' "$output" | wc -l)" = 1 ]
        expect "  metrics are whole lines" has_whole_lines begun
        under=()
        run whole "$scratch/begun" --resume --quiet
        expect "  the run goes on" code_is 0
        expect "  to the same end" is_same whole begun
      done
    done
  done
}

"$2" "$1"
finish
