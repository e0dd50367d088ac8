#!/usr/bin/env bash
# train_cifar_test.sh BUILD CASE: holds train_cifar to its exit codes, its one sentence on standard error, and what it leaves behind.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/expect.sh"
# shellcheck source=tests/samples/programs.sh
. "$(dirname "${BASH_SOURCE[0]}")/programs.sh"

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

# number N: as four bytes, the highest first.
number() {
  # shellcheck disable=SC2059  # the number is four characters
  printf "\\x$(printf %02x $(($1 >> 24)))\\x$(printf %02x $(($1 >> 16 & 255)))\\x$(printf %02x $(($1 >> 8 & 255)))\\x$(printf %02x $(($1 & 255)))"
}

# An IDX set of 256 training and 64 test images of 16 x 16 with the labels 0; half of it is packed.
make_mnist() {
  local half count
  mkdir -p "$1"
  for half in train t10k; do
    count=$([ $half = train ] && echo 256 || echo 64)
    { printf '\0\0\010\003'; number "$count"; number 16; number 16; head -c $((count * 256)) /dev/zero | tr '\0' '\100'; } | gzip >"$1/$half-images-idx3-ubyte.gz"
    { printf '\0\0\010\001'; number "$count"; head -c "$count" /dev/zero; } >"$1/$half-labels-idx1-ubyte"
  done
}

