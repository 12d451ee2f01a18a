//! Layer: ioloop.
//!
//! Watches a directory by inotify(7) and prints what happens in it. Events that come close together, as when a file is
//! written piece by piece, are printed once, after a moment of quiet. Ctrl-C ends it.
//!
//! ```sh
//! cargo run --release --bin watch_dir -- /tmp
//! ```

use std::{
    cell::RefCell, collections::BTreeMap, env, error::Error, path::PathBuf, process::ExitCode, rc::Rc, time::Duration,
};

use ioloop::{IOLoop, Interest, TimeoutHandle, signal};
use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent},
};

/// How long it has to be quiet before the changes are printed.
const QUIET: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    examples::cli::start_log();
    let directory = env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    examples::cli::exit_code(watch(directory))
}

fn watch(directory: PathBuf) -> Result<(), Box<dyn Error>> {
    let inotify = Rc::new(Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?);
    let interesting = AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_MOVE
        | AddWatchFlags::IN_DELETE_SELF;
    inotify
        .add_watch(&directory, interesting | AddWatchFlags::IN_ONLYDIR)
        .map_err(|errno| format!("watching {}: {}", directory.display(), errno.desc()))?;

    let ioloop = IOLoop::current();
    let changes = Rc::new(Changes::default());
    ioloop.add_handler(inotify.clone(), Interest::READABLE, {
        let changes = changes.clone();
        move |event| match inotify.read_events() {
            Ok(events) => changes.note(&events),
            Err(Errno::EAGAIN) => {}
            Err(errno) => {
                log::error!("reading events: {errno}");
                IOLoop::current().remove_handler(event.token());
            }
        }
    })?;
    let end = signal::shutdown();
    println!("watching {}; end with Ctrl-C", directory.display());
    ioloop.run_sync(end)?;
    changes.print();
    println!("stopped");
    Ok(())
}

/// The changes that have not been printed yet.
#[derive(Default)]
struct Changes {
    /// By name: the kinds of events for one name make one line.
    pending: RefCell<BTreeMap<String, AddWatchFlags>>,
    /// Fires after a moment of quiet; every event postpones it.
    timer: RefCell<Option<TimeoutHandle>>,
}

impl Changes {
    fn note(self: &Rc<Self>, events: &[InotifyEvent]) {
        // The last event of a watch says only that no more will come.
        for event in events.iter().filter(|event| !event.mask.contains(AddWatchFlags::IN_IGNORED)) {
            let name = event.name.as_ref().map_or_else(|| ".".into(), |name| name.to_string_lossy().into_owned());
            self.pending.borrow_mut().entry(name).or_insert(AddWatchFlags::empty()).insert(event.mask);
        }
        let ioloop = IOLoop::current();
        let changes = self.clone();
        let previous = self.timer.replace(Some(ioloop.call_later(QUIET, move || changes.print())));
        if let Some(timer) = previous {
            ioloop.remove_timeout(timer);
        }
    }

    fn print(&self) {
        for (name, mask) in self.pending.take() {
            println!("{name}: {}", describe(mask));
        }
    }
}

fn describe(mask: AddWatchFlags) -> String {
    let words = [
        (AddWatchFlags::IN_CREATE, "created"),
        (AddWatchFlags::IN_MODIFY, "written"),
        (AddWatchFlags::IN_MOVED_FROM, "moved away"),
        (AddWatchFlags::IN_MOVED_TO, "moved here"),
        (AddWatchFlags::IN_DELETE, "deleted"),
        (AddWatchFlags::IN_DELETE_SELF, "the directory is gone"),
        (AddWatchFlags::IN_Q_OVERFLOW, "too much has happened, some of it is lost"),
    ];
    let words: Vec<&str> = words.into_iter().filter(|(flag, _)| mask.contains(*flag)).map(|(_, word)| word).collect();
    words.join(", ")
}
