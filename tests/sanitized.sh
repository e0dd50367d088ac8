#!/usr/bin/env bash
# sanitized.sh PROGRAM ARGUMENT...: runs a sanitized program of GoogleTest's. As a process ends LeakSanitizer stops all of its threads
# to look at them, and may crash doing so ("Tracer caught signal 11"). A program of which all tests passed before that runs again
# without a look for leaks, and says so; nothing else does.
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$@" 2>&1 | tee "$log"
code=${PIPESTATUS[0]}
if [ "$code" -ne 0 ] && grep -q '\[  PASSED  \]' "$log" && ! grep -q '\[  FAILED  \]' "$log" &&
  grep -q 'LeakSanitizer has encountered a fatal error' "$log"; then
  echo "sanitized.sh: LeakSanitizer crashed; once more without it"
  ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" "$@"
  code=$?
fi
exit "$code"
