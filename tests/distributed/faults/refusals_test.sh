#!/usr/bin/env bash
# refusals_test.sh FAULTY_RANK MPI [MPIRUN FLAG]: what is said to a process that a launcher started which its library cannot follow.
# MPI: true or false, whether the library was built with it. FLAG: what stands before MPIRUN's number of processes.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/expect.sh"
program="$1"

run env SLURM_STEP_NUM_TASKS=2 "$program"
expect "srun without MPI is refused" says "srun started 2 processes without MPI"
expect "  with code 3" code_is 3

if [ "$2" = true ]; then
  # Alone it is a run of one, whatever another kind of launcher said.
  other=PMI_SIZE
  if ldd "$program" | grep -q libmpich; then other=OMPI_COMM_WORLD_SIZE; fi
  run env "$other=2" "$program"
  expect "mpirun of another kind is refused" says "started 2 processes, but the MPI that libgpucnn is linked with sees 1"
else
  run env OMPI_COMM_WORLD_SIZE=2 "$program"
  expect "mpirun is refused without MPI" says "this build of libgpucnn has no MPI"
fi
expect "  with code 3" code_is 3
if [ -n "${3:-}" ]; then
  for seconds in -1 1 abc 5x ""; do
    run env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "GPUCNN_RANK_TIMEOUT=$seconds" "$3" "$4" 1 "$program"
    expect "a limit of '$seconds' seconds is refused" says "GPUCNN_RANK_TIMEOUT must be 0 or a number of seconds from 3 to 86400, and is '$seconds'"
  done
fi
run "$program"
expect "without a launcher it is a run of one" ends_with_line "done"
finish
