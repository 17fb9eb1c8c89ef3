#!/usr/bin/env bash
# Bytes of memory per meter: what a collector holds with 100,000 meters more than with 10,000. Both take in the same number of readings at the same pace, so
# that the cache of the store and the queues are filled alike and the difference is state. The median of RUNS pairs, because what an allocator keeps of
# freed memory differs from run to run. SMALL=10000 LARGE=100000 RUNS=5 READINGS=1000000 RATE=20000 are the defaults.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/processes.sh

runs=${RUNS:-5} small=${SMALL:-10000} large=${LARGE:-100000}

has_all() { [ "$(number "$data" "SELECT COALESCE(SUM(count), 0) FROM count_row WHERE name = 'readings'")" -ge "$wanted" ]; }

# measure METERS: sets kib, the collector's anonymous resident memory once all is stored.
measure() {
  local zone=$work/zone-$1 each=$((${READINGS:-1000000} / $1))
  local flags=(--meters "$1" --gateways $(($1 / 1000)) --per-message 20 --broker "mqtt://127.0.0.1:$port")
  data=$work/data
  wanted=$((each * $1))
  [ -d "$zone" ] || "$fleet" scale "${flags[@]}" --duration 0 --write-zone "$zone" 2>>"$work/fleet.log"
  rm -rf "$data"
  start_collector "$zone" "$data"
  "$fleet" scale "${flags[@]}" --rate "${RATE:-20000}" --duration $((900 * (each - 1))) 2>>"$work/fleet.log"
  until_true 600 "all readings are stored" has_all
  kib=$(awk '/^RssAnon/ { print $2 }' "/proc/$collector/status")
  stop_collector
}

start_broker
for run in $(seq "$runs"); do
  measure "$small"
  kib_small=$kib
  measure "$large"
  bytes=$(((kib - kib_small) * 1024 / (large - small)))
  echo "run $run: $kib_small KiB with $small meters, $kib KiB with $large: $bytes bytes a meter"
  all+=("$bytes")
done
median=$(printf '%s\n' "${all[@]}" | sort -n | sed -n "$(((runs + 1) / 2))p")
echo "memory per meter: $median bytes (median of $runs; goal: at most 1024)"
