use std::time::Duration;

use crate::process::cpu_count;

/// The limits of a loop's thread pool: [`IOLoop::configure_executor`](crate::IOLoop::configure_executor).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ExecutorOptions {
    pub(super) max_threads: usize,
    pub(super) keep_alive: Duration,
}

impl ExecutorOptions {
    /// Five threads per processor, kept for ten idle seconds.
    pub fn new() -> ExecutorOptions {
        ExecutorOptions { max_threads: cpu_count() * 5, keep_alive: Duration::from_secs(10) }
    }

    /// How many jobs run at the same time. Zero counts as one. Default: five per processor, since most jobs are calls
    /// that wait.
    #[must_use]
    pub fn max_threads(mut self, threads: usize) -> ExecutorOptions {
        self.max_threads = threads.max(1);
        self
    }

    /// How long a thread without work stays. Default: ten seconds.
    #[must_use]
    pub fn keep_alive(mut self, limit: Duration) -> ExecutorOptions {
        self.keep_alive = limit;
        self
    }
}

impl Default for ExecutorOptions {
    fn default() -> ExecutorOptions {
        ExecutorOptions::new()
    }
}
