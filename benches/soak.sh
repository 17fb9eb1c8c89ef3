#!/usr/bin/env bash
# Harsh months, each held against the truth: SEEDS of `demo`, and as many of three processes with ten kill -9 of the collector and two stops of Mosquitto.
# Writes benches/soak.md. SEEDS=20 DAYS=30 FIRST=1 are the defaults.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/processes.sh

seeds=${SEEDS:-20} days=${DAYS:-30} first=${FIRST:-1}
zone=config/zones/qingdao-hightech
table=benches/soak.md
failed=0
KILLS=10
# The broker is stopped at these elevenths of the run.
STOPS="4 8"
# The live part starts on 2026-01-01 00:00 +08:00.
FROM_MS=1767196800000

cat >"$table" <<END
# Soak

Written by \`make soak\` (SEEDS=$seeds DAYS=$days FIRST=$first) at commit $commit. Harsh faults, full speed; each run is held against the fleet's truth by \`nengtan verify\`.
CPU is user and system time of the run in seconds; with three processes it is that of collector, fleet and broker together.

| run | seed | verified | CPU s | kill -9 | broker stops | alerts |
|---|---|---|---|---|---|---|
END

# row RUN SEED DATA TRUTH CPU KILLS STOPS
row() {
  local verified=yes told alerts
  told=$("$nengtan" verify --data "$3" --truth "$4" --output csv 2>&1) || { verified=NO; failed=$((failed + 1)); echo "$told" >&2; }
  alerts=$(grep -oE 'precision [0-9.]+, recall [0-9.]+' <<<"$told" | head -n 1)
  echo "| $1 | $2 | $verified | $5 | $6 | $7 | ${alerts:-none} |" | tee -a "$table"
}

# Sets spent: user and system seconds of all ended children so far. Not in a subshell, whose children are none.
look_at_times() {
  times >"$work/times"
  spent=$(tail -n 1 "$work/times" | awk '{ for (i = 1; i <= 2; i++) { split($i, part, /[ms]/); sum += 60 * part[1] + part[2] } printf "%.1f", sum }')
}

# since BEFORE: seconds with one decimal.
since() { awk "BEGIN { printf \"%.1f\", $spent - $1 }"; }

one_process() {
  local data=$work/demo-$1 before
  look_at_times
  before=$spent
  "$nengtan" demo --history 0 --days "$days" --faults harsh --speed max --seed "$1" --data "$data" >"$work/demo.out" 2>"$work/demo.log" ||
    { tail -n 5 "$work/demo.log" >&2; }
  look_at_times
  row demo "$1" "$data" "$data/truth.jsonl" "$(since "$before")" 0 0
  rm -rf "$data"
}

has_come() {
  kill -0 "$player" 2>/dev/null || { echo "the fleet ended early: $(tail -n 3 "$work/fleet.log")" >&2; exit 1; }
  [ "$(number "$data" "SELECT value FROM meta WHERE key = 'clock'")" -ge "$1" ]
}

three_processes() {
  data=$work/three-$1
  local truth=$work/three-$1.jsonl step kills=0 stops=0 before
  port=
  look_at_times
  before=$spent
  start_broker
  start_collector "$zone" "$data"
  "$fleet" run --zone "$zone" --broker "mqtt://127.0.0.1:$port" --seed "$1" --faults harsh --speed max --days "$days" --truth "$truth" 2>"$work/fleet.log" &
  player=$!
  for step in $(seq 1 "$KILLS"); do
    until_true 3600 "eleventh $step" has_come $((FROM_MS + step * days * 86400000 / (KILLS + 1)))
    kill_collector
    start_collector "$zone" "$data"
    kills=$((kills + 1))
    if [[ " $STOPS " == *" $step "* ]]; then
      stop_broker
      start_broker
      stops=$((stops + 1))
    fi
  done
  wait "$player" || tail -n 3 "$work/fleet.log" >&2
  player=
  stop_collector
  stop_broker
  look_at_times
  row "three processes" "$1" "$data" "$truth" "$(since "$before")" "$kills" "$stops"
  rm -rf "$data" "$truth" "$work/broker"
}

for seed in $(seq "$first" $((first + seeds - 1))); do one_process "$seed"; done
for seed in $(seq "$first" $((first + seeds - 1))); do three_processes "$seed"; done
echo >>"$table"
echo "$((2 * seeds - failed)) of $((2 * seeds)) verified." | tee -a "$table"
[ "$failed" -eq 0 ]
