#!/usr/bin/env bash
# The regulated year of SEEDS seeds against the same year without, by truth and by claim. Writes benches/promise.md and ends with 1 where a ledger does not verify
# or fewer than four claims of energy in five cover the truth. SEEDS=5 MONTHS=12 FIRST=1 are the defaults. With KEEP=DIR each seed's figures stay there, and a seed
# that has some is not played again.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/processes.sh

seeds=${SEEDS:-5} months=${MONTHS:-12} first=${FIRST:-1} keep=${KEEP:-$work/promise}
table=benches/promise.md
mkdir -p "$keep"

all() { seq "$first" $((first + seeds - 1)); }

for seed in $(all); do
  [ -s "$keep/$seed.figures.csv" ] && continue
  TIMEFORMAT='%U %S'
  # A missed promise ends with 3, and so does a ledger that does not hold; the log says which.
  { time "$nengtan" trial --seed "$seed" --months "$months" --regulation on --output csv >"$keep/figures" 2>"$keep/$seed.log" || tail -n 5 "$keep/$seed.log" >&3; } 3>&2 2>"$keep/$seed.cpu"
  mv "$keep/figures" "$keep/$seed.figures.csv"
  echo "promise, seed $seed: $(grep '^energy_calorific' "$keep/$seed.figures.csv")"
done

# figure 1, unit 2, without 3, with 4, saved 5, saved_pct 6, claimed 7, half_width 8, covered 9
rows() {
  for seed in $(all); do
    awk -F, -v seed="$seed" -v cpu="$(awk '{ printf "%.0f", $1 + $2 }' "$keep/$seed.cpu")" \
      -v verified="$(grep -q 'do not hold against the truth' "$keep/$seed.log" && echo NO || echo yes)" \
      '{ saved[$1] = $5; pct[$1] = $6; without[$1] = $3; with[$1] = $4; claimed[$1] = $7; half[$1] = $8; covered[$1] = $9 == "true" ? "yes" : "no" }
      function claim(figure, per) { return sprintf("%.0f ± %.0f of %.0f | %s", claimed[figure] / per, half[figure] / per, saved[figure] / per, covered[figure]) }
      END { printf "| %d | %s | %.2f | %.2f | %.2f | %.2f | %.1f | %.0f → %.0f | %.2g | %s | %s | %d | %d | %s |\n", seed, verified,
        pct["control"] + pct["part_fuel_switch"], pct["control"], pct["carbon_location"], pct["cost_energy"], saved["own_photovoltaics"] / 1e6,
        without["out_of_comfort"], with["out_of_comfort"], saved["goods_lost_at_most"], claim("energy_calorific", 1), claim("carbon_without_photovoltaics", 1000),
        saved["commands_sent"], saved["commands_refused"], cpu }' "$keep/$seed.figures.csv"
  done
}

{
  cat <<END
# The regulated year

Written by \`make soak\` (benches/promise.sh, SEEDS=$seeds MONTHS=$months FIRST=$first) at commit $commit. Each seed's zone plays a baseline year and then $months months
twice, with regulation and the programme and without. Shares are of the run without; promised are 10 % of energy by control and fuel switch, 6 % by control alone, 15 % of carbon,
comfort no worse and no goods lost ([docs/regulation.md](../docs/regulation.md#held-against-the-truth)). Claims are made from the regulated ledger alone; "of" is the truth.

| seed | verified | energy % | control % | carbon % | cost % | own photovoltaics more, GWh | out of comfort, K h | goods lost at most | claimed tce | covered | claimed t CO2e, sun as if bought | covered | commands | refused | CPU s |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
END
  rows
} >"$table"
cat "$table"
! grep -q '| NO |' "$table"
awk -F'|' '/^\| [0-9]/ { n++; covered += $12 ~ /yes/ } END { exit !(covered >= 0.8 * n) }' "$table"