# CIFAR-100 of the published format, all labels 0.
make_cifar100() {
  mkdir -p "$1"
  truncate -s $((50000 * 3074)) "$1/train.bin"
  truncate -s $((10000 * 3074)) "$1/test.bin"
  seq 100 >"$1/fine_label_names.txt"
  seq 20 >"$1/coarse_label_names.txt"
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
  fails 2 "--schedule: 'cosine' is not constant or onecycle" "$train" --schedule cosine
  for option in --weight-decay --label-smoothing; do for number in -0.1 1.1 nan; do fails 2 "$option" "$train" "$option" $number; done; done
  for number in 0 1 -0.1 nan; do
    fails 2 "--validation-split: '$number' is not a number of more than 0 and less than 1" "$train" --validation-split $number
  done
  fails 2 "--lr: '0' is not a number of more than 0 and at most 3.4e+38" "$train" --lr 0
  fails 2 "--ema: '2' is not a number from 0 to 1" "$train" --ema 2
  fails 2 "--early-stop" "$train" --early-stop 0
  fails 2 "--eval-only: needs weights (--init)" "$train" --eval-only
  fails 2 "only one of --eval-only, --overfit-batch and --find-lr" "$train" --find-lr --eval-only
  for option in --find-lr --overfit-batch; do fails 2 "--resume: is for a training" "$train" $option --resume --out out; done
  for number in 0 -1 nan 1e40; do fails 2 "--clip-grad-norm" "$train" --clip-grad-norm $number; done
  fails 2 "'--epoch=3' is not an option; did you mean --epochs?" "$train" --epoch=3
  fails 2 "'--optimiser' is not an option; did you mean --optimizer?" "$train" --optimiser sgd
  fails 2 "'--eval' is not an option; did you mean --eval-only?" "$train" --eval
  fails 2 "'--overfit=1' is not an option; did you mean --overfit-batch?" "$train" --overfit=1
  fails 2 "'--x' is not an option" "$train" --x
  expect "  and none is near it" [ "${output#*did you mean}" = "$output" ]
  mkdir -p some_photos
  fails 2 "'some_photos' is not an option; did you mean --data some_photos?" "$train" some_photos
  fails 2 "--width" "$train" --model resnet9 --width 0
  fails 2 "--image-size" "$train" --image-size 16
  fails 2 "--skip-damaged" "$train" --skip-damaged
  fails 2 "--model: " "$train" --limit 100 --width 8
  fails 2 "--model: 'resnet1' is none of" "$train" --model resnet1
  fails 2 "tpu" "$train" --device tpu
  fails 2 "cuda:x" "$train" --device cuda:x
  fails 2 "--epochs" "$train" --epochs
  fails 2 "--epochs" "$train" --epochs 1 --epochs 2
  fails 2 '\x1b[2J' "$train" --optimizer "$(printf '\033[2J')"
  fails 2 '\x1b[2J' "$train" "$(printf '\033[2J')"
  run "$train" --help
  expect "--help succeeds" code_is 0
  for option in data model width epochs batch-size lr optimizer schedule weight-decay label-smoothing clip-grad-norm device threads seed out augment limit quiet version \
    validation-split early-stop freeze init config eval-only overfit-batch find-lr; do
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

# What a folder holds, --data finds out by itself.
kinds() {
  local words
  mkdir empty
  fails 4 "found none of them" "$train" --data empty --out out
  make_mnist mnist
  run small digits --data mnist
  expect "MNIST is trained on" code_is 0
  expect "  and named" says "SimpleCNN on MNIST in mnist: 200 training and 64 test images"
  output=$(cat digits/config.json)
  for words in '"model": "simple_cnn"' '"dataset": "MNIST"' '"image_shape": [1,16,16]' '"num_classes": 10' '"std": [1.0]'; do
    expect "  config.json has $words" says "$words"
  done
  run small again --data mnist --init digits/last.safetensors
  expect "  its checkpoint is a start" code_is 0
  fails 5 "holds no SimpleCNN" small out --init digits/last.safetensors
  run small lenet --data mnist --model lenet5
  expect "by another model too" code_is 0
  expect "  which is named" says "lenet5 on MNIST"
  output=$(head -c 4096 lenet/best.safetensors | tr -d '\0')
  for words in '"model":"lenet5"' '"image_shape":"[1,16,16]"'; do expect "  best.safetensors has $words" says "$words"; done
  fails 5 "digits/last.safetensors: is a simple_cnn (--model simple_cnn)" small out --data mnist --model lenet5 --init digits/last.safetensors
  mkdir brighter
  cp mnist/* brighter
  { gzip -dc mnist/train-images-idx3-ubyte.gz | head -c 16; head -c 65536 /dev/zero | tr '\0' '\377'; } | gzip >brighter/train-images-idx3-ubyte.gz
  run "$train" --eval-only --data mnist --init digits/last.safetensors
  words="${output##*test accuracy}"
  run "$train" --eval-only --data brighter --init digits/last.safetensors --out judged
  expect "weights are judged by images as they were learned from" says "${words%;*}"
  output=$(cat judged/config.json)
  expect "  whatever the training images are now" says "$(grep '"mean"' digits/config.json)"
  LC_ALL=C sed 's/"mean":"\[0/"mean":"[x/' digits/last.safetensors >odd.safetensors
  fails 5 "odd.safetensors: its metadata have no mean and std" "$train" --eval-only --data mnist --init odd.safetensors
  fails 2 "--model: vgg11_bn" small out --data mnist --model vgg11_bn
  head -c 40 mnist/t10k-images-idx3-ubyte.gz >start.gz
  mv start.gz mnist/t10k-images-idx3-ubyte.gz
  fails 4 "t10k-images-idx3-ubyte.gz: at byte 40: expected the rest of the gzip data" "$train" --data mnist --out out
  rm mnist/train-labels-idx1-ubyte
  fails 4 "train-labels-idx1-ubyte" "$train" --data mnist --out out
  make_cifar100 hundred_classes
  run small hundred --data hundred_classes
  expect "CIFAR-100 is trained on" code_is 0
  expect "  and named" says "on CIFAR-100 in hundred_classes: 200 training and 200 test images"
  output=$(cat hundred/config.json)
  for words in '"num_classes": 100' 0.5071 0.2673; do expect "  config.json has $words" says "$words"; done
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
  fails 5 "it holds results" small taken
  fails 5 "taken/metrics.jsonl: cannot be written: it is a directory" small taken --overwrite
  head -c 1000 good/last.safetensors >damaged.safetensors
  fails 5 "damaged.safetensors" small out --init damaged.safetensors
  fails 5 "none.safetensors" small out --init none.safetensors
  run small again --init good/best.safetensors
  expect "a checkpoint is a start" code_is 0
  # A limit on the size of files stands for a full disk: the checkpoint does not fit, and the older one stays.
  before=$(cksum <good/last.safetensors)
  code=0
  output=$(ulimit -f 100 && epochs=3 small good --resume 2>&1 >/dev/null) || code=$?
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
  local process number folder
  for folder in many/red many/blue; do
    mkdir -p $folder
    # A PNG image of 40 x 30 pixels.
    base64 -d >$folder/0.png <<<iVBORw0KGgoAAAANSUhEUgAAACgAAAAeCAIAAADRv8uKAAAALklEQVR42u3NIQEAMAgAMHgGNP2TkeMRkJitwHKq48KLI2KxWCwWi8VisVgs3n05eQFUOBxrugAAAABJRU5ErkJggg==
    for number in $(seq 15); do # each time twice as many
      cp -rl $folder twice
      mv twice "$folder/$number"
    done
  done
  env --default-signal=INT "$train" --data many --image-size 8 --threads 1 --epochs 1 --out unread >log 2>errors &
  process=$!
  sleep 0.7
  kill -INT $process
  code=0
  wait $process || code=$?
  output=$(cat errors)
  expect "Ctrl-C while images are read: 130" code_is 130
  expect "  in one line" says "interrupted while the images were read; nothing was written"
  expect "  which is true" [ ! -e unread ]
  rm -r many
  # Without it, what runs behind & ignores Ctrl-C.
  env --default-signal=INT "$train" --epochs 100000 --out out >log 2>errors &
  process=$!
  expect "a checkpoint is written" is_there out/best.safetensors
  kill -INT $process
  code=0
  wait $process || code=$?
  output=$(cat errors)
  expect "Ctrl-C: 130" code_is 130
  expect "  in one line" [ "$(wc -l <errors)" -eq 1 ]
  expect "  that names the weights" says "out/last.safetensors"
  run small again --init out/last.safetensors
  expect "  which can be loaded" code_is 0
  env --ignore-signal=INT "$train" --limit 1000 --epochs 10 --out ignored >log 2>errors &
  process=$!
  expect "a checkpoint is written" is_there ignored/best.safetensors
  kill -INT $process
  code=0
  wait $process || code=$?
  output=$(cat errors)
  expect "an ignored Ctrl-C stays ignored" code_is 0
  expect "  to the end" [ "$(wc -l <ignored/metrics.jsonl)" -eq 10 ]
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

# What belongs to a recipe reaches the training, and config.json.
recipe() {
  small plain >/dev/null
  for option in "--schedule onecycle" "--weight-decay 0.01" "--label-smoothing 0.1" "--clip-grad-norm 0.5 --optimizer sgd"; do
    # shellcheck disable=SC2086  # an option and its value
    small "with${option// /}" $option >/dev/null
    output=$(cmp plain/last.safetensors "with${option// /}/last.safetensors")
    expect "$option gives other weights" says "differ"
  done
  output=$(cat with*/config.json)
  for words in '"schedule": "onecycle"' '"weight_decay": 0.01' '"label_smoothing": 0.1' '"clip_grad_norm": 0.5'; do
    expect "config.json has $words" says "$words"
  done
  output=$(head -n 2 with--scheduleonecycle/metrics.jsonl | sed -n 's/.*"lr":\([^,]*\),.*/\1/p' | sort -g | head -n 1)
  expect "the last rate of onecycle is almost 0, not $output" [ "$(printf '%s\n1e-4\n' "$output" | sort -g | head -n 1)" = "$output" ]
  for option in "adam 0.003 0.0" "adamw 0.003 0.1" "sgd 0.05 0.0005"; do
    # shellcheck disable=SC2086  # an optimizer, and what goes with it
    set -- $option
    "$train" --limit 100 --epochs 1 --optimizer "$1" --out "default-$1" >/dev/null
    output=$(cat "default-$1/config.json")
    expect "$1 has a rate of its own" says "\"lr\": $2,"
    expect "  and a weight decay" says "\"weight_decay\": $3,"
  done
  run small narrow --model resnet9 --width 2
  expect "--width makes a narrow resnet9" code_is 0
  expect "  which is small" [ "$(wc -c <narrow/last.safetensors)" -lt 100000 ]
}

