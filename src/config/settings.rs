//! Settings of the collector: `config/nengtan.toml`, then the environment, then flags.
//!
//! The file in the repository is embedded and holds the defaults: no default is written twice.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Config, Environment, File, FileFormat, Value, ValueKind};
use rustls::ClientConfig;

use super::broker::{self, BadFile, Broker, CA_FILE, CERT_FILE, KEY_FILE, Version};
use super::fault::{Fault, joined, quoted};
use super::influx::{Influx, Secret, web_address};
use super::source_text;
use super::toml_table::{TomlFile, line_of_key};
use crate::domain::keep::{History, KEPT_DAYS_MIN, Keep};

const DEFAULTS: &str = include_str!("../../config/nengtan.toml");
const KEYS: [&str; 27] = [
    "zone",
    "data",
    "broker.url",
    "broker.username",
    "broker.password",
    "broker.password_file",
    "broker.ca_file",
    "broker.cert_file",
    "broker.key_file",
    "broker.mqtt",
    "broker.window",
    "batch.messages",
    "batch.ms",
    "batch.pack",
    "keep.readings_days",
    "keep.intervals_days",
    "keep.alerts_days",
    "keep.commands_days",
    "influx.url",
    "influx.org",
    "influx.bucket",
    "influx.token_file",
    "influx.request_s",
    "influx.delay_warn_s",
    "http.listen",
    "log.level",
    "log.format",
];
/// The environment's variable with the token of `InfluxDB`.
const TOKEN_VARIABLE: &str = "INFLUX_TOKEN";
const YES_NO: [&str; 2] = ["yes", "no"];
const LOG_FORMATS: [&str; 2] = ["text", "json"];
const LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
const MQTT_VERSIONS: [&str; 2] = ["3", "5"];
const FROM_FLAG: &str = "the command line";

#[derive(Clone, Debug)]
pub struct Settings {
    /// The zone's folder.
    pub zone: PathBuf,
    /// The folder of the ledger.
    pub data: PathBuf,
    pub broker: Broker,
    pub batch: BatchLimits,
    /// None while no server is named.
    pub influx: Option<Influx>,
    /// Where metrics and health are served; none for nowhere.
    pub http: Option<SocketAddr>,
    pub log_level: String,
    pub log_json: bool,
}

/// When a batch is committed, whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    pub messages: u16,
    pub ms: u16,
    /// What becomes of history between batches.
    pub history: History,
}

impl Settings {
    /// Reads the file, if one is named, over the defaults, then variables named `NENGTAN__…`, then `flags`: pairs of a key such as
    /// `broker.url` and its value.
    pub fn load(file: Option<&Path>, flags: &[(&str, String)]) -> Result<Self, Vec<Fault>> {
        Self::load_from(file, flags, None)
    }

    fn load_from(file: Option<&Path>, flags: &[(&str, String)], environment: Option<HashMap<String, String>>) -> Result<Self, Vec<Fault>> {
        let file_name = file.map_or_else(|| "nengtan.toml".to_owned(), |file| file.display().to_string());
        let text = file
            .map_or(Ok(String::new()), |file| source_text::read_needed(Path::new(""), &file.to_string_lossy()))
            .map_err(|fault| vec![*fault])?;
        let (toml, _) = TomlFile::parse(&file_name, &text);
        if !toml.faults.is_empty() {
            return Err(toml.faults);
        }
        let token = match &environment {
            Some(environment) => environment.get(TOKEN_VARIABLE).cloned(),
            None => std::env::var(TOKEN_VARIABLE).ok(),
        };
        let mut reader = Reader { file_name, text, token, values: HashMap::new(), faults: Vec::new() };
        match merged(&reader.text, flags, environment) {
            Ok(config) => reader.flatten(String::new(), config.cache),
            Err(error) => reader.fault("settings", None, quoted(&error.to_string()), "settings that can be read", "correct them"),
        }
        reader.settings()
    }
}

