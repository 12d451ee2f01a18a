use std::{
    fmt,
    future::{Future, poll_fn},
    net::{Ipv4Addr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    task::{Context, Poll, Waker},
    thread::{self, JoinHandle},
    time::Duration,
};

use ioloop::{Printable, panic_message};

use super::{
    Server,
    acceptor::{self, AcceptorInbox},
    inbox::Inbox,
    worker::{Message, Worker},
};
use crate::{Error, Result, contain::wake_all, netutil::Listener};

/// The threads of a running server; see [`serve`](super::serve). Unlike most of this crate it is `Send` and `Sync`: any
/// thread may stop them. Clones are the same threads. Dropping it stops nothing.
#[derive(Clone)]
pub struct Threads {
    shared: Arc<Shared>,
}

/// What the threads did at their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// Connections that were cut at the deadline.
    pub cut: usize,
}

struct Shared {
    addrs: Vec<SocketAddr>,
    workers: Vec<Worker>,
    acceptor: Option<AcceptorInbox>,
    ends: Mutex<Ends>,
    all_ended: Condvar,
}

#[derive(Default)]
struct Ends {
    running: usize,
    report: Report,
    error: Option<Error>,
    /// Tasks that wait for the last thread's end.
    wakers: Vec<Waker>,
    joins: Vec<JoinHandle<()>>,
}

impl Threads {
    /// The first address; `0.0.0.0:0` when there are Unix sockets alone.
    #[inline]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addrs().first().copied().unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// The addresses that are accepted from, without Unix sockets. They stay when the threads have ended.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.shared.addrs
    }

    /// How many threads serve.
    pub fn count(&self) -> usize {
        self.shared.workers.len()
    }

    /// Tells the threads to end, and returns at once. Each drains its server, which has `limit` for that, and then drops what
    /// its loop has left. Does nothing the second time.
    #[inline]
    pub fn stop(&self, limit: Duration) {
        match &self.shared.acceptor {
            // Which tells the others, when it has handed over what waits.
            Some(acceptor) if acceptor.send(limit).is_ok() => {}
            _ => self.stop_workers(limit),
        }
    }

    /// Waits until all threads have ended, however that comes about. Blocks, on one of the threads themselves for ever: in a
    /// task use [`drain`](Threads::drain).
    ///
    /// # Errors
    ///
    /// The first thread that has failed: [`Error::ThreadPanicked`], or [`Error::Loop`] when somebody has stopped its loop.
    /// It has been logged when it happened, and the other threads have gone on.
    #[inline]
    pub fn join(&self) -> Result<Report> {
        let joins = {
            let mut ends = self.shared.lock();
            while ends.running > 0 {
                ends = self.shared.all_ended.wait(ends).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::take(&mut ends.joins)
        };
        // They have reported their end; this is for the little that comes after. A panic there has no one to be told.
        joins.into_iter().for_each(|thread| drop(thread.join()));
        self.shared.lock().outcome()
    }

    /// Tells the threads to end, as [`stop`](Threads::stop) does, and waits in a task of the current loop until they have.
    ///
    /// # Errors
    ///
    /// As [`join`](Threads::join).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not call them back.
    #[must_use = "futures do nothing unless awaited"]
    pub fn drain(&self, limit: Duration) -> impl Future<Output = Result<Report>> + use<> {
        let threads = self.clone();
        async move {
            threads.stop(limit);
            poll_fn(|cx| threads.shared.poll_ended(cx)).await
        }
    }

    #[inline]
    fn stop_workers(&self, limit: Duration) {
        for worker in &self.shared.workers {
            // One that has ended needs no word.
            let _ = worker.inbox.send(Message::Stop(limit));
        }
    }
}

impl fmt::Debug for Threads {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads")
            .field("local_addrs", &self.shared.addrs)
            .field("count", &self.count())
            .field("running", &self.shared.lock().running)
            .finish_non_exhaustive()
    }
}