# refuses_config JSON WORDS: what is said of a file of options.
refuses_config() {
  printf '%s\n' "$1" >bad.json
  fails 2 "--config: bad.json: $2" "$train" --config bad.json --out out
}

# A run from a file of options, as another run has written it, or somebody by hand.
config() {
  local words name
  small first --augment --validation-split 0.1 --early-stop 5 --freeze 'features.*' --freeze '*.bias' >/dev/null
  run "$train" --config first/config.json --out again
  expect "a run from its config.json" code_is 0
  expect "  writes the same" cmp first/config.json again/config.json
  for file in last.safetensors best.safetensors; do expect "  and has the bits of $file" cmp first/$file again/$file; done
  "$train" --config first/config.json --out other --epochs 1 --freeze classifier.4.weight --freeze '*.0.*' >/dev/null
  output=$(cat other/config.json)
  expect "the command line counts more" says '"epochs": 1'
  expect "  in lists as a whole" says '"freeze": ["classifier.4.weight","*.0.*"]'
  expect "  and the rest stays" says '"augment": true'
  printf '{"epochs": 1, "limit": 100, "image_size": null, "schedule": "constant"}' >some.json
  run "$train" --config some.json --out some
  expect "some options will do" code_is 0
  expect "  and count" [ "$(wc -l <some/metrics.jsonl)" = 1 ]
  run "$train" --config some.json --out some --resume --epochs 2
  expect "a run goes on with its file" code_is 0
  fails 5 "the run in some/config.json has" "$train" --config first/config.json --out some --resume
  refuses_config '{"epoch": 3}' "it has an unknown field 'epoch'; did you mean epochs?"
  refuses_config '{"\u001b[2J": 3}' "it has an unknown field '\x1b[2J'"
  refuses_config '{"epochs": "x"}' "--epochs: 'x' is not a whole number"
  refuses_config '{"epochs": null}' "its field 'epochs' is null"
  refuses_config '{"augment": 1}' "its field 'augment' is 1"
  refuses_config '{"lr": [1]}' "its field 'lr' is [1]"
  for words in '{}' '["*.bias"]' null 1; do
    refuses_config "{\"freeze\": [\"*.bias\", $words]}" "its field 'freeze' has $words in its list"
  done
  words=$(printf '[%.0s' $(seq 20000); printf '"*.bias"'; printf ']%.0s' $(seq 20000))
  for name in freeze lr; do refuses_config "{\"$name\": $words}" "is not the JSON that a run writes"; done
  refuses_config '[1]' "is not the JSON that a run writes"
  refuses_config '{' "is not the JSON that a run writes"
  small once --freeze '*.bias' --freeze 'features.*' --freeze '*.bias' >/dev/null
  output=$(cat once/config.json)
  expect "a pattern that is given twice counts once" says '"freeze": ["*.bias","features.*"]'
  run "$train" --resume --out once --freeze '*.bias' --freeze 'features.*'
  expect "  and the run goes on with it" code_is 0
  printf '{"freeze": %s}\n' "$words" >once/config.json
  fails 5 "once/config.json: is not the JSON that a run writes" "$train" --resume --out once
  fails 2 "--config: none.json: No such file" "$train" --config none.json
  fails 2 "--config: first: it is not a file" "$train" --config first
  expect "nothing is left of runs that did not begin" [ ! -e out ]
}

