#!/usr/bin/env bash
# namespaces_test.sh MPIRUN FAULTY_RANK: a rank dies in a run on two machines, which are network namespaces of this one. For root, and
# Open MPI. KILLS=N kills N ranks.
set -u
# shellcheck source=tests/scripts/expect.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/expect.sh"
# shellcheck source=tests/distributed/faults/killed.sh
. "$(dirname "${BASH_SOURCE[0]}")/killed.sh"
mpirun="$1"
program="$2"
one="gpucnn-$$-1" two="gpucnn-$$-2"
skip() {
  echo "SKIPPED: $1"
  exit 77
}
ip netns add "$one" 2>/dev/null || skip "ip makes no network namespaces here"
clean_up() {
  ip netns del "$one"
  ip netns del "$two"
  rm -rf "$scratch"
}
trap clean_up EXIT
ip netns add "$two"
ip link add gpucnn1 netns "$one" type veth peer name gpucnn2 netns "$two" 2>/dev/null || skip "ip makes no link between them here"
ip -n "$one" addr add 10.79.0.1/24 dev gpucnn1
ip -n "$two" addr add 10.79.0.2/24 dev gpucnn2
for end in "$one gpucnn1" "$two gpucnn2"; do
  ip -n "${end% *}" link set "${end#* }" up
  ip -n "${end% *}" link set lo up
done

# In the place of ssh: HOST COMMAND...
cat > "$scratch/agent" <<AGENT
#!/usr/bin/env bash
[ "\$1" = 10.79.0.1 ] && space=$one || space=$two
shift
exec ip netns exec "\$space" unshare --uts bash -c "hostname \$space; \$*"
AGENT
chmod +x "$scratch/agent"

# fault NAME RANK STEPS: in a run of two ranks in each.
fault() {
  local net=10.79.0.0/24 start=$SECONDS
  run timeout 60 ip netns exec "$one" "$mpirun" --mca plm_rsh_agent "$scratch/agent" --mca oob_tcp_if_include $net \
    --mca btl_tcp_if_include $net --mca btl self,tcp --host 10.79.0.1:2,10.79.0.2:2 -np 4 "$program" "$@"
  took=$((SECONDS - start))
}

fault none -1 40
expect "ranks in two namespaces finish" code_is 0
for ((kill = 0; kill < ${KILLS:-2}; ++kill)); do
  rank=$((RANDOM % 4))
  fault die $rank $((RANDOM % 200 + 2))
  expect "a killed rank ends the run" [ "$code" = 137 ]
  expect "  soon" [ "$took" -le 15 ]
  expect "  by name, once" is_named_once $rank
done
finish
