#!/usr/bin/env bash
# Cost per reading and memory with 10,000, 100,000 and 1,000,000 meters, packed by gateway and in random order, without InfluxDB. Prints Markdown.
# METERS="10000 100000 1000000" READINGS=2000000 PER_MESSAGE=100 are the defaults; each meter reads at least twice.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/processes.sh

per_message=${PER_MESSAGE:-100}

cpu() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }
has_all() { [ "$(number "$data" "SELECT COALESCE(SUM(count), 0) FROM count_row WHERE name = 'readings'")" -ge "$readings" ]; }

# measure METERS ORDER [FLAG]: prints a row.
measure() {
  local zone=$work/zone-$1 from gateways=$(($1 / 1000))
  data=$work/data
  local each=$((${READINGS:-2000000} / $1))
  [ "$each" -ge 2 ] || each=2
  readings=$((each * $1))
  port=
  start_broker
  local flags=(--meters "$1" --gateways "$gateways" --per-message "$per_message" --broker "mqtt://127.0.0.1:$port")
  [ -d "$zone" ] || "$fleet" scale "${flags[@]}" --duration 0 --write-zone "$zone" 2>>"$work/fleet.log"
  rm -rf "$data"
  start_collector "$zone" "$data"
  from=$(cpu "$collector")
  "$fleet" scale "${flags[@]}" --duration $((900 * (each - 1))) "${@:3}" 2>>"$work/fleet.log"
  until_true 3600 "all readings are stored" has_all
  local spent=$(($(cpu "$collector") - from)) kib
  kib=$(awk '/^VmRSS/ { print $2 }' "/proc/$collector/status")
  echo "| $1 | $2 | $readings | $(awk "BEGIN { printf \"%.2f\", $spent / 100 / $readings * 1e6 }") | $((kib / 1024)) | $((kib * 1024 / $1)) |"
  stop_collector
  stop_broker
}

echo "Commit $commit, $(date -u +%F), $(nproc) cores of $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo), load $(cut -d' ' -f1 /proc/loadavg); QoS 1, $per_message readings a message."
echo
echo "| meters | order | readings | CPU s per million | RSS MiB | bytes per meter, all told |"
echo "|---|---|---|---|---|---|"
for meters in ${METERS:-10000 100000 1000000}; do
  measure "$meters" "by gateway"
  measure "$meters" random --random-order
  rm -rf "$work/zone-$meters"
done
