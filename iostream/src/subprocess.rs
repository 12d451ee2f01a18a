//! Child processes whose standard streams are streams of the loop.

use std::{
    cell::{OnceCell, RefCell},
    fmt,
    future::poll_fn,
    io,
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus, Output},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
};

use ioloop::{IOLoop, JoinHandle, Ready, Source, spawn, sync::Event};
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::{Error, IOStream, Result};

/// A child process on the current loop: its standard streams as [`IOStream`]s, and its exit as a future.
///
/// What the child is, is said by a [`std::process::Command`]: each of `stdin`, `stdout` and `stderr` that is
/// [`Stdio::piped`](std::process::Stdio::piped) becomes a stream. The child inherits no other descriptor, because every
/// one of this crate's, and of std's, is closed on exec.
///
/// A child always leaves the process table, whether anybody waits for it or not: a task of the loop sees to that, and a
/// thread when the loop goes before the child. **Dropping the handle does not end the child.** It goes on, as with std
/// and with Tornado, and notices that its pipes are closed. Call [`kill`](Subprocess::kill) first to end it.
///
/// Needs the feature `subprocess`, and Linux 5.3 or later.
///
/// # Cost
///
/// Starting a process holds the loop up for 0.1 to 0.2 ms: fork and exec, and waiting for exec to succeed. A server that
/// starts many makes them with [`Command::spawn`] in [`run_in_executor`](ioloop::run_in_executor), and takes them over
/// with [`from_child`](Subprocess::from_child). Beside its pipes a child has one more descriptor (pidfd_open(2)) and a
/// task. No signal handler is installed, so other code is free to use SIGCHLD, and any number of loops may have children.
///
/// # Examples
///
/// ```no_run
/// use std::process::{Command, Stdio};
/// use iostream::{IOLoop, Subprocess};
///
/// IOLoop::current().run_sync(async {
///     let mut child = Subprocess::spawn(Command::new("sort").stdin(Stdio::piped()).stdout(Stdio::piped()))?;
///     let stdin = child.stdin.take().expect("it is piped");
///     stdin.write("pear\napple\n").await?;
///     stdin.shutdown_write().await?;
///     let stdout = child.stdout.take().expect("it is piped");
///     assert_eq!(stdout.read_until_close().await?, "apple\npear\n");
///     child.wait_for_exit().await
/// })?;
/// # Ok::<_, iostream::Error>(())
/// ```
pub struct Subprocess {
    /// The writing end of the child's standard input, when it was piped. The child reads its end when every handle of this
    /// has been dropped, or after [`shutdown_write`](IOStream::shutdown_write).
    pub stdin: Option<IOStream>,
    /// The reading end of the child's standard output, when it was piped.
    pub stdout: Option<IOStream>,
    /// The reading end of the child's standard error, when it was piped.
    pub stderr: Option<IOStream>,
    process: Rc<Process>,
}

impl Subprocess {
    /// Starts `command`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it cannot be started (`ENOENT`: there is no such program) or the system has no pidfd (`ENOSYS`,
    /// before Linux 5.3); [`Error::Loop`] when it cannot be watched. Then nothing is left running.
    pub fn spawn(command: &mut Command) -> Result<Subprocess> {
        Subprocess::from_child(command.spawn()?)
    }

    /// Takes over a child that was started elsewhere, such as on another thread. Its piped streams that are still there
    /// become streams.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Subprocess::spawn). The child is killed then.
    pub fn from_child(child: Child) -> Result<Subprocess> {
        let mut child = Reaped::new(child);
        let adopted = Subprocess::adopt(&mut child);
        match adopted {
            Ok(subprocess) => {
                IOLoop::current().spawn_independent(reap(subprocess.process.clone(), child));
                Ok(subprocess)
            }
            Err(error) => {
                child.kill();
                Err(error)
            }
        }
    }

    fn adopt(child: &mut Reaped) -> Result<Subprocess> {
        let child = child.get_mut();
        fn stream(pipe: Option<impl Into<OwnedFd>>) -> Result<Option<IOStream>> {
            pipe.map(IOStream::from_pipe).transpose()
        }
        let process = Process {
            id: child.id(),
            pidfd: RefCell::new(Some(Source::new(open(child)?)?)),
            status: OnceCell::new(),
            exited: Event::new(),
        };
        Ok(Subprocess {
            stdin: stream(child.stdin.take())?,
            stdout: stream(child.stdout.take())?,
            stderr: stream(child.stderr.take())?,
            process: Rc::new(process),
        })
    }

    /// The process id. After the exit it may belong to another process.
    pub fn id(&self) -> u32 {
        self.process.id
    }

