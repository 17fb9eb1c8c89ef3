#!/usr/bin/env bash
# Bytes of memory per meter: what a collector holds resident with 100,000 meters more than with 10,000. Both take in the same number of readings, so that the
# cache of the store is filled alike and the difference is state. SMALL= and LARGE= choose other sizes.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/processes.sh

READINGS=2000000

has_all() { [ "$(number "$data" 'SELECT COUNT(*) FROM reading_row')" -ge "$wanted" ]; }

# measure METERS: prints KiB.
measure() {
  local zone=$work/zone-$1
  data=$work/data-$1
  local each=$((READINGS / $1))
  # The last of each meter may still be on its way.
  wanted=$((READINGS - $1))
  "$fleet" scale --meters "$1" --duration 0 --write-zone "$zone" --broker "mqtt://127.0.0.1:$port" 2>>"$work/fleet.log"
  start_collector "$zone" "$data"
  "$fleet" scale --meters "$1" --duration $((900 * each)) --broker "mqtt://127.0.0.1:$port" 2>>"$work/fleet.log"
  until_true 600 "all readings are stored" has_all
  kib=$(awk '/^VmRSS/ { print $2 }' "/proc/$collector/status")
  stop_collector
}

small=${SMALL:-10000} large=${LARGE:-100000}
start_broker
measure "$small"
kib_small=$kib
measure "$large"
echo "RSS with $small meters: $kib_small KiB, with $large: $kib KiB"
echo "memory per meter: $(((kib - kib_small) * 1024 / (large - small))) bytes (goal: at most 1024)"