fn merged(text: &str, flags: &[(&str, String)], environment: Option<HashMap<String, String>>) -> Result<Config, config::ConfigError> {
    let from_environment = Environment::with_prefix("NENGTAN").prefix_separator("__").separator("__").source(environment);
    let mut builder = Config::builder()
        .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(from_environment);
    for (key, value) in flags {
        builder = builder.set_override(*key, Value::new(Some(&FROM_FLAG.to_owned()), value.clone()))?;
    }
    builder.build()
}

struct Reader {
    file_name: String,
    text: String,
    token: Option<String>,
    values: HashMap<String, Value>,
    faults: Vec<Fault>,
}

impl Reader {
    /// Tables as dotted keys; a key that nothing reads is a fault.
    fn flatten(&mut self, path: String, value: Value) {
        let origin = value.origin().map(str::to_owned);
        match value.kind {
            ValueKind::Table(table) if !KEYS.contains(&path.as_str()) => {
                for (key, value) in table {
                    self.flatten(if path.is_empty() { key } else { format!("{path}.{key}") }, value);
                }
            }
            _ if KEYS.contains(&path.as_str()) => {
                self.values.insert(path, value);
            }
            _ => self.fault(&path, origin, "an unknown key".to_owned(), &joined(KEYS), "correct its name or remove it"),
        }
    }

    fn fault(&mut self, key: &str, origin: Option<String>, seen: String, wanted: &str, remedy: &str) {
        let (file, line) = match origin {
            // Values of the file's text carry no origin.
            None => (self.file_name.clone(), line_of_key(&self.text, key)),
            Some(origin) => (origin, None),
        };
        self.faults.push(Fault { file, line, key: key.to_owned(), seen, wanted: wanted.to_owned(), remedy: remedy.to_owned() });
    }

    fn refuse<T>(&mut self, key: &str, wanted: &str, remedy: &str) -> Option<T> {
        let value = self.values.get(key);
        let (origin, seen) =
            (value.and_then(|value| value.origin().map(str::to_owned)), value.map_or("nothing".to_owned(), |v| quoted(&v.to_string())));
        self.fault(key, origin, seen, wanted, remedy);
        None
    }

    fn text(&mut self, key: &str) -> Option<String> {
        let text = self.values.get(key).and_then(|value| value.clone().into_string().ok());
        text.or_else(|| self.refuse(key, "a text", "correct it"))
    }

    fn needed_text(&mut self, key: &str) -> Option<String> {
        let text = self.text(key)?;
        if text.trim().is_empty() { self.refuse(key, "a text", "fill it") } else { Some(text) }
    }

    fn number(&mut self, key: &str, from: u16, to: u16) -> Option<u16> {
        let number = self.values.get(key).and_then(|value| value.clone().into_int().ok()).and_then(|number| u16::try_from(number).ok());
        let number = number.filter(|number| (from..=to).contains(number));
        number.or_else(|| self.refuse(key, &format!("a whole number from {from} to {to}"), "correct it"))
    }

    fn settings(mut self) -> Result<Settings, Vec<Fault>> {
        let zone = self.needed_text("zone").map(PathBuf::from);
        let data = self.needed_text("data").map(PathBuf::from);
        let broker = self.broker();
        let messages = self.number("batch.messages", 1, u16::MAX);
        let ms = self.number("batch.ms", 1, 1_000);
        let history = self.history();
        let level = self.chosen("log.level", &LOG_LEVELS);
        let influx = self.influx();
        let http = self.http();
        let format = self.chosen("log.format", &LOG_FORMATS);
        let settings = (|| {
            Some(Settings {
                zone: zone?,
                data: data?,
                broker: broker?,
                batch: BatchLimits { messages: messages?, ms: ms?, history: history? },
                influx,
                http,
                log_level: level?,
                log_json: format? == "json",
            })
        })();
        self.faults.sort_by(|a, b| (&a.file, a.line, &a.key).cmp(&(&b.file, b.line, &b.key)));
        settings.filter(|_| self.faults.is_empty()).ok_or(self.faults)
    }

