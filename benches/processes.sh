# Parts of soak.sh, memory.sh and telegraf.sh: a broker as shipped on a free port, a collector, and polls with a deadline. Sourced, never run.

work=$(mktemp -d)
nengtan=${CARGO_TARGET_DIR:-target}/release/nengtan
fleet=${CARGO_TARGET_DIR:-target}/release/fleet
collector= broker= player= influxd=

# Ends only what this script has started.
cleanup() {
  for pid in $collector $broker $player $influxd; do
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap cleanup EXIT

# What is measured: the commit, and whether the checkout differs from it.
commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -- src simulators config Cargo.toml Cargo.lock)" ] || commit="$commit and changes"

# until_true SECONDS WHAT COMMAND…: polls until the command succeeds.
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || { echo "not in time: $what" >&2; exit 1; }
    sleep 0.05
  done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

start_broker() {
  if [ -z "${port:-}" ]; then
    port=$((20000 + RANDOM % 20000))
    while listens; do port=$((port + 1)); done
  fi
  mkdir -p "$work/broker"
  sed -e "s/^listener .*/listener $port 127.0.0.1/" -e "s|^persistence_location .*|persistence_location $work/broker/|" \
    deploy/mosquitto/nengtan.conf >"$work/mosquitto.conf"
  echo "user $(id -un)" >>"$work/mosquitto.conf"
  /usr/sbin/mosquitto -c "$work/mosquitto.conf" 2>>"$work/broker.log" &
  broker=$!
  until_true 30 "mosquitto listens" listens
}

stop_broker() {
  kill -TERM "$broker"
  wait "$broker" || true
  broker=
}

is_ready() { grep -q '^ready$' "$work/ready"; }

# start_collector ZONE DATA [FLAG…]
start_collector() {
  local zone=$1 data=$2
  shift 2
  : >"$work/ready"
  "$nengtan" collect --zone "$zone" --data "$data" --broker "mqtt://127.0.0.1:$port" "$@" >"$work/ready" 2>>"$work/collect.log" &
  collector=$!
  until_true 1200 "the collector is ready, see $work/collect.log" is_ready
}

stop_collector() {
  kill -TERM "$collector"
  wait "$collector"
  collector=
}

kill_collector() {
  kill -9 "$collector"
  wait "$collector" 2>/dev/null || true
  collector=
}

# number DATA SQL: a single number from a ledger; 0 while there is none.
number() {
  local seen
  seen=$("$nengtan" query "$2" --data "$1" --output csv 2>/dev/null | tail -n 1)
  [[ $seen =~ ^-?[0-9]+$ ]] && echo "$seen" || echo 0
}
