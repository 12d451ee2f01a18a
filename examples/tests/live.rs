//! Working on a program: it is replaced while clients ask it, and none is refused.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{self, Child, Command},
    sync::Mutex,
};

use ioloop::process::spawn_with_fds;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{Program, eventually, http::Client};

const LIVE: &str = env!("CARGO_BIN_EXE_live");

/// Held by each test: nothing runs a file while another process, forked meanwhile, has it open for writing.
static COPIES: Mutex<()> = Mutex::new(());

/// On a connection of its own.
fn get(address: SocketAddr, path: &str) -> String {
    Client::connect(address).get(path).body
}

/// A copy of the program that can be replaced, and a directory for it.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Copy {
        let directory = std::env::temp_dir().join(format!("waterspout-live-{}", process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let copy = Copy(directory);
        copy.replace(Path::new(LIVE));
        copy
    }

    fn program(&self) -> PathBuf {
        self.0.join("live")
    }

    /// As a linker does: the new file takes the name at once.
    fn replace(&self, by: &Path) {
        let new = self.0.join("new");
        fs::copy(by, &new).expect("a copy");
        fs::rename(new, self.program()).expect("a new name");
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The first process, which watches the program. The sockets are handed to it, so that their port is known.
struct Watched {
    first: Child,
    address: SocketAddr,
}

impl Watched {
    fn start(program: &Path) -> Watched {
        let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = socket.local_addr().expect("an address");
        let mut command = Command::new(program);
        command.env("RUST_LOG", "off");
        let first = spawn_with_fds(command, &[(&socket, "http")]).expect("it starts");
        Watched { first, address }
    }

    /// The process that answers, by the page that it makes. The socket is open from the beginning: no request is refused.
    fn process(&self) -> String {
        let page = get(self.address, "/");
        let process = page.split("process ").nth(1).and_then(|rest| rest.split('.').next());
        process.unwrap_or_else(|| panic!("no process in {page:?}")).to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.first.id() as i32), signal).expect("it runs");
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.first.id() as i32), Signal::SIGTERM);
        let _ = self.first.wait();
    }
}

#[test]
fn a_new_program_takes_over_and_a_broken_one_does_not() {
    let _alone = COPIES.lock();
    let copy = Copy::new();
    let mut watched = Watched::start(&copy.program());
    let old = watched.process();
    assert_ne!(old, watched.first.id().to_string());

    copy.replace(Path::new(LIVE));
    let new = eventually("another process answers", || Some(watched.process()).filter(|process| *process != old));

    // One that cannot even start.
    let broken = copy.0.join("broken");
    fs::write(&broken, "#!/nowhere/at/all\n").expect("a file");
    copy.replace(&broken);
    for _ in 0..50 {
        assert_eq!(watched.process(), new);
    }
    copy.replace(Path::new(LIVE));
    eventually("the mended one answers", || (watched.process() != new).then_some(()));

    watched.signal(Signal::SIGTERM);
    assert!(watched.first.wait().expect("it was started").success());
}

#[test]
fn settings_come_from_the_file_and_the_environment_goes_first() {
    let _alone = COPIES.lock();
    let refusal = |name: &str, value: &str| {
        let output = Command::new(LIVE).env(name, value).output().expect("it starts");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("text")
    };
    assert!(refusal("LIVE_ADDRESS", "nowhere").contains("invalid socket address"));
    assert!(refusal("LIVE_DEBGU", "false").contains("unknown field `debgu`"));

    let mut command = Command::new(LIVE);
    command.envs([("LIVE_DEBUG", "false"), ("LIVE_ADDRESS", "127.0.0.1:0"), ("LIVE_TITLE", "Other")]);
    let mut program = Program::spawn(&mut command);
    let address = program.listening();
    let page = get(address, "/");
    assert!(page.contains("<title>Other</title>") && !page.contains("reload.js"), "{page}");
    assert!(get(address, "/mistake").contains("500: Internal Server Error"));
    program.terminate();
    assert!(program.end().success());
}
