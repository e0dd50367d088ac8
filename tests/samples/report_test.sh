#!/usr/bin/env bash
# report_test.sh BUILD CASE [PYTHON]: holds report.html of a run to what metrics.jsonl says, to a browser where there is one, and to
# axe-core where PYTHON has axe-playwright-python.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/expect.sh"
# shellcheck source=tests/samples/programs.sh
. "$(dirname "${BASH_SOURCE[0]}")/programs.sh"

# field NAME LINE: a number of metrics.jsonl.
field() { sed -n "$2s/.*\"$1\": *\([0-9.e+-]*\).*/\1/p" run/metrics.jsonl; }

# shows TEXT: whether the page has it.
shows() { grep -qF -- "$1" run/report.html; }

percent() { awk -v part="$1" 'BEGIN { printf "%.2f %%", 100 * part }'; }

rows() { grep -o '<tr><th scope="row">[0-9]*</th><td>[0-9.]*</td><td>[0-9.]*</td><td>[0-9.]*</td><td>[0-9.]*</td>' run/report.html; }

numbers() {
  local epoch
  small run >/dev/null || exit 1
  for epoch in 1 2; do
    output=$(awk -v a="$(field train_loss $epoch)" -v b="$(field train_accuracy $epoch)" -v c="$(field test_loss $epoch)" \
      -v d="$(field test_accuracy $epoch)" -v epoch=$epoch 'BEGIN {
        printf "<tr><th scope=\"row\">%d</th><td>%.4f</td><td>%.4f</td><td>%.4f</td><td>%.4f</td>", epoch, a, b, c, d }')
    expect "the numbers of epoch $epoch" shows "$output"
  done
  expect "the last test accuracy" shows "<dt>Test accuracy</dt><dd>$(percent "$(field test_accuracy 2)")</dd>"
  expect "the options" shows '<th scope="row">batch_size</th><td>32</td>'
  expect "under 2 MB" [ "$(wc -c <run/report.html)" -lt 2000000 ]
  epochs=3 small run --resume >/dev/null
  expect "a run that goes on keeps its epochs" [ "$(rows | wc -l)" -eq 3 ]
  expect "  and has a confusion matrix" shows "Confusion matrix"
  rm run/report.html && ln -s /dev/full run/report.html
  epochs=4 small run --resume >/dev/null 2>&1
  code=$?
  expect "a report that cannot be written ends the run with 5" code_is 5
  expect "  behind what the epoch came to" [ "$(wc -l <run/metrics.jsonl)" -eq 4 ]
}

# measured WIDTH SCHEME: the width of the page's content in a frame of so many pixels, and how many errors its console had.
measured() {
  local page
  page=$(sed 's/&/\&amp;/g; s/"/\&quot;/g' run/report.html)
  cat >frame.html <<END
<!DOCTYPE html><html><body><iframe id="frame" style="width:$1px;height:800px;border:0" srcdoc="$page"></iframe><script>
onload = () => { document.title = 'width ' + document.getElementById('frame').contentDocument.documentElement.scrollWidth; };
</script></body></html>
END
  "$browser" --headless --no-sandbox --disable-gpu --enable-logging=stderr --window-size=1400,900 --dump-dom "file://$PWD/frame.html" 2>console |
    sed -n 's/.*<title>width \([0-9]*\)<\/title>.*/\1/p'
}

browser() {
  local browser width
  browser=$(command -v chromium || command -v google-chrome) || exit 77
  small run >/dev/null || exit 1
  for width in 360 1200; do
    output=$(measured $width)
    expect "no wider than $width pixels" [ "${output:-99999}" -le $width ]
    expect "  and no word on the console" [ "$(grep -c CONSOLE console)" -eq 0 ]
  done
}

# What axe-core says against the page, light and dark: an outside word on contrast, names, order and roles.
axe() {
  local browser script scheme
  browser=$(command -v chromium || command -v google-chrome) || exit 77
  script=$("$python" -c 'import importlib.resources as r; print(r.files("axe_playwright_python") / "axe.min.js")' 2>/dev/null) || exit 77
  small run >/dev/null || exit 1
  code=0
  {
    cat run/report.html
    printf '<script>'
    cat "$script"
    printf '</script><script>onload = async () => { const found = await axe.run();
document.title = "axe " + JSON.stringify([found.passes.length > 20, ...found.violations.map(v => [v.id, v.nodes.map(n => n.html)])]); };</script>'
  } >audited.html
  for scheme in 0 1; do # dark, light
    output=$("$browser" --headless --no-sandbox --disable-gpu --blink-settings=preferredColorScheme=$scheme --virtual-time-budget=60000 \
      --dump-dom "file://$PWD/audited.html" 2>/dev/null | sed -n 's/.*<title>\(axe [^<]*\)<.*/\1/p')
    expect "axe-core has nothing against colour scheme $scheme" [ "$output" = 'axe [true]' ]
  done
}

python="${3:-python3}"
"$2"
finish
