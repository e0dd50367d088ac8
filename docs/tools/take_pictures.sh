#!/usr/bin/env bash
# docs/tools/take_pictures.sh BUILD CIFAR10: makes the pictures of a run in docs/pictures anew. Trains SimpleCNN on CIFAR-10 for ten
# epochs in a terminal that is recorded, and photographs its report: for a desk and a phone, light and dark. Wants chromium, pngquant
# and python3, and a machine that does nothing else.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
pictures="$here/../pictures"
build=$(cd "$1" && pwd -P) data=$(cd "$2" && pwd -P)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
ln -s "$data" cifar-10

python3 "$here/record_terminal.py" --out "$pictures/train.svg" --title "SimpleCNN learns CIFAR-10 in ten epochs" \
  --shown "scripts/train --data cifar-10 --out runs/cifar" -- "$build/samples/train_cifar" --data cifar-10 --out runs/cifar

# photograph NAME WIDTH HEIGHT SCHEME: the top of the report. A window has a least width, so a frame has the phone's.
photograph() {
  printf '<!DOCTYPE html><meta name="color-scheme" content="light dark"><style>body{margin:0}iframe{border:0;display:block;width:%spx;height:%spx}
</style><iframe src="runs/cifar/report.html" scrolling="no"></iframe>' "$2" "$3" >frame.html
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --allow-file-access-from-files \
    --blink-settings="preferredColorScheme=$4" --window-size="$2,$3" --screenshot="$1.png" "file://$PWD/frame.html" 2>/dev/null
  pngquant --force --strip --speed 1 --output "$pictures/$1.png" 128 "$1.png"
}
for scheme in 0:dark 1:light; do
  photograph "report-desk-${scheme#*:}" 1120 1830 "${scheme%:*}"
  photograph "report-phone-${scheme#*:}" 390 1700 "${scheme%:*}"
done
ls -l "$pictures"
