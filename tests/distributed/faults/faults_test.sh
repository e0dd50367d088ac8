#!/usr/bin/env bash
# faults_test.sh MPIEXEC NUMPROC_FLAG FAULTY_RANK: what a run of three ranks comes to when one of them fails. KILLS=N kills N times more.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/expect.sh"
mpiexec="$1"
flag="$2"
program="$3"
# shellcheck source=tests/distributed/faults/killed.sh
. "$(dirname "${BASH_SOURCE[0]}")/killed.sh"
export GPUCNN_RANK_TIMEOUT=4 # a fifth of the default

# fault NAME RANK: runs it; $took is how many seconds that takes.
fault() {
  local start=$SECONDS
  run timeout 60 "$mpiexec" "$flag" 3 "$program" "$@"
  took=$((SECONDS - start))
}
fails() { [ "$code" -ne 0 ] && [ "$code" -ne 124 ]; }
names() { [ "$(grep -c '^gpucnn: ' <<<"$output")" = 1 ] && grep -q "^gpucnn: rank $1 (process [0-9]* on .*) $2" <<<"$output"; }
ends_soon() { [ "$took" -le 15 ]; }

fault none -1
expect "ranks that do their part finish" says "done"
expect "  with code 0" code_is 0
fault long_task 1
expect "a long task is waited for" says "done"
fault fit 0
expect "so is what fit calls behind an epoch" says "done"

for rank in 0 2; do
  fault stop "$rank"
  expect "a stopped rank $rank ends the run" fails
  expect "  soon" ends_soon
  expect "  by name" names "$rank" "has not answered"
  fault loop "$rank"
  expect "an endless loop in rank $rank ends it" fails
  expect "  soon" ends_soon
  expect "  by name" names "$rank" "has let"
  fault exit "$rank"
  expect "an early end of rank $rank ends it with that code" code_is 3
  expect "  by name" names "$rank" "has ended"
  fault explain "$rank"
  expect "where the program says why rank $rank ends, the code is that rank's" code_is 5
  expect "  soon" ends_soon
  expect "  and nothing is said twice" [ "$(grep -c '^gpucnn: \|^faulty_rank: ' <<<"$output")" = 1 ]
  fault return "$rank"
  expect "also an early end without an error" fails
  expect "  by name" names "$rank" "has ended"
  fault option "$rank"
  expect "another option of rank $rank ends it" fails
  expect "  by name" says "rank $rank has another option --lr than rank $((rank == 0 ? 1 : 0)): \"0.1\" instead of \"0.2\""
  fault other_call "$rank"
  expect "another call of rank $rank ends it" fails
  expect "  soon" ends_soon
done

for ((kill = 0; kill < ${KILLS:-2}; ++kill)); do
  rank=$((RANDOM % 3))
  fault die $rank $((RANDOM % 200 + 2))
  expect "a killed rank ends the run" fails
  expect "  soon" ends_soon
  expect "  by name, once" is_named_once $rank
done
if pgrep -f "^$program" >/dev/null; then expect "no process is left" false; fi
finish
