#!/usr/bin/env bash
# scripts/man_page: what a program's --help says, as a manual page.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

cat >"$scratch/program" <<'END'
#!/bin/sh
[ "$1" = --help ] || { echo "some_program 1.2.3"; exit; }
cat <<'HELP'
Does one thing.
Usage: some_program [OPTIONS]

Positionals:
  THING                       What it is done to

Options:
  --data DIR                  A back\slash, the first line
                              .second line
  --threads N=7               CPU threads
  --long-name NAME=x
                              its words

What more there is to say.

Exit codes: 0 done, 2 wrong option
HELP
END
chmod +x "$scratch/program"

# has LINES: the page holds these lines one after the other.
has() {
  case "
$output
" in *"
$1
"*) ;; *) return 1 ;; esac
}

run bash "$root/scripts/man_page" "$scratch/program" gpucnn-program
expect "it succeeds" code_is 0
expect "a title" has '.TH "GPUCNN-PROGRAM" 1 "" "libgpucnn 1.2.3" "User Commands"'
expect "a name and what it does" has 'gpucnn\-program \- does one thing'
expect "arguments" has '.SH ARGUMENTS
.TP
.B THING
What it is done to
.SH OPTIONS'
expect "what stands behind the options" has '.SH NOTES
What more there is to say.
.SH "EXIT STATUS"'
expect "a synopsis under the installed name" has '.B gpucnn\-program [OPTIONS]'
expect "an option and its lines, in which nothing is a request" has '.TP
.B \-\-data DIR
A back\eslash, the first line
\&.second line'
expect "a default of this machine is none of the page" has '.B \-\-threads N=CORES'
expect "a long option, whose words stand below" has 'its words'
expect "the exit codes" has '.SH "EXIT STATUS"
0 done, 2 wrong option'
if command -v groff >/dev/null; then
  printf '%s\n' "$output" >"$scratch/page"
  run groff -man -ww -z "$scratch/page"
  expect "troff has nothing to say about it" [ -z "$output" ]
fi

printf '#!/bin/sh\nexit 3\n' >"$scratch/program"
run bash "$root/scripts/man_page" "$scratch/program" gpucnn-program
expect "a program without --help has no page" code_is 3
run bash "$root/scripts/man_page"
expect "it says how it is called" says usage
finish
