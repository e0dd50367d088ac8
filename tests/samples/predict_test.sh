#!/usr/bin/env bash
# predict_test.sh BUILD CASE: holds predict to its exit codes, what it prints of images, and what it says of files that are none.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/expect.sh"
# shellcheck source=tests/samples/programs.sh
. "$(dirname "${BASH_SOURCE[0]}")/programs.sh"

# PNG images of 40 x 30 pixels in one colour.
red=iVBORw0KGgoAAAANSUhEUgAAACgAAAAeCAIAAADRv8uKAAAALklEQVR42u3NIQEAMAgAMHgGNP2TkeMRkJitwHKq48KLI2KxWCwWi8VisVgs3n05eQFUOBxrugAAAABJRU5ErkJggg==
blue=iVBORw0KGgoAAAANSUhEUgAAACgAAAAeCAIAAADRv8uKAAAAL0lEQVR42u3NMQEAMAgAIF0GQ9g/j2EWwdMHCpDVExdeHBGLxWKxWCwWi8Vi8e4DN+kBVPcz6sQAAAAASUVORK5CYII=

# Trains on red and blue images, brought to 8 x 8 pixels, and leaves good/best.safetensors.
make_model() {
  local number
  mkdir -p set/red set/blue
  for number in 1 2 3 4 5 6 7 8 9 10; do
    printf %s "$red" | base64 -d >set/red/$number.png
    printf %s "$blue" | base64 -d >set/blue/$number.png
  done
  "$train" --data set --image-size 8 --epochs 60 --optimizer adam --lr 0.01 --schedule constant --batch-size 6 --out good --quiet >/dev/null || exit 1
}

# is_answer LINE FILE CLASS: whether the line gives the file this class with more than 90 %.
is_answer() { printf '%s\n' "$1" | grep -qE "^$2 +(100\.0|9[0-9]\.[0-9]) % $3 .* % [a-z]+$"; }

# Whether $output is ASCII without control characters but the ends of lines.
is_plain() { [ -z "$(printf '%s' "$output" | LC_ALL=C tr -d '\040-\176\n')" ]; }

options() {
  local number option
  touch a.png
  fails 2 "--model: name a checkpoint" "$predict" a.png
  fails 2 "--model: the name is empty" "$predict" --model "" a.png
  fails 2 "an image, a folder or - must be given" "$predict" --model m
  fails 2 "the name of an image is empty" "$predict" --model m ""
  fails 2 "-: given more than once" "$predict" --model m - -
  fails 2 "'--nonsense' is not an option" "$predict" --model m --nonsense a.png
  fails 2 "--model: given more than once" "$predict" --model m --model n a.png
  fails 2 "--model: its value is missing" "$predict" a.png --model
  for number in 0 -1 1.5 a "" 99999999999; do fails 2 "--top" "$predict" --model m --top "$number" a.png; done
  for option in --batch-size --threads; do fails 2 "$option" "$predict" --model m "$option" 0 a.png; done
  fails 2 "--device: 'tpu' is not" "$predict" --model m --device tpu a.png
  fails 2 '\x1b[2J' "$predict" --model m --device "$(printf '\033[2J')" a.png
  run "$predict" --help
  expect "--help succeeds" code_is 0
  for option in model top json batch-size device threads version; do expect "--help explains --$option" says "--$option"; done
  expect "  and the exit codes" says "Exit codes: 0 done"
  expect "no line of --help is longer than 100" [ -z "$(printf '%s\n' "$output" | grep -E '.{101}')" ]
  run "$predict" --version
  expect "--version is one line" [ "$(printf '%s\n' "$output" | wc -l)" -eq 1 ]
}

