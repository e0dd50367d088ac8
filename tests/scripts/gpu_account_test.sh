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
grep -v '^tf32 bias_grad$' "$nodes" >"$scratch/fewer"
account --check "$scratch/fewer"
expect "another list is an error" code_is 1
expect "with the first node that differs" says "of a step in tf32 is vendor in $scratch/fewer, and bias_grad in the account"

account
expect "it prints every precision and size" test "$(grep -cE '^(bf16|tf32|fp32), batch (4|128|1024|4096), H100' <<<"$output")" = 12
account --gpu h200 --precision fp32 --batch 1024
expect "of another GPU" says "fp32, batch 1024, H200"
# 1024 images of 3072 + 4096 floats and a byte for each winner, and 448 weights.
expect "bytes are those of the tensors" grep -qE '^ +2 conv2d_relu_pool +conv1 to pool1 +33\.56 +906\.0 ' <<<"$output"

# Five steps 100 µs apart, each node 2 µs, with two kernels for each call of a vendor.
python3 - "$nodes" >"$scratch/profile.csv" <<'END'
import sys
nodes = [l.split(" ", 1)[1] for l in open(sys.argv[1]).read().splitlines() if l.startswith("bf16 ")]
print("Processing [x.sqlite] with [cuda_gpu_trace.py]...\nStart (ns),Duration (ns),CorrId,Name")
for step in range(6):
    at = step * 100_000
    for node in nodes:
        last = node == "advance_step_state"
        name = "cutlass::kernel" if node == "vendor" else "gpucnn::advance_kernel" if last else f"gpucnn::{node}"
        for part in range(2 if node == "vendor" else 1):
            print(f'{at},{1000 if node == "vendor" else 2000},1,"void {name}<float, 4>(int)"')
            at += 2000
END
account --precision bf16 --batch 128 --profile "$scratch/profile.csv"
expect "a profile stands beside the account" code_is 0
expect "a vendor's kernels are added up" grep -qE '^ +[0-9]+ vendor +fc1 .* 2\.0$' <<<"$output"
expect "a step's time is known" says "from step to step: 100.0, of which "
account --precision fp32 --batch 128 --profile "$scratch/profile.csv"
expect "a profile of another step is an error" code_is 1
expect "in a sentence" says "the profile has 0 steps with the"
account --profile "$scratch/profile.csv"
expect "a profile of which nobody knows the size is a wrong call" code_is 2

finish
