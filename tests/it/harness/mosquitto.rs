//! A real Mosquitto with the configuration that we ship, on a free port.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Process, SOON, folder, path, repository, until};

/// Where Debian puts it; not on the PATH of everyone.
const SBIN: &str = "/usr/sbin/mosquitto";

pub struct Mosquitto {
    folder: tempfile::TempDir,
    configuration: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Mosquitto {
    /// As shipped, but for the port and the folder.
    pub fn start() -> Mosquitto {
        Mosquitto::with(|shipped| shipped)
    }

    /// Takes payloads of any size, which a broker that is not ours may.
    pub fn without_size_limit() -> Mosquitto {
        Mosquitto::with(|shipped| shipped.lines().filter(|line| !line.starts_with("message_size_limit")).collect::<Vec<_>>().join("\n"))
    }

    /// With Mosquitto's own defaults.
    pub fn by_default() -> Mosquitto {
        Mosquitto::with(|shipped| {
            let listener = shipped.lines().find(|line| line.starts_with("listener ")).unwrap().to_owned();
            format!("{listener}\nallow_anonymous true\nlog_dest stderr\n")
        })
    }

    /// As shipped, but it saves its sessions only at a good end, so that a kill loses all of them.
    pub fn forgetful() -> Mosquitto {
        Mosquitto::with(|shipped| replaced(&shipped, "autosave_interval", "autosave_interval 0"))
    }

    fn with(change: impl FnOnce(String) -> String) -> Mosquitto {
        let folder = folder();
        let port = free_port();
        let shipped = std::fs::read_to_string(repository("deploy/mosquitto/nengtan.conf")).unwrap();
        let text = replaced(&shipped, "listener", &format!("listener {port} 127.0.0.1"));
        let text = change(replaced(&text, "persistence_location", &format!("persistence_location {}/", path(folder.path()))));
        Mosquitto::of(folder, port, text)
    }

    /// The shipped configuration with TLS and users, for a zone whose gateways have `names`; credentials are made by the shipped script, with
    /// `environment`.
    pub fn secured(zone: &str, names: &[&str], environment: &[(&str, &str)]) -> Mosquitto {
        let folder = folder();
        let mut script = Command::new(repository("deploy/mosquitto/make-credentials.sh"));
        script.arg(folder.path()).args([zone, "localhost"]).args(names).envs(environment.iter().copied());
        let made = script.output().unwrap();
        assert!(made.status.success(), "{}", super::text(&made.stderr));
        let (port, by_certificate) = (free_port(), free_port());
        let shipped = std::fs::read_to_string(repository("deploy/mosquitto/nengtan-tls.conf")).unwrap();
        let text = replaced(&shipped, "persistence_location", &format!("persistence_location {}/", path(folder.path())));
        let text = text.replace("/etc/mosquitto/nengtan/", &format!("{}/", path(folder.path())));
        let text = text.replace("listener 8883", &format!("listener {port} 127.0.0.1"));
        Mosquitto::of(folder, port, text.replace("listener 8884", &format!("listener {by_certificate} 127.0.0.1")))
    }

    fn of(folder: tempfile::TempDir, port: u16, mut text: String) -> Mosquitto {
        // Started by root it would become the user mosquitto, who may not write here; for others the line means nothing.
        text.push_str("\nuser root\n");
        let configuration = folder.path().join("mosquitto.conf");
        std::fs::write(&configuration, text).unwrap();
        let mut broker = Mosquitto { folder, configuration, port, process: None };
        broker.start_again();
        broker
    }

    /// The folder of its files; the credentials of a secured one lie there, too.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The port where a certificate is asked for.
    pub fn port_by_certificate(&self) -> u16 {
        let text = std::fs::read_to_string(&self.configuration).unwrap();
        let mut ports = text.lines().filter_map(|line| line.strip_prefix("listener ")?.split(' ').next()?.parse().ok());
        ports.next_back().unwrap()
    }

    /// SIGKILL: what it had not saved is gone.
    pub fn kill_9(&mut self) {
        self.process.take().unwrap().kill_9();
    }

    pub fn start_again(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let program = if std::path::Path::new(SBIN).exists() { SBIN } else { "mosquitto" };
        let child = Command::new(program).arg("-c").arg(&self.configuration).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.unwrap_or_else(|error| panic!("mosquitto does not start ({error}); apt-get install mosquitto"));
        let process = self.process.insert(Process(child));
        let (port, log) = (self.port, self.folder.path().join("log"));
        until(SOON, "mosquitto listens", || {
            assert!(!process.has_ended(), "mosquitto ended: {}", std::fs::read_to_string(&log).unwrap());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
    }

    /// SIGTERM, as a restart of the service does; it saves its sessions and queues.
    pub fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("TERM");
        process.wait(SOON, "mosquitto stops");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// A client that dies without a word; the broker publishes its last will.
    pub fn client_with_will(&self, topic: &str, payload: &str) -> Process {
        let port = self.port.to_string();
        let mut command = Command::new("mosquitto_sub");
        command.args(["-p", &port, "-t", "unused/topic", "-i", "will", "--will-topic", topic, "--will-payload", payload]);
        command.args(["--will-qos", "1", "--will-retain"]).stdout(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("mosquitto_sub ({error}); apt-get install mosquitto-clients"));
        let log = self.folder.path().join("log");
        let process = Process(child);
        until(SOON, "the client with a will is connected", || std::fs::read_to_string(&log).unwrap().contains(" as will ").then_some(()));
        process
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The text with the line of `key` replaced; it must be there.
fn replaced(text: &str, key: &str, line: &str) -> String {
    let is_keys = |old: &&str| old.split(' ').next() == Some(key);
    assert_eq!(text.lines().filter(is_keys).count(), 1, "one line of {key} in deploy/mosquitto/nengtan.conf");
    text.lines().map(|old| if is_keys(&old) { line } else { old }).collect::<Vec<_>>().join("\n")
}
