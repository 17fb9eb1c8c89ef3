//! A real `InfluxDB` 2 on a free port, with an organisation, a bucket and a token; read back by requests of the tests' own.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Process, SOON, folder, path, skipped, text, until};

pub const ORG: &str = "zone";
pub const BUCKET: &str = "energy";
pub const TOKEN: &str = "token-of-the-tests";

pub struct Influxd {
    folder: tempfile::TempDir,
    program: PathBuf,
    port: u16,
    process: Option<Process>,
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
}

/// The server's program on the PATH. Without it a test says by name that it did not run; where CI is set that is a failure.
pub fn program(test: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join("influxd")).find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "influxd is not on the PATH, and CI is set");
        skipped(test, "influxd is not on the PATH");
    }
    found
}

impl Influxd {
    /// Starts a server that is set up; none where there is no program.
    pub fn start(test: &str) -> Option<Influxd> {
        let program = program(test)?;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut server = Influxd { folder: folder(), program, port, process: None, runtime, http: reqwest::Client::new() };
        server.start_again();
        let setup = serde_json::json!({"username": "test", "password": "test-password", "org": ORG, "bucket": BUCKET, "token": TOKEN});
        let (status, answer) = server.post("/api/v2/setup", "application/json", setup.to_string());
        assert_eq!(status, 201, "{answer}");
        Some(server)
    }

    pub fn start_again(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let within = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(&self.program);
        command.args([
            "--bolt-path",
            path(&within("bolt")),
            "--engine-path",
            path(&within("engine")),
            "--sqlite-path",
            path(&within("sqlite")),
        ]);
        command.args(["--http-bind-address", &format!("127.0.0.1:{}", self.port), "--reporting-disabled", "--log-level", "error"]);
        let child = command.env("HOME", self.folder.path()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.process = Some(Process(child));
        let url = format!("{}/ready", self.url());
        until(SOON, "influxd is ready", || {
            assert!(!self.process.as_mut().unwrap().has_ended(), "influxd ended");
            self.runtime.block_on(async { self.http.get(&url).send().await }).ok().filter(|answer| answer.status().is_success())
        });
    }

    pub fn kill_9(&mut self) {
        self.process.take().unwrap().kill_9();
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The flags that name this server to `collect`, `demo`, `check` and `query`.
    pub fn flags(&self) -> Vec<String> {
        ["--influx", &self.url(), "--org", ORG, "--bucket", BUCKET].map(str::to_owned).to_vec()
    }

    pub fn post(&self, at: &str, kind: &str, body: String) -> (u16, String) {
        let request = self.http.post(format!("{}{at}", self.url())).header("Authorization", format!("Token {TOKEN}"));
        self.runtime.block_on(async {
            let answer = request.header("Content-Type", kind).header("Accept", "application/csv").body(body).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }

    /// Rows of a Flux script, by column.
    pub fn flux(&self, script: &str) -> Vec<BTreeMap<String, String>> {
        let (status, answer) = self.post(&format!("/api/v2/query?org={ORG}"), "application/vnd.flux", script.to_owned());
        assert_eq!(status, 200, "{script}: {answer}");
        let mut rows = Vec::new();
        // Tables stand behind an empty line, each with its own header.
        for table in answer.split("\r\n\r\n").filter(|table| !table.trim().is_empty()) {
            let mut reader = csv::Reader::from_reader(table.trim_start().as_bytes());
            let header = reader.headers().unwrap().clone();
            for record in reader.records() {
                let record = record.unwrap();
                rows.push(header.iter().map(str::to_owned).zip(record.iter().map(str::to_owned)).collect());
            }
        }
        rows
    }

    /// All values of a field: tags as text, milliseconds, value.
    pub fn values(&self, measurement: &str, field: &str, tags: &[&str]) -> BTreeMap<(Vec<String>, i64), f64> {
        self.fields(measurement, field, tags, |text| text.parse().unwrap())
    }

    fn fields<T>(&self, measurement: &str, field: &str, tags: &[&str], read: impl Fn(&str) -> T) -> BTreeMap<(Vec<String>, i64), T> {
        let filter = format!("r._measurement == \"{measurement}\" and r._field == \"{field}\"");
        let script = format!(
            "from(bucket: \"{BUCKET}\") |> range(start: 2000-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z) |> filter(fn: (r) => {filter})"
        );
        let rows = self.flux(&script);
        let value = |row: &BTreeMap<String, String>| {
            let at: jiff::Timestamp = row["_time"].parse().unwrap();
            let tags = tags.iter().map(|tag| row[*tag].clone()).collect();
            ((tags, at.as_millisecond()), read(&row["_value"]))
        };
        let all: BTreeMap<_, _> = rows.iter().map(value).collect();
        assert_eq!(all.len(), rows.len(), "{measurement}.{field}: {tags:?} do not tell its series apart");
        all
    }

    /// All values of a text field, as [`values`](Self::values).
    pub fn texts(&self, measurement: &str, field: &str, tags: &[&str]) -> BTreeMap<(Vec<String>, i64), String> {
        self.fields(measurement, field, tags, str::to_owned)
    }

    /// A token that may read the bucket and nothing else.
    pub fn reading_token(&self) -> String {
        let bucket = self.bucket();
        let may = serde_json::json!([{"action": "read", "resource": {"type": "buckets", "id": bucket["id"]}}]);
        let wanted = serde_json::json!({"orgID": bucket["organizationID"], "permissions": may}).to_string();
        let (status, answer) = self.post("/api/v2/authorizations", "application/json", wanted);
        assert_eq!(status, 201, "{answer}");
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()["token"].as_str().unwrap().to_owned()
    }

    pub fn delete_bucket(&self) {
        let request = self.http.delete(format!("{}/api/v2/buckets/{}", self.url(), self.bucket()["id"]));
        let answer = self.runtime.block_on(request.header("Authorization", format!("Token {TOKEN}")).send()).unwrap();
        assert_eq!(answer.status().as_u16(), 204);
    }

    fn bucket(&self) -> BTreeMap<String, String> {
        self.flux(&format!("buckets() |> filter(fn: (r) => r.name == \"{BUCKET}\")")).remove(0)
    }

    /// Runs `nengtan` with the token in its environment.
    pub fn nengtan(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = super::nengtan(arguments);
        command.args(self.flags()).env("INFLUX_TOKEN", TOKEN).output().unwrap()
    }

    /// As [`nengtan`](Self::nengtan), for what must succeed; gives standard output.
    pub fn told(&self, arguments: &[&str]) -> String {
        let output = self.nengtan(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }
}
