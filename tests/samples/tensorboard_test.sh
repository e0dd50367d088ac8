#!/usr/bin/env bash
# tensorboard_test.sh BUILD PYTHON: what --tensorboard writes, as TensorBoard itself reads it where PYTHON has it.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/expect.sh"
# shellcheck source=tests/samples/programs.sh
. "$(dirname "${BASH_SOURCE[0]}")/programs.sh"

files() { find run -name 'events.out.tfevents.*' | wc -l; }

small run --tensorboard >/dev/null || exit 1
expect "a run writes an event file" [ "$(files)" -eq 1 ]
epochs=3 small run --resume >/dev/null || exit 1
expect "  and another where it goes on" [ "$(files)" -eq 2 ]
# As if it had ended behind epoch 3's events, and before its state.
small again --tensorboard >/dev/null || exit 1
cp again/state.safetensors run/state.safetensors
epochs=4 small run --resume >/dev/null || exit 1
expect "  and a third" [ "$(files)" -eq 3 ]
"$2" -c 'import tensorboard' 2>/dev/null || {
  small run --overwrite --tensorboard >/dev/null
  expect "--overwrite removes those of the run before" [ "$(files)" -eq 1 ]
  [ "$failures" = 0 ] && exit 77
  finish
}
run "$2" "$root/tests/samples/read_events.py" run
expect "TensorBoard reads it" code_is 0
small run --overwrite --tensorboard >/dev/null
expect "--overwrite removes those of the run before" [ "$(files)" -eq 1 ]

finish
