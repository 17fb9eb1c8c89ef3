#!/usr/bin/env bash
# Trials of SEEDS seeds, each a year of savings held against the truth, and all of them pooled against the goals. Writes benches/trial.md.
# SEEDS=10 MONTHS=12 FIRST=1 are the defaults. With KEEP=DIR each seed's figures stay there, and a seed that has some is not played again.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/processes.sh

seeds=${SEEDS:-10} months=${MONTHS:-12} first=${FIRST:-1} keep=${KEEP:-$work/trials}
table=benches/trial.md
mkdir -p "$keep"

for seed in $(seq "$first" $((first + seeds - 1))); do
  [ -s "$keep/$seed.summary.csv" ] && continue
  # A trial that does not hold ends with 3 and still says so in its summary.
  TIMEFORMAT='%U %S'
  { time "$nengtan" trial --seed "$seed" --months "$months" --loads "$keep/$seed.loads.csv" --output csv >"$keep/summary" 2>"$keep/log" || tail -n 5 "$keep/log" >&3; } 3>&2 2>"$keep/$seed.cpu"
  mv "$keep/summary" "$keep/$seed.summary.csv"
  echo "trial $seed: $(tail -n 1 "$keep/$seed.summary.csv")"
done

summaries() { for seed in $(seq "$first" $((first + seeds - 1))); do awk -F, -v cpu="$([ ! -f "$keep/$seed.cpu" ] || awk '{ printf "%.0f", $1 + $2 }' "$keep/$seed.cpu")" "$1" "$keep/$seed.summary.csv"; done; }
cells='NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } function c(name) { return $at[name] }'

# Rows of all seeds, without each file's header and the zone's row.
pooled=$keep/pooled
for seed in $(seq "$first" $((first + seeds - 1))); do tail -n +2 "$keep/$seed.loads.csv" | grep -v ',all,'; done >"$pooled"
# seed 1, entity 2, carrier 3, used 4, true 5, claimed 6, error 7, half width 8, covered 9, significant 10, placebo 11
quantile() { awk -F, -v column="$1" '{ print $column < 0 ? -$column : $column }' "$pooled" | sort -g | awk -v share="$2" '{ v[NR] = $1 } END { n = NR * share; i = int(n); if (i < n) i++; printf "%.2f", v[i] }'; }
share() { awk -F, "$1" "$pooled"; }

{
  cat <<END
# Savings trials

Written by \`make soak\` (benches/trial.sh, SEEDS=$seeds MONTHS=$months FIRST=$first) at commit $commit. Each seed's zone plays a baseline year and then $months months twice, with the
measures of its \`fleet.toml\` and without. Shares are of what was used without measures. A placebo is a load that the measures did not change.

| seed | verified | zone: true % | claimed % | bias % | ± % | covered | loads: median error % | p90 % | coverage % | significant placebos | CPU s |
|---|---|---|---|---|---|---|---|---|---|---|---|
END
  summaries "$cells"' { printf "| %d | %s | %.2f | %.2f | %+.2f | %.2f | %s | %.2f | %.2f | %.1f | %d of %d | %s |\n", c("seed"), c("verified") == "true" ? "yes" : "NO", c("zone_true_pct"), c("zone_claimed_pct"), c("zone_bias_pct"), c("zone_half_width_pct"), c("zone_covered") == "true" ? "yes" : "no", c("median_error_pct"), c("p90_error_pct"), c("coverage_pct"), c("significant_placebos"), c("placebos"), cpu }'
  echo
  echo "| pooled over $(wc -l <"$pooled") loads of $seeds seeds | found | goal |"
  echo "|---|---|---|"
  summaries "$cells"' { print c("zone_bias_pct"), c("zone_half_width_pct") }' |
    awk '{ bias += $1; square += $1 * $1; if (most < $2) most = $2 } END { mean = bias / NR; spread = NR > 1 ? sqrt((square - NR * mean * mean) / (NR - 1) / NR) : 0; printf "| mean bias of the zone, %% | %+.2f (standard error %.2f) | at most ± 0.3 |\n| widest interval of the zone, ± %% | %.2f | at most 1.5 |\n", mean, spread, most }'
  echo "| median error of a load, % | $(quantile 7 0.5) | at most 1 |"
  echo "| 90th percentile of errors, % | $(quantile 7 0.9) | at most 3 |"
  share '{ n += $9 == "true" } END { printf "| coverage of the 90 %% intervals, %% | %.1f | 80 to 98 |\n", 100 * n / NR }'
  echo "| median half width, % | $(quantile 8 0.5) | at most 2.5 |"
  share '$11 == "true" { n++; s += $10 == "true" } END { printf "| significant placebos, %% | %.1f (%d of %d) | at most 10 |\n", 100 * s / n, s, n }'
} >"$table"
cat "$table"
! grep -q '| NO |' "$table"
