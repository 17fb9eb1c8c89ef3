//! Threads with names, so that who looks at the process sees which of its parts uses the processor: `engine` takes readings in and writes the ledger,
//! `outbox` feeds `InfluxDB`, `mqtt` is everything else. Invariant: what a thread ends with reaches whoever waits for it, its death included.

use std::time::Duration;

use tokio::sync::oneshot;

use super::CollectError;

/// What a thread will end with.
pub struct Ending<T>(&'static str, oneshot::Receiver<T>);

impl<T> Ending<T> {
    /// Waits for it; may be given up and called again.
    pub async fn wait(&mut self) -> Result<T, CollectError> {
        (&mut self.1).await.map_err(|_| CollectError::Thread { name: self.0 })
    }
}

/// Runs what blocks on a thread of its own.
pub fn start<T: Send + 'static>(name: &'static str, work: impl FnOnce() -> T + Send + 'static) -> Result<Ending<T>, CollectError> {
    let (tell, told) = oneshot::channel();
    let body = move || {
        // Nobody waits any more when the collector has failed already.
        let _unheard = tell.send(work());
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|cause| CollectError::NoThread { name, cause })?;
    Ok(Ending(name, told))
}

/// The processor's time of the calling thread.
#[must_use]
pub fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).expect("a thread's time is never negative")
}
