#!/usr/bin/env bash
# The collector beside Telegraf: the same readings through Mosquitto into InfluxDB 2, with one reading a message and with 20. Prints Markdown.
# Each of the two has broker and server to itself, one after the other, so that neither waits for the other. METERS=2000 READINGS=500000 are the defaults.
# Needs influxd and telegraf on the PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/processes.sh
. benches/influx.sh

meters=${METERS:-2000} readings=${READINGS:-500000}
each=$((readings / meters))
readings=$((each * meters))
zone=$work/zone

ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "$1"; }
# cpu PID: ticks of 10 ms of a process.
cpu() { ticks "/proc/$1/stat"; }
# thread_cpu PID NAME: ticks of its threads of that name.
thread_cpu() {
  local sum=0 task
  for task in /proc/"$1"/task/*/stat; do
    if grep -q "($2)" "$task"; then sum=$((sum + $(ticks "$task"))); fi
  done
  echo "$sum"
}
rss_mib() { awk '/^VmHWM/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status"; }
# per_million TICKS
per_million() { awk "BEGIN { printf \"%.1f\", $1 / 100 / $readings * 1e6 }"; }

fleet_plays() {
  "$fleet" scale --meters "$meters" --duration "$((900 * (each - 1)))" --per-message "$1" --broker "mqtt://127.0.0.1:$port" 2>>"$work/fleet.log"
}
all_there() { [ "$(count_readings)" -ge "$readings" ]; }
sent_all() {
  local metrics
  metrics=$(curl -s "http://127.0.0.1:$http_port/metrics")
  grep -q '^nengtan_influx_backlog_lines 0$' <<<"$metrics" && grep -q '^nengtan_influx_backlog_keys 0$' <<<"$metrics"
}

# measure NAME PID PER_MESSAGE: plays the readings and waits until they are in InfluxDB. Sets spent, broker_spent, influx_spent (ticks), rate and lost.
measure() {
  local from_cpu from_broker from_influx from
  from_cpu=$(cpu "$2") from_broker=$(cpu "$broker") from_influx=$(cpu "$influxd")
  from=$(date +%s%N)
  fleet_plays "$3"
  # What has not come for so long is lost.
  local seen=0 still=0 now
  while [ "$still" -lt 20 ]; do
    now=$(count_readings)
    [ "$now" -lt "$readings" ] || { still=0; break; }
    if [ "$now" -eq "$seen" ]; then still=$((still + 1)); else still=0; fi
    seen=$now
    sleep 0.5
  done
  rate=$(awk "BEGIN { printf \"%.0f\", $(count_readings) / (($(date +%s%N) - $from) / 1e9 - $still * 0.5) }")
  lost=$((readings - $(count_readings)))
  if [ "$1" = nengtan ]; then until_true 120 "the outbox is empty" sent_all; fi
  spent=$(($(cpu "$2") - from_cpu)) broker_spent=$(($(cpu "$broker") - from_broker)) influx_spent=$(($(cpu "$influxd") - from_influx))
}

row() {
  echo "| $1 | $2 | $rate | $(per_million "$spent") | $(per_million "$broker_spent") | $(per_million "$influx_spent") | $3 | $lost |"
}

by_nengtan() {
  start_broker
  start_influx
  http_port=$((port + 1))
  rm -rf "$work/data"
  INFLUX_TOKEN=$token start_collector "$zone" "$work/data" --influx "$influx_url" --org zone --bucket energy --http "127.0.0.1:$http_port"
  local mqtt engine outbox mib commits
  mqtt=$(thread_cpu "$collector" mqtt) engine=$(thread_cpu "$collector" engine) outbox=$(thread_cpu "$collector" outbox)
  measure nengtan "$collector" "$1"
  mqtt=$(($(thread_cpu "$collector" mqtt) - mqtt)) engine=$(($(thread_cpu "$collector" engine) - engine))
  outbox=$(($(thread_cpu "$collector" outbox) - outbox)) mib=$(rss_mib "$collector")
  stop_collector
  commits=$(grep -oE 'commit_cpu_s=[0-9.]+' "$work/collect.log" | tail -n 1 | awk -F= '{ printf "%.0f", $2 * 100 }')
  row "$1" nengtan "$mib"
  parts+=("| $1 | $(per_million "$mqtt") | $(per_million $((engine - commits))) | $(per_million "$commits") | $(per_million "$outbox") |")
  stop_influx
  stop_broker
}

by_telegraf() {
  start_broker
  start_influx
  sed -e "s|@BROKER@|tcp://127.0.0.1:$port|" -e "s|@INFLUX@|$influx_url|" -e "s|@TOKEN@|$token|" benches/telegraf.conf >"$work/telegraf.conf"
  telegraf --config "$work/telegraf.conf" 2>>"$work/telegraf.log" &
  player=$!
  until_true 60 "telegraf is connected" grep -q 'Connected' "$work/telegraf.log"
  measure telegraf "$player" "$1"
  row "$1" Telegraf "$(rss_mib "$player")"
  kill -TERM "$player"
  wait "$player" || true
  player=
  : >"$work/telegraf.log"
  stop_influx
  stop_broker
}

echo "Commit $commit, $(date -u +%F), $(nproc) cores of $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo), load $(cut -d' ' -f1 /proc/loadavg); $meters meters, $readings readings, QoS 1."
echo
echo "| readings a message | by | readings/s | CPU s per million | Mosquitto | InfluxDB | peak RSS MiB | rows lost |"
echo "|---|---|---|---|---|---|---|---|"
# Only writes the zone; no broker is spoken to.
"$fleet" scale --meters "$meters" --duration 0 --write-zone "$zone" --broker mqtt://127.0.0.1:1 2>>"$work/fleet.log"
parts=()
for per_message in 1 20; do
  by_nengtan "$per_message"
  by_telegraf "$per_message"
done
echo
echo "The collector's share, CPU s per million readings:"
echo
echo "| readings a message | MQTT | engine | store | outbox |"
echo "|---|---|---|---|---|"
printf '%s\n' "${parts[@]}"
