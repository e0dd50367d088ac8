# shellcheck shell=bash
# What the tests of the scripts say with. Sourced.

# shellcheck disable=SC2034  # the tests use it
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0
code='' output=''

# run COMMAND...: its exit code is $code, all that it printed is $output.
run() {
  code=0
  output=$("$@" 2>&1 </dev/null) || code=$?
}

# expect WHAT COMMAND...: COMMAND must succeed.
expect() {
  local what="$1"
  shift
  if "$@"; then
    printf 'ok: %s\n' "$what"
  else
    printf 'FAILED: %s\n  code: %s\n  output: %s\n' "$what" "$code" "$output"
    failures=$((failures + 1))
  fi
}

code_is() { [ "$code" = "$1" ]; }
says() { case "$output" in *"$1"*) ;; *) return 1 ;; esac; }
is_silent_on() { ! says "$1"; }
ends_with_line() { [ "$(printf '%s\n' "$output" | tail -n 1)" = "$1" ]; }

finish() {
  [ "$failures" = 0 ] || exit 1
}
