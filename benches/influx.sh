# A fresh InfluxDB 2 on a free port, set up with organisation, bucket and token. Sourced after processes.sh, never run.

token=token-of-the-benchmark

start_influx() {
  local folder=$work/influx
  rm -rf "$folder"
  mkdir -p "$folder"
  influx_url=http://127.0.0.1:$((port + 2))
  HOME=$folder influxd --bolt-path "$folder/bolt" --engine-path "$folder/engine" --sqlite-path "$folder/sqlite" --http-bind-address "${influx_url#http://}" \
    --reporting-disabled --log-level error >>"$work/influx.log" 2>&1 &
  influxd=$!
  until_true 60 "influxd is ready" curl -sf -o "$work/ignored" "$influx_url/ready"
  curl -sf -o "$work/ignored" "$influx_url/api/v2/setup" \
    -d '{"username":"bench","password":"bench-password","org":"zone","bucket":"energy","token":"'"$token"'"}'
}

stop_influx() {
  kill -TERM "$influxd"
  wait "$influxd" || true
  influxd=
}

# Readings of the register that the server holds.
count_readings() {
  local script='from(bucket: "energy") |> range(start: 2020-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z)
    |> filter(fn: (r) => r._measurement == "reading" and r._field =~ /active_energy_import_kwh$/) |> count() |> group() |> sum()'
  local seen
  seen=$(curl -sf "$influx_url/api/v2/query?org=zone" -H "Authorization: Token $token" -H "Content-Type: application/vnd.flux" -d "$script" |
    tr -d '\r' | awk -F, 'NR == 2 { print $NF }')
  echo "${seen:-0}"
}
