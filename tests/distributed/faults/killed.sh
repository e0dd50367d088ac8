# shellcheck shell=bash
# What is said of a rank that was killed. Sourced behind expect.sh; $program is the rank's.

# is_named_once RANK: by another rank, or by Open MPI's launcher if that was faster. MPICH's launcher tells its process and machine.
is_named_once() {
  local ours right
  # shellcheck disable=SC2154  # of expect.sh
  ours=$(grep -c '^gpucnn: ' <<<"$output")
  right=$(grep -c "^gpucnn: rank $1 (process [0-9]* on .*) has died" <<<"$output")
  [ "$ours" = "$right" ] || return 1
  case $ours in
    0) grep -q "process rank $1 with PID" <<<"$output" || ldd "${program:?}" | grep -q libmpich ;;
    1) ;;
    *) return 1 ;;
  esac
}