/// Starts a thread for each set of sockets, and one that accepts from `shared_sockets` if there are any. Returns when all
/// accept.
pub(super) fn start<S: Server>(
    sockets: Vec<Vec<Listener>>,
    addrs: Vec<SocketAddr>,
    setup: Arc<dyn Fn() -> Result<S> + Send + Sync>,
    shared_sockets: Option<Vec<Listener>>,
) -> Result<Threads> {
    let workers: Vec<Worker> = sockets.iter().map(|_| Worker::new()).collect();
    let acceptor = shared_sockets.map(|sockets| (sockets, AcceptorInbox::new(Inbox::new())));
    let shared = Arc::new(Shared {
        addrs,
        workers: workers.clone(),
        acceptor: acceptor.as_ref().map(|(_, inbox)| Arc::clone(inbox)),
        ends: Mutex::default(),
        all_ended: Condvar::new(),
    });
    let threads = Threads { shared };
    let (ready, started) = mpsc::channel();
    for (index, (sockets, worker)) in sockets.into_iter().zip(&workers).enumerate() {
        let (worker, setup) = (worker.clone(), Arc::clone(&setup));
        let work = move |ready: &mut dyn FnMut()| worker.run(sockets, &*setup, ready);
        threads.spawn(format!("worker-{index}"), ready.clone(), work)?;
    }
    threads.wait_for_start(workers.len(), &started)?;
    if let Some((sockets, inbox)) = acceptor {
        // Last, so that a worker which could not be set up has taken no connection.
        let work = move |ready: &mut dyn FnMut()| acceptor::run(sockets, workers, &inbox, ready).map(|()| 0);
        threads.spawn("acceptor".to_owned(), ready, work)?;
        threads.wait_for_start(1, &started)?;
    }
    Ok(threads)
}

/// What a thread says when it is ready, or has failed before that.
type Started = Result<()>;

impl Threads {
    /// Starts a thread that does `work`, which calls what it is given when it is ready. On an error all others are ended.
    fn spawn(
        &self,
        name: String,
        ready: Sender<Started>,
        work: impl FnOnce(&mut dyn FnMut()) -> Result<usize> + Send + 'static,
    ) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        self.shared.lock().running += 1;
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            let mut announced = false;
            let mut announce = || {
                announced = true;
                // Nobody listens when another thread has failed.
                let _ = ready.send(Ok(()));
            };
            // Nothing of what may be broken by the panic is looked at again.
            let result = catch_unwind(AssertUnwindSafe(|| work(&mut announce))).unwrap_or_else(|panic| {
                Err(Error::ThreadPanicked { thread: name.clone(), message: panic_message(&*panic).to_owned() })
            });
            if let Err(error) = &result {
                match announced {
                    true => log::error!("thread {name} has ended: {}", Printable::display(error)),
                    // Told to the caller instead.
                    false => drop(ready.send(Err(error.clone()))),
                }
            }
            shared.end(result);
        });
        match thread {
            Ok(thread) => self.shared.lock().joins.push(thread),
            Err(error) => {
                self.shared.lock().running -= 1;
                return Err(self.abandon(error.into()));
            }
        }
        Ok(())
    }

    /// Each thread says once how it has started.
    #[inline]
    fn wait_for_start(&self, count: usize, started: &Receiver<Started>) -> Result<()> {
        match started.iter().take(count).find_map(Result::err) {
            Some(error) => Err(self.abandon(error)),
            None => Ok(()),
        }
    }

    /// Ends what was started.
    #[inline]
    fn abandon(&self, error: Error) -> Error {
        self.stop_workers(Duration::ZERO);
        // The error is known.
        let _ = self.join();
        error
    }
}

impl Shared {
    #[inline]
    fn lock(&self) -> MutexGuard<'_, Ends> {
        // Nothing that can panic runs under the lock.
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn end(&self, result: Result<usize>) {
        let wakers = {
            let mut ends = self.lock();
            ends.running -= 1;
            match result {
                Ok(cut) => ends.report.cut += cut,
                Err(error) => drop(ends.error.get_or_insert(error)),
            }
            if ends.running > 0 {
                return;
            }
            std::mem::take(&mut ends.wakers)
        };
        self.all_ended.notify_all();
        wake_all(wakers);
    }

    #[inline]
    fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<Result<Report>> {
        // Cloned and dropped outside of the lock.
        let waker = cx.waker().clone();
        let mut ends = self.lock();
        if ends.running == 0 {
            return Poll::Ready(ends.outcome());
        }
        // Each task once: one that does other work beside waiting is polled many times.
        if ends.wakers.iter().all(|known| !known.will_wake(&waker)) {
            ends.wakers.push(waker);
        }
        Poll::Pending
    }
}

impl Ends {
    #[inline]
    fn outcome(&self) -> Result<Report> {
        self.error.clone().map_or(Ok(self.report), Err)
    }
}
