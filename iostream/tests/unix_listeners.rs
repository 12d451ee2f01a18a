//! Binding Unix sockets.

use std::{
    env, fs,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd, AsRawFd},
        linux::net::SocketAddrExt,
        unix::{
            fs::{PermissionsExt, symlink},
            net::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
        },
    },
    path::PathBuf,
    process,
};

use iostream::{
    Error,
    netutil::{Listener, UnixBindOptions, bind_unix_socket},
};

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Directory {
        let path = env::temp_dir().join(format!("waterspout-{}-{test}", process::id()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bind(path: &PathBuf) -> iostream::Result<UnixListener> {
    bind_unix_socket(path, &UnixBindOptions::new())
}

fn cause_of(error: &Error) -> ErrorKind {
    match error {
        Error::BindUnix { cause, .. } => cause.kind(),
        other => panic!("{other:?}"),
    }
}

fn mode_of(path: &PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn clients_connect_and_the_file_belongs_to_the_user_alone() {
    let directory = Directory::new("connect");
    let listener = bind(&directory.socket()).unwrap();
    assert_eq!(mode_of(&directory.socket()), 0o600);
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let mut client = UnixStream::connect(directory.socket()).unwrap();
    client.write_all(b"x").unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    accepted.read_exact(&mut [0]).unwrap();
}

#[test]
fn the_mode_can_be_chosen() {
    let directory = Directory::new("mode");
    bind_unix_socket(directory.socket(), &UnixBindOptions::new().mode(0o666).backlog(0)).unwrap();
    assert_eq!(mode_of(&directory.socket()), 0o666);
}

#[test]
fn a_socket_that_nobody_listens_on_is_replaced() {
    let directory = Directory::new("stale");
    drop(bind(&directory.socket()).unwrap());
    assert!(directory.socket().exists(), "as after a crash");
    let _again = bind(&directory.socket()).unwrap();
    UnixStream::connect(directory.socket()).unwrap();
}

#[test]
fn a_socket_in_use_is_replaced_only_when_told_to() {
    let directory = Directory::new("in-use");
    let first = bind_unix_socket(directory.socket(), &UnixBindOptions::new().backlog(0)).unwrap();
    let error = bind(&directory.socket()).unwrap_err();
    assert_eq!(cause_of(&error), ErrorKind::AddrInUse);
    assert_eq!(error.to_string(), format!("listening on {}: address already in use", directory.socket().display()));
    // The attempt waits in the backlog, which is full by now. That too is somebody who listens.
    assert_eq!(cause_of(&bind(&directory.socket()).unwrap_err()), ErrorKind::AddrInUse);
    let second = bind_unix_socket(directory.socket(), &UnixBindOptions::new().take_over(true)).unwrap();
    let _client = UnixStream::connect(directory.socket()).unwrap();
    second.accept().unwrap();
    drop(first);
}

#[test]
fn a_datagram_socket_in_use_is_left_alone() {
    let directory = Directory::new("datagram");
    let _other = UnixDatagram::bind(directory.socket()).unwrap();
    assert_eq!(cause_of(&bind(&directory.socket()).unwrap_err()), ErrorKind::AddrInUse);
    assert!(directory.socket().exists());
}

#[test]
fn a_file_that_is_no_socket_is_refused_with_the_reason_and_stays() {
    let directory = Directory::new("file");
    fs::write(directory.socket(), "precious").unwrap();
    for options in [UnixBindOptions::new(), UnixBindOptions::new().take_over(true)] {
        let error = bind_unix_socket(directory.socket(), &options).unwrap_err();
        assert_eq!(cause_of(&error), ErrorKind::AlreadyExists);
        assert!(error.to_string().ends_with("the file exists and is not a socket"), "{error}");
    }
    assert_eq!(fs::read_to_string(directory.socket()).unwrap(), "precious");

    let link = directory.0.join("link");
    symlink(directory.socket(), &link).unwrap();
    assert_eq!(cause_of(&bind(&link).unwrap_err()), ErrorKind::AlreadyExists);
}

#[test]
fn paths_that_cannot_be_bound_are_errors_that_name_them() {
    let directory = Directory::new("paths");
    let long = directory.0.join("x".repeat(108));
    assert_eq!(cause_of(&bind(&long).unwrap_err()), ErrorKind::InvalidInput);
    let missing = directory.0.join("no/such/directory");
    let error = bind(&missing).unwrap_err();
    assert_eq!(cause_of(&error), ErrorKind::NotFound);
    assert!(error.to_string().contains("no/such/directory"), "{error}");
    assert!(bind(&PathBuf::new()).is_err());
}

#[test]
fn a_name_without_a_file_is_free_again_when_its_listener_goes() {
    let name = format!("waterspout-{}-abstract", process::id());
    let path = PathBuf::from(format!("\0{name}"));
    let listener = bind(&path).unwrap();
    let addr = SocketAddr::from_abstract_name(&name).unwrap();
    UnixStream::connect_addr(&addr).unwrap();
    let error = bind(&path).unwrap_err();
    assert_eq!(cause_of(&error), ErrorKind::AddrInUse);
    assert_eq!(error.to_string(), format!("listening on @{name}: address already in use"));
    drop(listener);
    bind(&path).unwrap();
}

#[test]
fn two_handles_of_a_listener_are_one_socket() {
    let directory = Directory::new("handles");
    let unix = Listener::from(bind(&directory.socket()).unwrap());
    let tcp = Listener::from(TcpListener::bind("127.0.0.1:0").unwrap());
    for listener in [unix, tcp] {
        let clone = listener.try_clone().unwrap();
        assert_ne!(clone.as_fd().as_raw_fd(), listener.as_fd().as_raw_fd());
        assert_eq!(clone.local_addr().unwrap(), listener.local_addr().unwrap());
        // What has come while one of them was there, the other one still has.
        match (listener, clone) {
            (Listener::Unix(first), Listener::Unix(second)) => {
                let _client = UnixStream::connect(directory.socket()).unwrap();
                drop(first);
                second.accept().unwrap();
            }
            (Listener::Tcp(first), Listener::Tcp(second)) => {
                let _client = TcpStream::connect(first.local_addr().unwrap()).unwrap();
                drop(first);
                second.accept().unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
}