# Epochs judged by a part of the training images, and an end before the last of them.
validation() {
  local words
  run small split --validation-split 0.25
  expect "a run with a validation set" code_is 0
  for words in "150 training, 50 validation and 200 test images" "  validation loss " "  validation accuracy " "validation accuracy 0." "with test accuracy 0."; do
    expect "  says '$words'" says "$words"
  done
  output=$(sed -n 1p split/metrics.csv; head -c 4096 split/best.safetensors | tr -d '\0'; cat split/report.html split/test.json)
  for words in 'epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,' '"validation_accuracy":"0.' "Best validation accuracy" '"test_images": 200' "of 50 validation images are right"; do
    expect "  writes '$words'" says "$words"
  done
  words=$(sed -n 's/.*"test_accuracy": \([0-9.]*\).*/\1/p' split/test.json)
  run small judged --eval-only --init split/best.safetensors
  expect "  the test images judge the best weights" says "test accuracy $(printf %.4f "$words")"
  small other --validation-split 0.25 --seed 1 >/dev/null
  rm split/test.json
  before=$(cksum <split/best.safetensors)
  run "$train" --resume --out split
  expect "a test that was missed is made up for" says "and test accuracy $(printf %.4f "$words")"
  expect "  and changes no weights" [ "$before" = "$(cksum <split/best.safetensors)" ]
  expect "  the report has all that it had" grep -q "of 50 validation images are right" split/report.html
  output=$(head -c 4096 split/best.safetensors | grep -ao '"epoch":"[0-9]*"' | tr -cd '0-9')
  expect "  of the epoch with the best weights" grep -q "of the weights after epoch $output:" split/report.html
  before=$(cat split/* | cksum)
  run "$train" --resume --out split
  expect "a finished run says its test accuracy again" says "and test accuracy $(printf %.4f "$words")"
  expect "  and writes nothing" [ "$before" = "$(cat split/* | cksum)" ]
  echo '{"test_accuracy": "all"}' >split/test.json
  run "$train" --resume --out split
  expect "a damaged test is made again" says "and test accuracy $(printf %.4f "$words")"
  expect "  and saved" grep -q '"test_images": 200' split/test.json
  small plain >/dev/null
  expect "without it there is no such file" [ ! -e plain/test.json ]
  fails 5 "--validation-split 0.5: the run in split" "$train" --resume --out split --validation-split 0.5
  epochs=1 small short --validation-split 0.25 --schedule constant >/dev/null
  epochs=8 small unbroken --validation-split 0.25 --schedule constant >/dev/null
  "$train" --resume --out short --epochs 8 >/dev/null
  expect "a run that goes on holds out the same images" cmp short/last.safetensors unbroken/last.safetensors
  expect "  and looks at the test images anew" cmp short/test.json unbroken/test.json
  fails 2 "nothing to split in 1 training images" "$train" --limit 1 --validation-split 0.5 --out out

  # With such a rate nothing changes, so the first epoch is the best.
  epochs=9
  run small stalls --schedule constant --lr 1e-30 --early-stop 2
  expect "--early-stop 2 ends a run" [ "$(wc -l <stalls/metrics.jsonl)" = 3 ]
  expect "  without an error" code_is 0
  expect "  and says so" says "stopped early after 3 of 9"
  run "$train" --resume --out stalls
  expect "  there is nothing to go on with" says "the run stopped early after 3 of 9 epochs"
  small longer --schedule constant --lr 1e-30 --early-stop 4 --save-every 3 >/dev/null
  run "$train" --resume --out stalls --early-stop 4
  expect "  but for more patience" says "stopped early after 5 of 9"
  expect "  as without a break" cmp stalls/last.safetensors longer/last.safetensors
  run "$train" --resume --out longer
  expect "  its end has a state, whatever --save-every says" says "nothing to do"
}

# Weights of another run, and what is not learned.
freeze() {
  small first >/dev/null
  run small frozen --init first/last.safetensors --freeze 'features.*'
  expect "a run with frozen layers" code_is 0
  expect "  says how many" says "4 of 8 parameter tensors are frozen"
  fails 2 "--freeze: 'feature.*' matches no parameter; did you mean features.*?" small out --freeze 'feature.*'
  fails 2 "--freeze: 'x' matches no parameter; there are classifier.*, features.*" small out --freeze x
  fails 2 "--freeze: leaves nothing to learn" small out --freeze '*'
  fails 5 '--freeze ["*.bias"]: the run in frozen/config.json has ["features.*"]' "$train" --resume --out frozen --freeze '*.bias'
  make_cifar100 hundred
  run small hundred_classes --data hundred --init first/last.safetensors
  expect "weights of other classes are a start" code_is 0
  expect "  but for the last layer" says "first/last.safetensors has 10 classes, not 100: classifier.4.weight and classifier.4.bias start fresh"
  fails 5 "would have to be learned first" "$train" --data hundred --limit 100 --eval-only --init first/last.safetensors
  make_mnist mnist
  fails 5 "holds no SimpleCNN" small out --data mnist --init first/last.safetensors
  expect "nothing is left of runs that did not begin" [ ! -e out ]
}

# What is done besides training.
tasks() {
  local words number
  small first >/dev/null
  before=$(cat first/* | cksum)
  run "$train" --eval-only --config first/config.json --init first/last.safetensors
  expect "--eval-only judges weights" code_is 0
  expect "  as the run did" says "test accuracy $(printf %.4f "$(sed -n '2s/.*"test_accuracy":\([0-9.]*\),.*/\1/p' first/metrics.jsonl)")"
  expect "  and writes nothing" [ "$before$(echo *)" = "$(cat first/* | cksum)first" ]
  run "$train" --eval-only --quiet --config first/config.json --init first/last.safetensors --out judged
  expect "  with --out a report" grep -q "Confusion matrix" judged/report.html
  expect "  with --quiet in one line" [ "$(printf '%s\n' "$output" | wc -l)" -eq 1 ]
  fails 5 "it holds the results" "$train" --eval-only --init first/last.safetensors --out first
  ln -s first/best.safetensors link.safetensors
  for words in first/last.safetensors link.safetensors; do
    fails 2 "--overwrite: would remove the results that --init $words is one of" "$train" --eval-only --init $words --out first --overwrite
    fails 2 "--overwrite: would remove" small first --init $words --overwrite
  done
  expect "  nothing is lost" [ "$before" = "$(cat first/* | cksum)" ]
  run "$train" --eval-only --limit 200 --init first/last.safetensors --out judged --overwrite
  expect "  another folder may be overwritten" code_is 0
  small smooth --label-smoothing 0.1 >/dev/null
  words="test loss $(printf %.4f "$(sed -n '2s/.*"test_loss":\([0-9.]*\),.*/\1/p' smooth/metrics.jsonl)")"
  for number in 0 0.1; do
    run "$train" --eval-only --limit 200 --label-smoothing $number --init smooth/last.safetensors
    expect "  the loss is that of labels as they are, as in the run" says "$words"
  done
  small narrow --model resnet9 --width 2 >/dev/null
  run "$train" --eval-only --limit 200 --init narrow/last.safetensors
  expect "  the model is the file's" says "resnet9 on drawn shapes"
  words="narrow/last.safetensors: is a resnet9 (--model resnet9 --width 2)"
  fails 5 "$words" "$train" --eval-only --limit 200 --init narrow/last.safetensors --model lenet5
  fails 5 "$words" "$train" --eval-only --limit 200 --init narrow/last.safetensors --width 3
  fails 5 "$words" small out --init narrow/last.safetensors
  # A limit on the size of files stands for a full disk.
  for words in "--eval-only --limit 200 --init first/last.safetensors:test accuracy 0." "--find-lr --limit 2000:falls fastest at --lr"; do
    code=0
    # shellcheck disable=SC2086  # options
    output=$(ulimit -f 4 && "$train" ${words%%:*} --out full --overwrite 2>errors) || code=$?
    expect "no room for the report of ${words%% *}: 5" code_is 5
    expect "  what was found is printed" says "${words#*:}"
  done
  run "$train" --overfit-batch --limit 500 --lr 1e-3 --schedule constant
  expect "--overfit-batch learns a batch" code_is 0
  expect "  and says so" says "of one batch of 128 images the loss was 2."
  fails 8 "it does not come near 0" "$train" --overfit-batch --limit 64 --lr 1e-30
  run "$train" --overfit-batch --limit 64 --lr 1e-3 --schedule constant --label-smoothing 0.1 --out by_heart
  expect "  with label smoothing, too" code_is 0
  expect "  names no report" is_silent_on "report in"
  expect "  and writes none" [ ! -e by_heart ]
  run "$train" --find-lr --limit 2000 --out rates
  expect "--find-lr finds a rate" code_is 0
  expect "  that is none too high" says "--lr 0.0"
  expect "  and draws the losses" grep -q "Loss over the learning rate" rates/report.html
  fails 5 "rates: cannot be written: it holds results, and no state that --resume could go on from; --overwrite removes them" small rates
  fails 5 "rates: holds results, but no state.safetensors to go on from; begin anew with --overwrite" small rates --resume
  epochs=1 run small rates --overwrite
  expect "  --overwrite takes its folder for a run" code_is 0
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
  for word in __metadata__ simple_cnn num_classes image_shape class_names mean std version features.0.weight classifier.4.bias; do
    expect "best.safetensors has $word" says "$word"
  done
  small unread 2>errors | true
  output=$(cat errors)
  expect "a reader that went away ends no run" [ -s unread/best.safetensors ]
  run small piped
  expect "plain lines when piped" is_silent_on "$(printf '\r')"
}

# checkpoint NAME: a safetensors file with one empty tensor of this name, as JSON writes it.
checkpoint() {
  local header="{\"$1\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}"
  # shellcheck disable=SC2059  # the length is a character
  printf "\\x$(printf %x "${#header}")\\0\\0\\0\\0\\0\\0\\0"
  printf '%s' "$header"
}

# Whether $output is ASCII without control characters but the ends of lines.
is_plain() { [ -z "$(printf '%s' "$output" | LC_ALL=C tr -d '\040-\176\n')" ]; }

names() {
  local name folder words
  # The name in JSON, and what is shown of it: an escape sequence, a line, a control character of two bytes, a right-to-left override.
  for name in '\u001b]0;owned\u0007 \x1b]0;owned\x07' 'a\nb a\x0ab' '\u009b31m \u009b31m' 'a\u202eb a\u202eb'; do
    checkpoint "${name%% *}" >named.safetensors
    fails 5 "${name##* }" small out --init named.safetensors
    expect "  in plain text" is_plain
  done
  folder=$(printf 'a\033]0;owned\007\nb\302\2331\377c')
  for option in --data --init; do
    fails "$([ $option = --data ] && echo 4 || echo 5)" 'a\x1b]0;owned\x07\x0ab\u009b1\xffc' small out $option "$folder"
    expect "  in plain text" is_plain
  done
  run small "$folder"
  expect "a folder of any name can be written" code_is 0
  expect "  its name is shown" says 'files in a\x1b]0;owned\x07\x0ab\u009b1\xffc'
  expect "  in plain text" is_plain
  fails 5 'it is a file' small "$folder/config.json"
  make_cifar good
  printf '\033]0;owned\007%s\302\233\n' 0 1 2 3 4 5 6 7 8 9 >good/batches.meta.txt
  run small classes --data good
  expect "classes may have any name in UTF-8" code_is 0
  expect "  of which nothing is printed raw" is_plain
  output=$(cat classes/config.json)
  expect "  nor stands so in config.json" is_plain
  expect "  where it is escaped" says '"\u001b]0;owned\u00079\u009b"'
  for name in config.json metrics.jsonl; do
    output=$(head -n "$([ $name = config.json ] && echo 100 || echo 1)" "classes/$name")
    if command -v python3 >/dev/null; then expect "  $name is JSON" python3 -c 'import json, sys; json.loads(sys.argv[1])' "$output"; fi
  done
  run small again --init classes/last.safetensors
  expect "  and their checkpoint can be loaded" code_is 0
  words="classes/last.safetensors was trained on other classes: its class 0 is '\x1b]0;owned\x070\u009b', here '"
  expect "  whose classes are told from others" says "$words"
  expect "  in plain text" is_plain
  fails 5 "--eval-only: $words" "$train" --eval-only --limit 100 --init classes/last.safetensors
  run "$train" --eval-only --data good --limit 100 --init classes/last.safetensors
  expect "  they are judged by their own" code_is 0
}

# Runs a command as a user who is nobody's owner. 77 if this user cannot be tried.
as_nobody() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi
}

reasons() {
  local words
  mkdir -p parent/cifar-10-batches-bin python/cifar-10-batches-py archive
  touch parent/cifar-10-batches-bin/data_batch_1.bin archive/cifar-10-binary.tar.gz
  fails 4 "give parent/cifar-10-batches-bin" "$train" --data parent
  fails 4 "version for Python" "$train" --data python
  fails 4 "not unpacked" "$train" --data archive
  fails 4 "unpack it" "$train" --data archive/cifar-10-binary.tar.gz
  fails 4 "give its folder" "$train" --data parent/cifar-10-batches-bin/data_batch_1.bin

  run small good
  { head -c -4 good/last.safetensors; printf '\377\377\377\177'; } >nan.safetensors
  fails 5 "classifier.4.bias holds nan" small out --init nan.safetensors
  expect "  without other advice" is_silent_on "learning rate"
  { head -c -1024 good/last.safetensors; head -c 1024 /dev/zero | tr '\0' '\177'; } >huge.safetensors
  fails 5 "loss that is not finite" small huge --init huge.safetensors
  expect "  without other advice" is_silent_on "learning rate"
  fails 6 "learning rate" "$train" --limit 100 --epochs 1 --lr 1e30 --init good/last.safetensors --out steep
  : >empty.safetensors
  fails 5 "an empty file" small out --init empty.safetensors
  fails 5 "a directory" small out --init good
  expect "nothing but the good run and the huge weights' folder" [ ! -e out ]

  if [ -c /dev/full ]; then
    for words in --help --version; do
      code=0
      output=$("$train" "$words" 2>&1 >/dev/full) || code=$?
      expect "$words on a full disk: 5" code_is 5
      expect "  it says so" says "standard output cannot be written: No space left on device"
    done
    code=0
    output=$(small full 2>&1 >/dev/full) || code=$?
    expect "a run that prints on a full disk: 5" code_is 5
    expect "  it says so" says "No space left on device; the results are in full"
    expect "  and they are" [ -s full/best.safetensors ]
  fi

  ln -s nowhere link
  fails 5 "a symbolic link to a folder that is not there" small link
  mkdir gone taken
  touch taken/runs
  code=0
  output=$(cd taken && "$train" --limit 100 --epochs 1 2>&1 >/dev/null) || code=$?
  expect "a file called runs: 5" code_is 5
  expect "  it says so" says "runs: cannot be written: it is a file, not a folder"
  code=0
  output=$(cd gone && rmdir ../gone && "$train" --limit 100 --epochs 1 2>&1 >/dev/null) || code=$?
  expect "a current folder that was removed: 5" code_is 5
  expect "  it says so" says "the current folder is not there"
  mkdir locked
  chmod 755 "$scratch"
  chmod 555 locked
  cp "$train" trains
  chmod 755 trains
  if as_nobody ./trains --version >/dev/null 2>&1; then
    code=0
    output=$(cd locked && as_nobody ../trains --limit 100 --epochs 1 2>&1 >/dev/null) || code=$?
    expect "a current folder without permission: 5" code_is 5
    expect "  it says so" says "runs: cannot be written: Permission denied; choose another folder with --out"
    make_cifar secret
    chmod 000 secret/batches.meta.txt
    code=0
    output=$(as_nobody ./trains --data secret 2>&1 >/dev/null) || code=$?
    expect "a file without permission: 4" code_is 4
    expect "  it says so" says "Permission denied; it is there, but this user may not read it"
  fi
}

# on_terminal COLUMNS COMMAND...: $output is what it prints on a terminal of so many columns, line by line, also those drawn again.
on_terminal() {
  local columns="$1"
  shift
  run script -qec "stty cols $columns; $(printf '%q ' "$@")" /dev/null
  raw="$output"
  output=$(printf '%s\n' "$output" | sed -e 's/\r$//' -e 's/\r\x1b\[K/\n/g')
}

# Whether every line of a run in $output is one of whole fields.
has_whole_fields() {
  local number='[0-9]\.[0-9]{4}' gap='( *|$)' epoch last other
  epoch="(epoch +[0-9]+/[0-9]+$gap)?( *[0-9]+ %$gap)?(loss $number$gap)?(accuracy $number$gap)?(test loss $number$gap)?(test accuracy $number( \*)?$gap)?([0-9]+ images/s$gap)?([0-9]+\.[0-9] s$gap)?([0-9]+:[0-9]{2} left)?"
  last="test accuracy $number(, best $number in epoch [0-9]+)?(; [0-9]+\.[0-9] s)?(, [0-9]+ images/s)?(; files in .*)?"
  other="files in .*|SimpleCNN on .*|[0-9]+ threads?; .*"
  ! printf '%s\n' "$output" | grep -qvE "^($epoch|$last|$other)$"
}

# Whether no line of fields in $output has more than $1 columns.
is_within() { ! printf '%s\n' "$output" | grep -E '^epoch|accuracy' | grep -qE "^.{$(($1 + 1))}"; }

has_escapes() { case "$raw" in *"$(printf '\033')"*) ;; *) return 1 ;; esac; }
has_no_escapes() { ! has_escapes; }

