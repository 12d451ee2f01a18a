//! The process's own standard streams. The test runs itself as a program that answers its input in capitals.

use std::{
    env,
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use iostream::{Error, IOLoop, IOStream};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    pty::openpty,
    sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr},
};

const ROLE: &str = "WATERSPOUT_TEST_ROLE";

fn main() {
    match env::var(ROLE).as_deref() {
        Ok("capitals") => capitals(),
        Ok("wrong-way") => wrong_way(),
        Ok(role) => panic!("{role} is no role"),
        Err(_) => all(),
    }
}

fn all() {
    let tests: [(&str, fn()); 6] = [
        ("pipes", pipes),
        ("a_terminal", a_terminal),
        ("files", files),
        ("nothing", nothing),
        ("a_socket_is_blocking_again_afterwards", a_socket_is_blocking_again_afterwards),
        ("what_is_open_the_wrong_way_is_refused", what_is_open_the_wrong_way_is_refused),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
}

/// The program: a line that says it has begun, then its input in capitals, then a line on standard error.
fn capitals() {
    let (stdin, stdout, stderr) =
        (IOStream::stdin().unwrap(), IOStream::stdout().unwrap(), IOStream::stderr().unwrap());
    let work = async {
        stdout.write("ready\n").await?;
        while let Ok(line) = stdin.read_until(b"\n").await {
            stdout.write(line.to_ascii_uppercase()).await?;
            if line == "end\n" {
                break;
            }
        }
        stderr.write("done\n").await
    };
    IOLoop::current().run_sync(iostream::timeout(Duration::from_secs(60), work)).unwrap().unwrap();
}

fn start(role: &str, stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> Child {
    let mut program = Command::new(env::current_exe().unwrap());
    program.env(ROLE, role).stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap()
}

fn finish(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "done\n");
}

fn is_blocking(fd: impl AsFd) -> bool {
    !OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap()).contains(OFlag::O_NONBLOCK)
}

fn read_line(mut from: impl Read) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        from.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

fn pipes() {
    let ((their_stdin, mut stdin), (mut stdout, their_stdout)) = (io::pipe().unwrap(), io::pipe().unwrap());
    // What was opened is the same for these and for the program.
    let (reader, writer) = (their_stdin.try_clone().unwrap(), their_stdout.try_clone().unwrap());
    let child = start("capitals", their_stdin, their_stdout);
    assert_eq!(read_line(&stdout), "ready\n");
    for line in ["one\n", "two\n"] {
        stdin.write_all(line.as_bytes()).unwrap();
        assert_eq!(read_line(&stdout), line.to_uppercase());
    }
    assert!(is_blocking(&reader) && is_blocking(&writer), "the neighbours' pipes have become non-blocking");
    // A mebibyte, against a pipe of 64 KiB.
    let sender =
        std::thread::spawn(move || stdin.write_all(&vec![b'x'; 1 << 20]).and_then(|()| stdin.write_all(b"\nend\n")));
    drop((reader, writer));
    let mut all = Vec::new();
    stdout.read_to_end(&mut all).unwrap();
    assert!(all.starts_with(b"XXXX") && all.ends_with(b"X\nEND\n"));
    assert_eq!(all.len(), (1 << 20) + 5);
    sender.join().unwrap().unwrap();
    finish(child);
}

fn a_terminal() {
    let pty = openpty(None, None).unwrap();
    let mut settings = tcgetattr(&pty.slave).unwrap();
    cfmakeraw(&mut settings);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &settings).unwrap();
    let mut master = File::from(pty.master);
    let child = start("capitals", pty.slave.try_clone().unwrap(), pty.slave.try_clone().unwrap());
    assert_eq!(read_line(&master), "ready\n");
    master.write_all(b"hello\n").unwrap();
    assert_eq!(read_line(&master), "HELLO\n");
    assert!(is_blocking(&pty.slave), "the shell's terminal has become non-blocking");
    master.write_all(b"end\n").unwrap();
    assert_eq!(read_line(&master), "END\n");
    finish(child);
}

fn files() {
    let path = |name| env::temp_dir().join(format!("waterspout-{}-{name}", std::process::id()));
    let (input, output) = (path("input"), path("output"));
    fs::write(&input, "from a file\nand more\n").unwrap();
    fs::write(&output, "before\n").unwrap();
    finish(start("capitals", File::open(&input).unwrap(), File::options().append(true).open(&output).unwrap()));
    let text = fs::read_to_string(&output).unwrap();
    [input, output].iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(text, "before\nready\nFROM A FILE\nAND MORE\n");
}

fn nothing() {
    finish(start("capitals", Stdio::null(), Stdio::null()));
}

fn a_socket_is_blocking_again_afterwards() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let duplicate = theirs.try_clone().unwrap();
    let child = start("capitals", OwnedFd::from(theirs.try_clone().unwrap()), OwnedFd::from(theirs));
    assert_eq!(read_line(&ours), "ready\n");
    assert!(!is_blocking(&duplicate));
    ours.write_all(b"end\n").unwrap();
    assert_eq!(read_line(&ours), "END\n");
    finish(child);
    assert!(is_blocking(&duplicate), "the next user of the socket finds it non-blocking");
}

fn wrong_way() {
    let reason = |result: iostream::Result<IOStream>| match result {
        Err(Error::NotAStream { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(IOStream::stdin()), "it is not open for reading");
    assert_eq!(reason(IOStream::stdout()), "it is not open for writing");
    eprintln!("done");
}

fn what_is_open_the_wrong_way_is_refused() {
    let (reader, writer) = io::pipe().unwrap();
    finish(start("wrong-way", writer, reader));
}
