//! Connections of a driver that blocks.

use std::rc::Rc;

use web::{httpserver::iostream::ioloop::JoinError, run_in_executor, spawn, sync::Queue};

/// Connections that are used by one call at a time, on the threads of the loop's executor.
#[derive(Debug)]
pub struct Pool<C>(Rc<Queue<C>>);

impl<C: Send + 'static> Pool<C> {
    /// A pool of these connections.
    pub fn new(connections: impl IntoIterator<Item = C>) -> Pool<C> {
        let free = Queue::unbounded();
        for connection in connections {
            let _ = free.try_put(connection); // It is never full.
        }
        Pool(Rc::new(free))
    }

    /// Waits for a connection that is free, and calls `work` with it on another thread. The loop goes on meanwhile.
    ///
    /// # Errors
    ///
    /// When `work` panics; the connection is lost then, because nobody knows what state it is in.
    ///
    /// # Cancel safety
    ///
    /// Work that has begun goes on when this future is dropped, and its connection comes back.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut C) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let free = self.0.clone();
        let mut connection = free.get().await;
        // A task, because whoever waits for it may be dropped.
        let call = spawn(async move {
            let (connection, result) = run_in_executor(move || {
                let result = work(&mut connection);
                (connection, result)
            })
            .await?;
            let _ = free.try_put(connection);
            Ok(result)
        });
        call.await?
    }
}

impl<C> Clone for Pool<C> {
    fn clone(&self) -> Pool<C> {
        Pool(self.0.clone())
    }
}
