//! `nengtan collect` as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use super::{Process, SOON, nengtan, path};

/// Lines of standard output that wait for a test.
const LINES_MAX: usize = 1000;

pub struct Collector {
    process: Process,
    lines: Receiver<String>,
    stderr: PathBuf,
}

impl Collector {
    /// Starts it and waits until it is subscribed.
    pub fn start(zone: &Path, data: &Path, url: &str) -> Collector {
        let collector = Collector::spawn(zone, data, url, &[]);
        collector.await_ready();
        collector
    }

    /// Starts it; standard error goes to a file beside the data folder.
    pub fn spawn(zone: &Path, data: &Path, url: &str, more: &[&str]) -> Collector {
        Collector::spawn_with(zone, data, url, more, &[])
    }

    /// As [`spawn`](Self::spawn), with variables of its environment.
    pub fn spawn_with(zone: &Path, data: &Path, url: &str, more: &[&str], environment: &[(&str, &str)]) -> Collector {
        let mut command = nengtan(&["collect", "--zone", path(zone), "--data", path(data), "--broker", url]);
        command.args(more).envs(environment.iter().copied());
        Collector::of(command, data)
    }

    /// As [`spawn`](Self::spawn), but no file may grow beyond `kib`: the nearest thing to a full disk that needs no mount.
    pub fn with_file_limit(zone: &Path, data: &Path, url: &str, kib: u32) -> Collector {
        let mut command = std::process::Command::new("bash");
        // SIGXFSZ is ignored so that the write fails, as it does on a full disk.
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\"");
        command.args(["-c", &script, "bash", env!("CARGO_BIN_EXE_nengtan"), "collect", "--zone", path(zone)]);
        command.args(["--data", path(data), "--broker", url]).current_dir(super::repository(""));
        Collector::of(command, data)
    }

    fn of(mut command: std::process::Command, data: &Path) -> Collector {
        let beside = data.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap();
        let stderr = beside.join(data.file_name().unwrap()).with_extension("stderr");
        let log = std::fs::File::options().create(true).append(true).open(&stderr).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (teller, lines) = sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if teller.send(line).is_err() {
                    return;
                }
            }
        });
        Collector { process: Process(child), lines, stderr }
    }

    pub fn await_ready(&self) {
        match self.lines.recv_timeout(SOON) {
            Ok(line) => assert_eq!(line, "ready"),
            Err(error) => panic!("the collector is not ready ({error}): {}", self.stderr()),
        }
    }

    pub fn kill_9(mut self) {
        self.process.kill_9();
    }

    /// SIGTERM; ends with 0 after a last commit. Gives all that was logged.
    pub fn stop(mut self) -> String {
        self.process.signal("TERM");
        assert_eq!(self.ends(SOON), 0, "{}", self.stderr());
        self.stderr()
    }

    /// Resident memory in KiB, as the kernel says.
    pub fn resident_kib(&self) -> i64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// SIGHUP: read the zone's folder again.
    pub fn hang_up(&self) {
        self.process.signal("HUP");
    }

    /// The exit code.
    pub fn ends(&mut self, deadline: Duration) -> i32 {
        let status = self.process.wait(deadline, "the collector ends");
        status.code().unwrap_or_else(|| panic!("the collector died of a signal: {status}: {}", self.stderr()))
    }

    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// All that was logged so far, by earlier collectors on the folder too.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }
}
