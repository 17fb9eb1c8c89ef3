//! What the tests stand on: processes that die with their test, polls with a deadline, a publisher that counts acknowledgements.
//!
//! Never asserts anything about the ledger.

pub mod collector;
pub mod copy;
pub mod fleet;
pub mod influxd;
pub mod ledger;
pub mod mosquitto;
pub mod office;
pub mod plant;
pub mod proxy;
pub mod publisher;
pub mod zone;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};
use std::time::{Duration, Instant};

/// For what takes milliseconds: a start, a message. Generous, because two tests may share one core.
pub const SOON: Duration = Duration::from_secs(60);
/// For a run of several simulated days.
pub const LONG: Duration = Duration::from_secs(420);
const POLL: Duration = Duration::from_millis(10);

/// Polls until `found` gives something; panics with `what` after `deadline`.
#[allow(clippy::disallowed_methods, reason = "a deadline needs a clock, and a poll yields between two looks")]
pub fn until<T>(deadline: Duration, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let from = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(from.elapsed() < deadline, "not within {deadline:?}: {what}");
        std::thread::sleep(POLL);
    }
}

/// A child that is killed when its test ends.
pub struct Process(pub Child);

impl Process {
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success(), "kill -{name} failed");
    }

    pub fn kill_9(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    pub fn wait(&mut self, deadline: Duration, what: &str) -> ExitStatus {
        until(deadline, what, || self.0.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; nothing can be done about a kill that fails.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The folder with data that is not part of the repository; a test that needs it says so and is skipped.
pub fn shared(path: &str) -> Option<PathBuf> {
    let found = repository("../shared").join(path);
    found.exists().then_some(found)
}

/// Says on the real standard error, past the test runner's capture, that a test did not run.
#[allow(clippy::explicit_write, reason = "eprintln! is captured")]
pub fn skipped(test: &str, reason: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "test {test} skipped: {reason}").unwrap();
}

/// `nengtan` with arguments, in the repository, with no settings from outside.
pub fn nengtan(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nengtan"));
    command.args(arguments).current_dir(repository("")).env_remove("RUST_LOG").env_remove("NO_COLOR").env_remove("INFLUX_TOKEN");
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("NENGTAN__")) {
        command.env_remove(key);
    }
    command
}

/// Runs `nengtan` to its end.
pub fn run(arguments: &[&str]) -> Output {
    nengtan(arguments).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder that goes with the test; set `NENGTAN_KEEP=1` to look at it afterwards.
pub fn folder() -> tempfile::TempDir {
    let mut folder = tempfile::tempdir().unwrap();
    if std::env::var_os("NENGTAN_KEEP").is_some() {
        folder.disable_cleanup(true);
        eprintln!("kept: {}", folder.path().display());
    }
    folder
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