images() {
  local folder table
  make_model
  mkdir -p photos/below/deep photos/.hidden
  cp set/red/1.png photos/r.png
  cp set/blue/1.png photos/below/deep/b.PNG
  cp set/blue/1.png photos/.hidden/b.png
  cp set/blue/1.png photos/.b.png
  echo text >photos/notes.txt
  ln -s ../photos photos/loop
  mkdir elsewhere
  cp set/blue/1.png elsewhere/c.png
  ln -s ../elsewhere photos/link
  run "$predict" --model good/best.safetensors photos
  expect "a folder is walked" code_is 0
  table=$output
  expect "  with what is below it, and without what is hidden" [ "$(printf '%s\n' "$table" | wc -l)" -eq 3 ]
  expect "  links are followed once" says photos/link/c.png
  expect "  the blue image is blue" is_answer "$(printf '%s\n' "$table" | head -n 1)" photos/below/deep/b.PNG blue
  expect "  the red one is red" is_answer "$(printf '%s\n' "$table" | tail -n 1)" photos/r.png red
  output=$(printf 'photos/below\n\nphotos/link/c.png\nphotos/r.png\n' | "$predict" --model good/best.safetensors - 2>&1)
  expect "names come from standard input" [ "$output" = "$table" ]
  for folder in "--batch-size 1" "--threads 1" "--batch-size 1000 --threads 3"; do
    # shellcheck disable=SC2086  # options and their values
    run "$predict" --model good/best.safetensors $folder photos
    expect "the same with $folder" [ "$output" = "$table" ]
  done
  run "$predict" --model good/best.safetensors --top 1 photos/r.png
  expect "--top 1 prints one class" [ "$(printf '%s\n' "$output" | grep -o %  | wc -l)" -eq 1 ]
  run "$predict" --model good/best.safetensors --top 9 photos/r.png
  expect "  and no more than there are" [ "$(printf '%s\n' "$output" | grep -o % | wc -l)" -eq 2 ]
  cp photos/r.png text
  run "$predict" --model good/best.safetensors text
  expect "a file that is named may have any name" code_is 0
}

json() {
  make_model
  cp set/red/1.png "$(printf 'a\033[2J\377.png')"
  echo no >no.png
  code=0
  output=$("$predict" --model good/best.safetensors --json set/blue/1.png a* no.png 2>errors) || code=$?
  expect "a file that is no image: 4" code_is 4
  expect "  and a line for each" [ "$(printf '%s\n' "$output" | wc -l)" -eq 3 ]
  expect "  in plain text" is_plain
  expect "  with classes" says '{"file":"set/blue/1.png","classes":[{"class":"blue","probability":'
  expect "  with names escaped" says '{"file":"a\u001b[2J\ufffd.png","classes":[{"class":"red"'
  expect "  with errors" says '{"file":"no.png","error":"no.png: expected a PNG or JPEG image, found neither"}'
  if command -v python3 >/dev/null; then
    expect "  each in JSON" python3 -c 'import json, sys; [json.loads(line) for line in sys.argv[1].splitlines()]' "$output"
  fi
}

damage() {
  local key
  make_model
  mkdir empty
  head -c 60 set/red/1.png >cut.png
  fails 4 "cut.png" "$predict" --model good/best.safetensors cut.png set/red/1.png
  fails 4 "none.png: expected a file that can be read" "$predict" --model good/best.safetensors none.png
  fails 4 "empty: holds no image" "$predict" --model good/best.safetensors empty
  fails 4 '\x1b]0;owned\x07' "$predict" --model good/best.safetensors "$(printf '\033]0;owned\007')"
  expect "  in plain text" is_plain
  code=0
  output=$("$predict" --model good/best.safetensors cut.png none.png set/red/1.png 2>errors) || code=$?
  expect "what can be classified is" is_answer "$output" set/red/1.png red
  output=$(cat errors)
  expect "  and the others are counted" says "predict: 2 of 3 could not be classified"
  fails 5 "none.safetensors" "$predict" --model none.safetensors set/red/1.png
  printf 'PK\003\004\0\0\010\010\0\0\0\0\0\0' >model.pt
  fails 5 "a zip archive, as torch.save writes" "$predict" --model model.pt set/red/1.png
  for key in model num_classes class_names image_shape mean std version; do
    sed "s/\"$key\":/\"${key/[a-z]/X}\":/" good/best.safetensors >damaged.safetensors
    fails 5 "expected $key in the metadata, found none" \
      "$predict" --model damaged.safetensors set/red/1.png
  done
  { head -c -4 good/best.safetensors; printf '\377\377\377\177'; } >nan.safetensors
  fails 5 "finite numbers in classifier.4.bias, found nan" "$predict" --model nan.safetensors set/red/1.png
  if [ -c /dev/full ]; then
    code=0
    output=$("$predict" --model good/best.safetensors set/red/1.png 2>&1 >/dev/full) || code=$?
    expect "a full disk: 5" code_is 5
    expect "  it says so" says "standard output cannot be written: No space left on device"
  fi
  [ -e /dev/nvidiactl ] || fails 3 "--device cpu always can" "$predict" --model good/best.safetensors --device cuda set/red/1.png
}