terminal() {
  local columns raw
  script --version 2>/dev/null | grep -q util-linux || exit 77
  export TERM=xterm
  unset NO_COLOR COLUMNS
  for columns in 200 100 80 79 60 50 40 30 20; do
    on_terminal $columns "$train" --limit 200 --epochs 2 --batch-size 32 --out out --overwrite
    expect "$columns columns: a run succeeds" code_is 0
    expect "  whole fields" has_whole_fields
    expect "  no line is longer" is_within "$columns"
    expect "  both epochs have a test accuracy" [ "$(printf '%s\n' "$output" | grep -c '^[^;,]*test accuracy 0\.[0-9]*\( \*\)\{0,1\}\(  [^;,]*\)\{0,1\}$')" -ge 2 ]
    expect "  the folder is named" says "files in out"
    expect "  lines are drawn again" has_escapes
  done
  for columns in 100 40 20; do
    on_terminal $columns "$train" --limit 200 --epochs 2 --batch-size 32 --validation-split 0.25 --out out --overwrite
    expect "$columns columns: epochs are judged by a validation set" [ "$(printf '%s\n' "$output" | grep -cE 'val(idation)? accuracy 0\.[0-9]{4}')" -ge 3 ]
    expect "  no line is longer" is_within "$columns"
  done
  on_terminal 80 "$train" --find-lr --model resnet9 --limit 2000
  expect "a search of more than a second shows how far it is" grep -qE "^trying learning rates: [0-9]+ of 100, [0-9]+ s" <<<"$output"
  on_terminal 80 "$train" --find-lr --quiet --limit 2000
  expect "  but not with --quiet" is_silent_on "trying"
  COLUMNS=40 on_terminal 100 "$train" --limit 200 --epochs 2 --batch-size 32 --out out --overwrite
  expect "COLUMNS counts" is_within 40
  TERM=dumb on_terminal 60 "$train" --limit 200 --epochs 2 --batch-size 32 --out out --overwrite
  expect "TERM=dumb: no escape sequences" has_no_escapes
  expect "  whole fields" has_whole_fields
  expect "  no line is longer" is_within 60
  TERM="" on_terminal 60 "$train" --limit 200 --epochs 2 --batch-size 32 --out out --overwrite
  expect "no TERM: no escape sequences" has_no_escapes
  NO_COLOR=1 on_terminal 60 "$train" --limit 200 --epochs 2 --batch-size 32 --out out --overwrite
  expect "NO_COLOR: no escape sequences" has_no_escapes
  cat >resized <<'END'
stty cols 100
(
  while [ "$(cat resize/metrics.jsonl 2>/dev/null | wc -l)" -lt 3 ]; do sleep 0.05; done
  stty cols 40 </dev/tty
) &
"$1" --limit 1000 --epochs 10 --batch-size 32 --out resize
wait
END
  on_terminal 100 bash resized "$train"
  expect "a terminal that is resized: a run succeeds" code_is 0
  expect "  at first there is room for all" says "  accuracy"
  output=$(printf '%s\n' "$output" | tail -n 8)
  expect "  then there is less" is_within 40
}

