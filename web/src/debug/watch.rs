//! Files that change, told by inotify(7).

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    rc::{Rc, Weak},
    time::Duration,
};

use httpserver::{
    IOLoop,
    iostream::ioloop::{Interest, TimeoutHandle, Token},
    sync::Condition,
};
use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor},
};

thread_local! {
    /// What templates and static files were opened from. An application and its loop belong to one thread.
    static DIRECTORIES: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

/// Has the pages of applications in debug mode reload when something below `directory` changes. Directories of templates and
/// static files need no call. Counts for applications of this thread that have not been asked for a page yet.
#[inline]
pub fn watch(directory: impl AsRef<Path>) {
    DIRECTORIES.with_borrow_mut(|directories| directories.push(directory.as_ref().to_owned()));
}

/// How long it has to be quiet before pages reload: an editor writes a file in several steps, and a build many files.
const QUIET: Duration = Duration::from_millis(50);

/// What is looked at: a change of content or name.
const INTERESTING: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVE);

/// What has changed, counted.
pub(super) struct Changes {
    inotify: Option<Rc<Inotify>>,
    token: Cell<Option<Token>>,
    watched: RefCell<HashMap<WatchDescriptor, PathBuf>>,
    count: Cell<u64>,
    changed: Condition,
    timer: Cell<Option<TimeoutHandle>>,
}

impl Changes {
    /// Looks at all directories of this thread, on its loop. What cannot be watched is logged.
    #[inline]
    pub(super) fn new() -> Rc<Changes> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC);
        let inotify =
            inotify.inspect_err(|error| log::error!(target: "web", "pages do not reload: inotify: {error}")).ok();
        let changes = Rc::new(Changes {
            inotify: inotify.map(Rc::new),
            token: Cell::new(None),
            watched: RefCell::default(),
            count: Cell::new(0),
            changed: Condition::new(),
            timer: Cell::new(None),
        });
        if let Some(inotify) = &changes.inotify {
            let weak = Rc::downgrade(&changes);
            let added = IOLoop::current().add_handler(Rc::clone(inotify), Interest::READABLE, move |_| read(&weak));
            changes
                .token
                .set(added.inspect_err(|error| log::error!(target: "web", "pages do not reload: {error}")).ok());
        }
        for directory in DIRECTORIES.with_borrow(Clone::clone) {
            changes.watch(&directory);
        }
        changes
    }

    /// Waits for a change beyond the one that is known, and returns the count.
    #[inline]
    pub(super) async fn wait(&self, known: u64) -> u64 {
        while self.count.get() == known {
            self.changed.wait().await;
        }
        self.count.get()
    }

    #[inline]
    pub(super) fn count(&self) -> u64 {
        self.count.get()
    }

    /// Looks at a directory and those below it.
    fn watch(&self, directory: &Path) {
        let Some(inotify) = &self.inotify else { return };
        match inotify.add_watch(directory, INTERESTING | AddWatchFlags::IN_ONLYDIR | AddWatchFlags::IN_DONT_FOLLOW) {
            Ok(descriptor) => drop(self.watched.borrow_mut().insert(descriptor, directory.to_owned())),
            // It has gone again, or is a file.
            Err(Errno::ENOENT | Errno::ENOTDIR) => return,
            Err(error) => return log::error!(target: "web", "changes of {} are not seen: {error}", directory.display()),
        }
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return,
            Err(error) => {
                return log::error!(target: "web", "changes below {} are not seen: {error}", directory.display());
            }
        };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            self.watch(&entry.path());
        }
    }

    fn note(self: &Rc<Self>, events: &[InotifyEvent]) {
        for event in events {
            if event.mask.contains(AddWatchFlags::IN_ISDIR | AddWatchFlags::IN_CREATE)
                || event.mask.contains(AddWatchFlags::IN_ISDIR | AddWatchFlags::IN_MOVED_TO)
            {
                let parent = self.watched.borrow().get(&event.wd).cloned();
                if let (Some(parent), Some(name)) = (parent, &event.name) {
                    self.watch(&parent.join(name));
                }
            }
        }
        let weak = Rc::downgrade(self);
        let timer = IOLoop::current().call_later(QUIET, move || {
            if let Some(changes) = weak.upgrade() {
                changes.count.set(changes.count.get() + 1);
                changes.changed.notify_all();
            }
        });
        if let Some(earlier) = self.timer.replace(Some(timer)) {
            IOLoop::current().remove_timeout(earlier);
        }
    }
}

#[inline]
fn read(changes: &Weak<Changes>) {
    let Some(changes) = changes.upgrade() else { return };
    let Some(inotify) = &changes.inotify else { return };
    match inotify.read_events() {
        Ok(events) => changes.note(&events),
        Err(Errno::EAGAIN | Errno::EINTR) => {}
        Err(error) => {
            log::error!(target: "web", "pages do not reload any more: inotify: {error}");
            changes.stop();
        }
    }
}

impl Changes {
    #[inline]
    fn stop(&self) {
        if let Some(token) = self.token.take() {
            IOLoop::current().remove_handler(token);
        }
    }
}

impl Drop for Changes {
    #[inline]
    fn drop(&mut self) {
        self.stop();
    }
}