# grey SIDE FILE: a grey PNG image of this many pixels in each direction, all black; a 1000th of that in bytes.
grey() {
  python3 - "$1" "$2" <<'END'
import struct, sys, zlib
side = int(sys.argv[1])
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
packer = zlib.compressobj(1)
packed = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
with open(sys.argv[2], "wb") as file:
    file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0)) + chunk(b"IDAT", packed) + chunk(b"IEND", b""))
END
}

# An image, and its pixels in red, green and blue: 353 MB.
large() {
  command -v python3 >/dev/null || exit 77
  make_model
  grey 10000 large.png
  fails 4 "large.png: expected an image of 1 to 89478485 pixels, found 10000x10000" \
    timeout 10 "$predict" --model good/best.safetensors large.png
  grey 9400 largest.png
  head -c 20000 largest.png >cut.png
  code=0
  run python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
sys.exit(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 1_000_000)' "$predict" --model good/best.safetensors largest.png
  expect "88 megapixels are classified in less than 1 GB" code_is 0
  expect "  as an image" says "largest.png"
  fails 4 "cut.png: at byte 20000: expected" "$predict" --model good/best.safetensors cut.png
}

# Class names are names of folders, which may hold anything.
names() {
  local tag='<script>alert(1)<\script>&"' colour
  colour=$(printf 'a\033[31m\nb')
  make_model
  mv set/red "set/$tag"
  mv set/blue "set/$colour"
  "$train" --data set --image-size 8 --epochs 60 --lr 0.01 --batch-size 6 --out odd --quiet >/dev/null || exit 1
  run "$predict" --model odd/best.safetensors "set/$tag/1.png" "set/$colour/1.png"
  expect "classes of any name" code_is 0
  expect "  in plain text" is_plain
  expect "  a line for each image" [ "$(printf '%s\n' "$output" | wc -l)" -eq 2 ]
  expect "  as they are, where that is safe" says ' % <script>alert(1)<\script>&"'
  expect "  escaped where not" says ' % a\x1b[31m\x0ab'
  run "$predict" --json --model odd/best.safetensors "set/$tag/1.png"
  expect "  in JSON" says '"class":"<script>alert(1)<\\script>&\""'
  expect "    and there" says '"class":"a\u001b[31m\nb"'
  expect "    in plain text" is_plain
  output=$(cat odd/report.html)
  expect "  in HTML" says '&lt;script&gt;alert(1)&lt;\script&gt;&amp;&quot;'
  expect "    escaped there, too" says 'a\x1b[31m\x0ab'
  expect "    where no script is" [ "$(grep -ci '<script' odd/report.html)" -eq 0 ]
  expect "    and no control character" [ -z "$(tr -d '\040-\176\n\200-\377' <odd/report.html)" ]
}

# is_png FILE: whether it begins as one.
is_png() { [ "$(head -c 8 "$1" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ]; }

heatmap() {
  local plain
  make_model
  mkdir -p photos/below
  cp set/red/1.png photos/a.png
  cp set/blue/1.png photos/below/a.png
  cp set/blue/1.png photos/b.png
  plain=$("$predict" --model good/best.safetensors photos)
  run "$predict" --model good/best.safetensors --heatmap maps/new photos
  expect "the same answers with heat maps" [ "$output" = "$plain" ]
  expect "a file for each image" [ "$(ls maps/new)" = "$(printf 'a-2.png\na.png\nb.png')" ]
  for file in maps/new/*; do expect "  $file" is_png "$file"; done
  run "$predict" --model good/best.safetensors --heatmap again maps/new
  expect "they are images of 256 pixels" [ "$(find again -name "*.png" | wc -l)" -eq 3 ]
  fails 5 "photos: cannot be written: it holds the image photos/a.png" "$predict" --model good/best.safetensors --heatmap photos photos
  expect "  which stays" cmp -s photos/a.png set/red/1.png
  cd photos || exit 1
  fails 5 "it holds the image a.png" "$predict" --model ../good/best.safetensors --heatmap . a.png
  cd ..
  cp photos/a.png text
  fails 5 "text" "$predict" --model good/best.safetensors --heatmap text photos/a.png
  ulimit -f 0
  fails 5 "maps/new/a.png" "$predict" --model good/best.safetensors --heatmap maps/new photos/a.png
}

"$2"
finish
