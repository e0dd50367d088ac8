#!/usr/bin/env bash
# docs/tools/record_terminal.py and docs/tools/speed_chart.py: the pictures of the README.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
command -v python3 >/dev/null || exit 77
cd "$scratch" || exit 1

record() { run python3 "$root/docs/tools/record_terminal.py" --out picture.svg --columns 20 "$@"; }
# is_svg FILE: well-formed XML, with a title and a description.
is_svg() {
  python3 -c 'import sys, xml.etree.ElementTree as tree
svg = "{http://www.w3.org/2000/svg}"
root = tree.parse(sys.argv[1]).getroot()
sys.exit(not (root.tag == svg + "svg" and root.findtext(svg + "title") and root.findtext(svg + "desc")))' "$1"
}
has() { grep -qF -- "$1" picture.svg; }
lacks() { ! has "$1"; }

cat >shows <<'END'
printf 'first <line> & more\n'
printf '\r\033[K 50 %%'; sleep 1; printf '\r\033[K100 %% \303\251\033[1m!\033[0m\n'
printf 'abcdefghijklmnopqrstuvwxyz\n'
END
record --shown 'scripts/train <x>' --title 'A run' -- sh shows
expect "records a command" code_is 0
expect "  as SVG" is_svg picture.svg
expect "  with the prompt" has '$ </tspan>scripts/train &lt;x&gt;</text>'
expect "  escaped" has '>first &lt;line&gt; &amp; more</text>'
expect "  what a line showed before is gone in the end" has '<text class="gone" x="14" y="64"'
expect "    for readers who want no motion, too" has '.gone{visibility:hidden}@media(prefers-reduced-motion:no-preference){text'
expect "  with styles" has '100 % é<tspan class="bold">!</tspan></text>'
expect "  wrapped at the last column" has '>abcdefghijklmnopqrst</text>'
expect "    to the next line" has '>uvwxyz</text>'
expect "  without control characters" lacks $'\033'
expect "  the description has the end" has '100 % é!
abcdefghijklmnopqrst'
record -- sh -c 'printf "\033]0;title\007"'
expect "an unknown sequence is an error" code_is 1
expect "  which names it" says "the terminal does not know"
rm picture.svg
record -- sh -c 'exit 3'
expect "a command that fails has no picture" code_is 1
expect "  says so" says "code 3"
expect "  writes none" [ ! -e picture.svg ]

cell() { printf '{"what": "%s", "batch": %s, "network": "%s", "program": "%s", "median_ms": %s, "ratio": %s}' "$@"; }
table() {
  printf '[%s,%s,%s,%s,%s,%s,%s,%s]' "$(cell train 128 net libgpucnn 2.5 1)" "$(cell train 128 net 'PyTorch eager' 5 2)" \
    "$(cell train 128 net 'PyTorch compiled' 4 1.6)" "$(cell infer 1 net libgpucnn 0.025 1)" "$(cell infer 1 net 'PyTorch eager' 0.1 4)" \
    "$(cell infer 1 net 'ONNX Runtime' 0.02 0.8)" "$(cell infer 1 net dlib 1 40)" "$(cell infer 128 net libgpucnn 1 1)"
}
table >table.json
run python3 "$root/docs/tools/speed_chart.py" table.json --out picture.svg --machine 'Two <cores>'
expect "draws a table" code_is 0
expect "  as SVG" is_svg picture.svg
expect "  in words, with the faster PyTorch" has 'Training step, batch of 128, net: libgpucnn 2.5 ms; PyTorch 0.62.'
expect "  and who is faster than libgpucnn" has 'Prediction, one image, net: libgpucnn 25 µs; PyTorch 0.25, ONNX Runtime 1.25, dlib 0.03.'
# At 118 libgpucnn's bar begins; its length is 200.
expect "  a bar of libgpucnn's speed" has '<rect class="p0" x="118" y="102.0" width="200.0"'
expect "  and of another's" has '<rect class="p1" x="118" y="111.0" width="125.0"'
expect "  without programs that were not measured" lacks 'OpenVINO</text>'
expect "  escaped" has 'Two &lt;cores&gt;'
printf '[%s]' "$(cell train 128 net libgpucnn 2.5 1)" >half.json
run python3 "$root/docs/tools/speed_chart.py" half.json --out none.svg
expect "half a table is refused" code_is 1
expect "  and named" says "half.json: the measurements lack a network"
expect "  without a picture" [ ! -e none.svg ]

finish