    fn history(&mut self) -> Option<History> {
        let pack = self.chosen("batch.pack", &YES_NO)? == "yes";
        let keep = Keep {
            readings: Some(self.days("keep.readings_days")?).filter(|days| *days > 0),
            intervals: Some(self.days("keep.intervals_days")?).filter(|days| *days > 0),
            alerts: Some(self.days("keep.alerts_days")?).filter(|days| *days > 0),
            commands: Some(self.days("keep.commands_days")?).filter(|days| *days > 0),
        };
        let longer = |one: Option<u16>, other: Option<u16>| one.unwrap_or(u16::MAX) >= other.unwrap_or(u16::MAX);
        if keep.readings.is_some() && !pack {
            return self.refuse("keep.readings_days", "0 while batch.pack is \"no\"", "pack history, or keep it");
        }
        if !longer(keep.intervals, keep.readings) {
            return self.refuse(
                "keep.intervals_days",
                "0, or as many days as keep.readings_days or more",
                "keep intervals as long as the readings that they are made of",
            );
        }
        Some(History { pack, keep })
    }

    /// 0: for ever.
    fn days(&mut self, key: &str) -> Option<u16> {
        let days = self.number(key, 0, u16::MAX - 1)?;
        if (1..KEPT_DAYS_MIN).contains(&days) {
            self.refuse(key, &format!("0, or {KEPT_DAYS_MIN} days or more"), "correct it")
        } else {
            Some(days)
        }
    }

    fn chosen(&mut self, key: &str, known: &[&str]) -> Option<String> {
        let text = self.needed_text(key)?;
        if known.contains(&text.as_str()) { Some(text) } else { self.refuse(key, &joined(known), "choose one of them") }
    }

    /// None where no file is named; one that cannot be read is a fault.
    fn secret_file(&mut self, key: &str) -> Option<Secret> {
        let file = self.text(key).filter(|file| !file.is_empty())?;
        match Secret::of_file(Path::new(&file)) {
            Ok(secret) => Some(secret),
            Err(error) => self.refuse(key, "a file that can be read", &format!("correct it ({error})")),
        }
    }

    /// None where no server is named, or what is said of it is at fault.
    fn influx(&mut self) -> Option<Influx> {
        let times = self.number("influx.request_s", 1, 3_600).zip(self.number("influx.delay_warn_s", 1, u16::MAX));
        let url = self.text("influx.url").filter(|url| !url.is_empty())?;
        let url = web_address(&url).or_else(|| self.refuse("influx.url", "http://host:port or https://host", "correct it"));
        let (org, bucket) = (self.needed_text("influx.org"), self.needed_text("influx.bucket"));
        let from_environment = self.token.take().filter(|token| !token.trim().is_empty());
        let token_file = self.text("influx.token_file").filter(|file| !file.is_empty() && from_environment.is_none()).map(PathBuf::from);
        let token = from_environment.map(|token| Secret::new(token.trim().to_owned())).or_else(|| self.secret_file("influx.token_file"));
        let token = token.or_else(|| {
            let remedy = "set INFLUX_TOKEN, or name a file with the token";
            self.refuse("influx.token_file", "a token for the server of influx.url", remedy)
        });
        let (request_s, delay_warn_s) = times?;
        Some(Influx { url: url?, org: org?, bucket: bucket?, token: token?, token_file, request_s, delay_warn_s })
    }

    fn http(&mut self) -> Option<SocketAddr> {
        let listen = self.text("http.listen").filter(|listen| !listen.is_empty())?;
        listen.parse().ok().or_else(|| self.refuse("http.listen", "an address and a port such as 127.0.0.1:9464", "correct it"))
    }