    /// How the child has ended, if it has.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.process.status.get().and_then(|status| status.as_ref().ok().copied())
    }

    /// Waits until the child has ended, and returns how. Any number of tasks may wait, and again after the end. The future
    /// does not borrow the handle.
    ///
    /// Its streams are left alone: what it has written can be read afterwards. A child that waits for the end of its
    /// input, or for somebody to read its output, does not end before.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] (`ECHILD`) when other code of this process has waited for the child, or SIGCHLD is ignored.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn wait(&self) -> impl Future<Output = Result<ExitStatus>> + use<> {
        let process = self.process.clone();
        async move {
            process.exited.wait().await;
            match process.status.get() {
                Some(Ok(status)) => Ok(*status),
                Some(Err(error)) => Err(Error::Io(error.clone())),
                None => unreachable!("set before the event"),
            }
        }
    }

    /// [`wait`](Subprocess::wait), with everything but success as an error.
    ///
    /// # Errors
    ///
    /// [`Error::Exit`] when the child has ended with a code other than 0, or by a signal; what `wait` says.
    pub fn wait_for_exit(&self) -> impl Future<Output = Result<()>> + use<> {
        let wait = self.wait();
        async move {
            let status = wait.await?;
            if status.success() { Ok(()) } else { Err(Error::Exit { status }) }
        }
    }

    /// Closes the child's input, reads its output and its errors up to their ends, both at once, and waits until it has
    /// ended. What was written to its input before still reaches it.
    ///
    /// # Errors
    ///
    /// What [`read_until_close`](IOStream::read_until_close) says: [`Error::BufferFull`] when either is more than 1 MiB,
    /// unless [set otherwise](IOStream::set_max_buffer_size). What [`wait`](Subprocess::wait) says. How the child has ended
    /// is no error here.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handle: the child goes on.
    pub async fn output(mut self) -> Result<Output> {
        drop(self.stdin.take());
        let [stdout, stderr] = [self.stdout.take(), self.stderr.take()].map(rest);
        let (stdout, stderr) = (joined(stdout).await?, joined(stderr).await?);
        Ok(Output { status: self.wait().await?, stdout, stderr })
    }

    /// Ends the child by SIGKILL, which it cannot prevent. [`wait`](Subprocess::wait) tells when it has happened.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](Subprocess::send_signal).
    pub fn kill(&self) -> Result<()> {
        self.process.send(Signal::KILL)
    }

    /// Sends a signal by its number: [`signal::SIGTERM`](ioloop::signal::SIGTERM) asks the child to end. Does nothing when
    /// it has ended already; it never reaches another process that has got the same number since.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: `InvalidInput` for a number that is no named signal, `EPERM` when the child belongs to another user by
    /// now.
    pub fn send_signal(&self, signal: i32) -> Result<()> {
        let signal = Signal::from_named_raw(signal);
        let signal = signal.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the number of a signal"))?;
        self.process.send(signal)
    }
}

impl fmt::Debug for Subprocess {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subprocess")
            .field("id", &self.id())
            .field("status", &self.process.status.get())
            .finish_non_exhaustive()
    }
}

/// Reads a stream up to its end, in a task of its own: two pipes must not wait for each other.
fn rest(stream: Option<IOStream>) -> Option<JoinHandle<Result<Vec<u8>>>> {
    stream.map(|stream| spawn(async move { Ok(stream.read_until_close().await?.into()) }))
}

async fn joined(task: Option<JoinHandle<Result<Vec<u8>>>>) -> Result<Vec<u8>> {
    match task {
        // It is not aborted, and what panics in it is a fault of ours.
        Some(task) => task.await.map_err(io::Error::other)?,
        None => Ok(Vec::new()),
    }
}

/// What handle and task know of a child.
struct Process {
    id: u32,
    /// Readable when the child has ended. Until then nobody else can get its number. `None` afterwards.
    pidfd: RefCell<Option<Source<OwnedFd>>>,
    status: OnceCell<Result<ExitStatus, Arc<io::Error>>>,
    exited: Event,
}

impl Process {
    fn send(&self, signal: Signal) -> Result<()> {
        let pidfd = self.pidfd.borrow();
        let Some(pidfd) = pidfd.as_ref() else { return Ok(()) };
        match pidfd_send_signal(pidfd.get_ref(), signal) {
            // It has ended and only waits to be noticed.
            Err(Errno::SRCH) => Ok(()),
            result => Ok(result.map_err(io::Error::from)?),
        }
    }

    fn poll_exit(&self, cx: &mut Context<'_>, child: &mut Reaped) -> Poll<io::Result<ExitStatus>> {
        if let Some(pidfd) = self.pidfd.borrow().as_ref() {
            ready!(pidfd.poll_ready(cx, Ready::READABLE));
        }
        match child.get_mut().try_wait().transpose() {
            Some(result) => Poll::Ready(result),
            // Somebody else, such as a debugger, has to let go of it first, which no edge tells.
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// The task that takes a child out of the process table.
async fn reap(process: Rc<Process>, mut child: Reaped) {
    let status = poll_fn(|cx| process.poll_exit(cx, &mut child)).await;
    child.is_over();
    drop(process.pidfd.take());
    // Set once, here.
    let _ = process.status.set(status.map_err(Arc::new));
    process.exited.set();
}

/// A child that is waited for in any case: when its loop goes before it does, by a thread.
struct Reaped(Option<Child>);

impl Reaped {
    fn new(child: Child) -> Reaped {
        Reaped(Some(child))
    }

    fn get_mut(&mut self) -> &mut Child {
        self.0.as_mut().expect("taken only at the end")
    }

    fn is_over(&mut self) {
        self.0 = None;
    }

    fn kill(&mut self) {
        // Fails when it has ended by itself.
        let _ = self.get_mut().kill();
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        if matches!(child.try_wait(), Ok(None)) {
            // Without a thread it stays in the table until this process ends, which is all that can be done.
            let _ = thread::Builder::new().name("reaper".into()).spawn(move || child.wait());
        }
    }
}

fn open(child: &Child) -> io::Result<OwnedFd> {
    Ok(pidfd_open(Pid::from_child(child), PidfdFlags::NONBLOCK)?)
}
