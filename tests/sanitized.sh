#!/usr/bin/env bash
# sanitized.sh PROGRAM ARGUMENT...: runs a sanitized program of GoogleTest's. As a process ends LeakSanitizer stops all of its threads
# to look at them, and now and then crashes doing so ("Tracer caught signal 11"). A program of which all tests passed before that runs
# again, up to twice; nothing else does.
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for _ in 1 2 3; do
  "$@" 2>&1 | tee "$log"
  code=${PIPESTATUS[0]}
  if [ "$code" -eq 0 ] || grep -q '\[  FAILED  \]' "$log" || ! grep -q '\[  PASSED  \]' "$log" ||
    ! grep -q 'LeakSanitizer has encountered a fatal error' "$log"; then
    break
  fi
done
exit "$code"
