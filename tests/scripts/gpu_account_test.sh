#!/usr/bin/env bash
# benchmarks/gpu_account.py: its nodes are those of benchmarks/step_nodes.txt, and a profile that was made up is read as it should.
set -eu
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "$0")/expect.sh"
if ! command -v python3 >/dev/null; then
  printf 'skipped: needs python3\n'
  exit 77
fi
export PYTHONDONTWRITEBYTECODE=1
account() { run python3 "$root/benchmarks/gpu_account.py" "$@"; }
nodes="$root/benchmarks/step_nodes.txt"

account --check "$nodes"
expect "the account has the nodes of a captured step" code_is 0
expect "and tells how many" says "the nodes are those of the account: "
grep -v '^tf32 linear_head$' "$nodes" >"$scratch/fewer"
account --check "$scratch/fewer"
expect "another list is an error" code_is 1
expect "with the first node that differs" says "of a step in tf32 is linear_backward_slices in $scratch/fewer, and linear_head in the account"

account
expect "it prints every precision and size" test "$(grep -cE '^(bf16|tf32|fp32), batch (4|128|1024|4096), H100' <<<"$output")" = 12
account --gpu h200 --precision fp32 --batch 1024
expect "of another GPU" says "fp32, batch 1024, H200"
# 1024 images of 3072 bytes, 3072 + 4096 floats and a byte for each winner, and 448 weights.
expect "bytes are those of the tensors" grep -qE '^ +1 conv2d_relu_pool_gathers +gather, conv1 to pool1 +36\.70 +906\.0 ' <<<"$output"

# Six steps 100 µs apart, each node 2 µs, and in the second a kernel that is no node.
python3 - "$nodes" >"$scratch/profile.csv" <<'END'
import sys
nodes = [l.split(" ", 1)[1] for l in open(sys.argv[1]).read().splitlines() if l.startswith("bf16 ")]
print("Processing [x.sqlite] with [cuda_gpu_trace.py]...\nStart (ns),Duration (ns),CorrId,Name")
for step in range(7):
    at = step * 100_000
    for node in nodes + (["memcpy"] if step == 1 else []):
        print(f'{at},2000,1,"void gpucnn::{node}_kernel<float, 4>(int)"')
        at += 2000
END
account --precision bf16 --batch 128 --profile "$scratch/profile.csv"
expect "a profile stands beside the account" code_is 0
expect "each node has its time" test "$(grep -cE '^ +[0-9]+ [a-z].* 2\.0$' <<<"$output")" = 8
expect "a step's time is known" says "from step to step: 100.0, of which "
head -12 "$scratch/profile.csv" >"$scratch/short.csv"
account --precision fp32 --batch 128 --profile "$scratch/short.csv"
expect "a profile of too few steps is an error" code_is 1
expect "in a sentence" says "the profile has 0 steps with the 8 kernels that the account has; 3 are needed"
account --profile "$scratch/profile.csv"
expect "a profile of which nobody knows the size is a wrong call" code_is 2

finish
