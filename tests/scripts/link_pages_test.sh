#!/usr/bin/env bash
# docs/tools/link_pages.py: links between the pages of the site.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
command -v python3 >/dev/null || exit 77
cd "$scratch" || exit 1

# page FILE HTML: a page as Doxygen writes it.
page() { printf '<html><body>%s</body></html>\n' "$2" >"site/$1"; }
link() { run python3 "$root/docs/tools/link_pages.py" site repository; }
has() { grep -qF -- "$2" "site/$1"; }

mkdir -p site repository/docs repository/samples
touch repository/README.md repository/docs/gpu.md repository/samples/a.cpp
page md_docs_gpu.html '<h2><a class="anchor" id="autotoc_md7"></a>
What it <em>takes</em>, in ms</h2><p><a href="../README.md">home</a> <a href="../samples/a.cpp">a sample</a></p>'
page index.html '<p><a href="docs/gpu.md#what-it-takes-in-ms">GPUs</a> <a href="https://example.org/gpu.md">elsewhere</a></p>'
link
expect "leads links" code_is 0
expect "  to a heading of another page" has index.html '<a href="md_docs_gpu.html#autotoc_md7">GPUs</a>'
expect "  to the first page" has md_docs_gpu.html '<a href="index.html">home</a>'
expect "  a file that is no page stays as text" has md_docs_gpu.html ' a sample</p>'
expect "  those to other sites stay" has index.html '<a href="https://example.org/gpu.md">elsewhere</a>'
page index.html '<p><a href="docs/gpu.md#nothing">GPUs</a></p>'
link
expect "a heading that is not there is an error" code_is 1
expect "  with its page" says "README.md: docs/gpu.md#nothing is no heading there"
page index.html '<p><a href="docs/none.md">none</a><img src="none.png"/><a href="#none">here</a></p>'
link
expect "files that are not there are errors" code_is 1
expect "  pages" says "index.html: docs/none.md is not there"
expect "  pictures" says "index.html: none.png is not there"
expect "  places" says "index.html: #none has no such place"

finish