    fn broker(&mut self) -> Option<Broker> {
        /// Fewer cannot be halved into batches.
        const WINDOW_MIN: u16 = 10;
        let address = self.needed_text("broker.url").and_then(|url| {
            broker::address(&url).or_else(|| self.refuse("broker.url", "mqtt://host:port, or mqtts://host:port for TLS", "correct it"))
        });
        let (username, password) = (self.text("broker.username"), self.text("broker.password"));
        let password = self.secret_file("broker.password_file").map(|secret| secret.expose().to_owned()).or(password);
        let window = self.number("broker.window", WINDOW_MIN, u16::MAX);
        let version = self.chosen("broker.mqtt", &MQTT_VERSIONS).map(|version| if version == "3" { Version::V3 } else { Version::V5 });
        let (by_tls, host, port) = address?;
        let files = [CA_FILE, CERT_FILE, KEY_FILE].map(|key| (key, self.text(key).filter(|file| !file.is_empty()).map(PathBuf::from)));
        let tls = if by_tls {
            Some(self.certificates(&files)?)
        } else if let Some((key, _)) = files.iter().find(|(_, file)| file.is_some()) {
            // Whoever names certificates does not want plain TCP.
            return self.refuse(key, "nothing beside a broker.url of mqtt://", "write mqtts:// in broker.url, or empty it");
        } else {
            None
        };
        let login = Some((username?, password?)).filter(|(username, _)| !username.is_empty());
        Some(Broker { host, port, login, tls, version: version?, window: window? })
    }

    /// None where something is at fault.
    fn certificates(&mut self, files: &[(&str, Option<PathBuf>); 3]) -> Option<Arc<ClientConfig>> {
        let [ca, cert, key] = files.each_ref().map(|(_, file)| file.as_deref());
        let own = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return self.refuse(KEY_FILE, "the key of broker.cert_file", "name it"),
            (None, Some(_)) => return self.refuse(CERT_FILE, "the certificate of broker.key_file", "name it"),
        };
        match broker::client(ca, own) {
            Ok(client) => Some(client),
            Err(BadFile { key, wanted, remedy }) => self.refuse(key, wanted, &remedy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, Vec<Fault>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nengtan.toml");
        std::fs::write(&file, text).unwrap();
        let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let flags: Vec<(&str, String)> = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        Settings::load_from(Some(&file), &flags, Some(environment))
    }

    #[test]
    fn the_repositorys_file_is_the_default() {
        let settings = Settings::load_from(None, &[], Some(HashMap::new())).unwrap();
        assert_eq!((settings.broker.host.as_str(), settings.broker.port, settings.broker.window), ("127.0.0.1", 1883, 1000));
        assert_eq!(settings.batch, BatchLimits { messages: 500, ms: 30, history: History { pack: true, ..History::default() } });
        assert_eq!(settings.broker.login, None);
    }

    #[test]
    fn a_flag_comes_before_the_environment_and_that_before_the_file() {
        let text = "zone = \"file\"\ndata = \"file\"\n[log]\nlevel = \"warn\"\n";
        let environment = [("NENGTAN__DATA", "env"), ("NENGTAN__LOG__LEVEL", "debug"), ("NENGTAN__BATCH__MS", "50"), ("OTHER", "x")];
        let settings = load(text, &environment, &[("log.level", "error"), ("broker.url", "mqtt://b:2883")]).unwrap();
        assert_eq!((settings.zone, settings.data, settings.log_level.as_str()), (PathBuf::from("file"), PathBuf::from("env"), "error"));
        assert_eq!((settings.broker.host.as_str(), settings.broker.port, settings.batch.ms), ("b", 2883, 50));
    }

    #[test]
    fn all_faults_are_told_with_key_and_line() {
        let text = "zone = \"\"\n[broker]\nurl = \"http://x\"\nwindow = 5\ncolour = 1\n[batch]\nms = \"soon\"\n";
        let faults = load(text, &[("NENGTAN__LOG__LEVEL", "loud")], &[("batch.messages", "0")]).unwrap_err();
        let mut places: Vec<_> = faults.iter().map(|fault| (fault.line, fault.key.as_str())).collect();
        places.sort_unstable();
        let wanted = [
            (None, "batch.messages"),
            (None, "log.level"),
            (Some(1), "zone"),
            (Some(3), "broker.url"),
            (Some(4), "broker.window"),
            (Some(5), "broker.colour"),
            (Some(7), "batch.ms"),
        ];
        assert_eq!(places, wanted);
    }

    #[test]
    fn intervals_are_kept_as_long_as_readings_and_readings_leave_packed_history_only() {
        let packed = |keep: &str| load(&format!("[batch]\npack = \"yes\"\n[keep]\n{keep}"), &[], &[]);
        let keep = packed("readings_days = 90\nintervals_days = 400\n").unwrap().batch.history.keep;
        assert_eq!(keep, Keep { readings: Some(90), intervals: Some(400), ..Keep::default() });
        for (keep, key) in [
            ("readings_days = 90\nintervals_days = 89\n", "keep.intervals_days"),
            ("intervals_days = 400\n", "keep.intervals_days"),
            ("alerts_days = 6\n", "keep.alerts_days"),
        ] {
            assert_eq!(packed(keep).unwrap_err()[0].key, key, "{keep}");
        }
        assert_eq!(load("[batch]\npack = \"no\"\n[keep]\nreadings_days = 90\n", &[], &[]).unwrap_err()[0].key, "keep.readings_days");
    }

    #[test]
    fn a_named_influxdb_needs_organisation_bucket_and_a_token_from_environment_or_file() {
        let named = "[influx]\nurl = \"http://i:8086/\"\norg = \"o\"\nbucket = \"b\"\n";
        let influx = load(named, &[("INFLUX_TOKEN", " secret ")], &[]).unwrap().influx.unwrap();
        assert_eq!((influx.target().as_str(), influx.token.expose(), influx.token_file), ("http://i:8086 o b", "secret", None));
        assert_eq!((influx.request_s, influx.delay_warn_s), (30, 300));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from-file\n").unwrap();
        let influx = load(named, &[("NENGTAN__INFLUX__TOKEN_FILE", file.path().to_str().unwrap())], &[]).unwrap().influx.unwrap();
        assert_eq!((influx.token.expose(), influx.token_file.as_deref()), ("from-file", Some(file.path())));
        let faults = load("[influx]\nurl = \"i\"\n[http]\nlisten = \"9464\"\n[log]\nformat = \"xml\"\n", &[], &[]).unwrap_err();
        let mut keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["http.listen", "influx.bucket", "influx.org", "influx.token_file", "influx.url", "log.format"]);
    }