interrupted_calls() {
  run small clean
  under=(env LD_PRELOAD="$preloads/libinterrupted_calls.so")
  run small signals
  expect "signals amid all system calls change nothing" code_is 0
  expect "  in what is printed" [ "$(printf '%s\n' "$output" | wc -l)" -eq 5 ]
  expect "  in the weights" cmp clean/last.safetensors signals/last.safetensors
  expect "  in the folder" [ "$(ls signals)" = "$(ls clean)" ]
  run small start --init clean/last.safetensors
  expect "  in what is read" code_is 0
  make_cifar good
  run small read --data good
  expect "  in a set that is read" code_is 0
  run "${under[@]}" "$train" --help
  expect "  in --help" says "Exit codes"
  mkdir elsewhere
  run bash -c 'cd elsewhere && LD_PRELOAD="$1" "$2" --limit 100 --epochs 1' bash "$preloads/libinterrupted_calls.so" "$train"
  expect "  in the default folder" code_is 0
}

# Every allocation from some number on fails: the program ends with 7, or has come to its end.
no_memory() {
  local n count step kinds=0
  under=(env LD_PRELOAD="$preloads/libno_memory.so" COUNT_TO=count)
  run small out --quiet
  expect "with memory it succeeds" code_is 0
  count=$(cat count)
  expect "allocations are counted" [ "$count" -gt 500 ]
  run small first
  step=$((count / 50))
  for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 20 25 $(seq 30 $step "$count"); do
    under=(env LD_PRELOAD="$preloads/libno_memory.so" FAIL_FROM="$n")
    run small "out-$n" --init first/last.safetensors
    [ "$code" != 7 ] || kinds=$((kinds + 1))
    [ "$code" = 0 ] || expect "from allocation $n on there is none: 7" code_is 7
    [ "$code" != 7 ] || expect "  it says so" says "memory"
  done
  expect "most were too few to train" [ "$kinds" -gt 50 ]
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
