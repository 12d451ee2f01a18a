//! A runtime of tokio beside the loop, for libraries that need one.

use std::{future::pending, io, thread};

use tokio::{
    runtime,
    task::{AbortHandle, JoinError},
};

/// A runtime on a thread of its own, which ends with the process.
#[derive(Clone, Debug)]
pub struct SideCar(runtime::Handle);

impl SideCar {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When there is no descriptor or no thread to be had.
    pub fn start() -> io::Result<SideCar> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new().name("side-car".into()).spawn(move || runtime.block_on(pending::<()>()))?;
        Ok(SideCar(handle))
    }

    /// Runs `work` beside the loop, which goes on meanwhile. It is ended when this future is dropped.
    ///
    /// # Errors
    ///
    /// When it panics.
    pub async fn run<T>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, JoinError>
    where
        T: Send + 'static,
    {
        /// Ends the task when it is dropped.
        struct Abort(AbortHandle);

        impl Drop for Abort {
            fn drop(&mut self) {
                self.0.abort();
            }
        }

        let task = self.0.spawn(work);
        let _abort = Abort(task.abort_handle());
        task.await
    }
}