    #[test]
    fn a_broken_file_is_told_by_its_line() {
        let faults = load("zone = \"a\"\n[broker\n", &[], &[]).unwrap_err();
        assert_eq!(faults[0].line, Some(2), "{faults:?}");
    }

    #[test]
    fn certificates_are_read_at_the_start_and_never_beside_plain_tcp() {
        let keys = |text: &str| -> Vec<String> {
            let mut keys: Vec<_> = load(text, &[], &[]).unwrap_err().into_iter().map(|fault| fault.key).collect();
            keys.sort_unstable();
            keys
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        let empty = file.path().to_str().unwrap();
        let by = |url: &str, rest: &str| format!("[broker]\nurl = \"{url}\"\n{rest}\n");
        assert_eq!(keys(&by("mqtt://b", "ca_file = \"ca.crt\"")), [CA_FILE]);
        assert_eq!(keys(&by("mqtts://b", "ca_file = \"no/such/file\"")), [CA_FILE]);
        assert_eq!(keys(&by("mqtts://b", &format!("ca_file = \"{empty}\""))), [CA_FILE]);
        assert_eq!(keys(&by("mqtts://b", "cert_file = \"a.crt\"")), [KEY_FILE]);
        assert_eq!(keys(&by("mqtts://b", "key_file = \"a.key\"")), [CERT_FILE]);
        assert_eq!(keys(&by("mqtts://b", "mqtt = 4")), ["broker.mqtt"]);
        assert_eq!(load(&by("mqtt://b", "mqtt = 3"), &[], &[]).unwrap().broker.version, Version::V3);
    }
}
