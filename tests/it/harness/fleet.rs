//! The simulated fleet as a process of its own. It is another package's binary: `make test` builds it first.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{LONG, Process, repository};

pub struct Fleet {
    process: Process,
    stderr: PathBuf,
}

fn binary() -> PathBuf {
    let found = Path::new(env!("CARGO_BIN_EXE_nengtan")).with_file_name("fleet");
    assert!(found.exists(), "{} is missing; run `cargo build -p nengtan-fleet`, or the tests by `make test`", found.display());
    found
}

impl Fleet {
    /// Starts `fleet` with arguments; what it logs goes to `stderr`.
    pub fn spawn(arguments: &[&str], stderr: &Path) -> Fleet {
        let log = std::fs::File::create(stderr).unwrap();
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(repository("")).env_remove("RUST_LOG").stdout(Stdio::null()).stderr(log);
        Fleet { process: Process(command.spawn().unwrap()), stderr: stderr.to_owned() }
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// Waits for its end, which must be a good one.
    pub fn finish(mut self) {
        let status = self.process.wait(LONG, "the fleet ends");
        assert!(status.success(), "{status}: {}", self.stderr());
    }
}
