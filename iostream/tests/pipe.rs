//! Pipes, FIFOs and terminals.

mod common;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process,
};

use common::{pattern, run, try_for_some_turns, turns};
use iostream::{Error, IOStream, spawn};
use nix::{
    fcntl::OFlag,
    pty::openpty,
    sys::{
        stat::Mode,
        termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr},
    },
    unistd::mkfifo,
};

fn pipe() -> (IOStream, IOStream) {
    common::choose_poller();
    let (reader, writer) = io::pipe().unwrap();
    (IOStream::from_pipe(reader).unwrap(), IOStream::from_pipe(writer).unwrap())
}

/// Both sides of a pseudo-terminal that changes nothing of what passes.
fn raw_terminal() -> (File, File) {
    common::choose_poller();
    let pty = openpty(None, None).unwrap();
    let mut settings = tcgetattr(&pty.slave).unwrap();
    cfmakeraw(&mut settings);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &settings).unwrap();
    (pty.master.into(), pty.slave.into())
}

fn refusal(result: iostream::Result<impl std::fmt::Debug>) -> String {
    match result {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::Unsupported => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_and_the_end_pass() {
    let (reader, writer) = pipe();
    run(async {
        writer.write("hel").await.unwrap();
        writer.write("lo world\nrest").await.unwrap();
        assert_eq!(reader.read_until(b" ").await.unwrap(), "hello ");
        assert_eq!(reader.read_bytes(3).await.unwrap(), "wor");
        writer.close();
        assert_eq!(reader.read_until_close().await.unwrap(), "ld\nrest");
    });
    assert!(reader.is_closed());
}

/// Tornado's `test_pipe_iostream_big_write`.
#[test]
fn a_mebibyte_passes() {
    let (reader, writer) = pipe();
    run(async {
        let written = spawn(async move { writer.write(pattern(1 << 20)).await });
        assert_eq!(reader.read_bytes(1 << 20).await.unwrap(), pattern(1 << 20));
        written.await.unwrap().unwrap();
    });
}

#[test]
fn a_full_pipe_slows_the_writer_down() {
    common::choose_poller();
    let (mut reader, writer) = io::pipe().unwrap();
    let writer = IOStream::from_pipe(writer).unwrap();
    run(async {
        let write = writer.write(pattern(200_000));
        assert!(try_for_some_turns(write).await.is_none());
        let queued = writer.pending_write();
        assert!(queued > 0);
        // Room of less than a page does not help; all of it does.
        let mut all = vec![0; 200_000 - queued];
        reader.read_exact(&mut all).unwrap();
        turns(2).await;
        assert!(writer.pending_write() < queued);
        drop(writer);
        let rest = iostream::run_in_executor(move || {
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).map(|_| rest)
        });
        all.extend(rest.await.unwrap().unwrap());
        assert_eq!(all, pattern(200_000));
    });
}

#[test]
fn many_small_writes_keep_their_order() {
    let (reader, writer) = pipe();
    run(async {
        for piece in pattern(300_000).chunks(777) {
            drop(writer.write(piece));
        }
        drop(writer);
        assert_eq!(reader.read_until_close().await.unwrap(), pattern(300_000));
    });
}

#[test]
fn the_wrong_end_says_so_and_stays_as_it_is() {
    let (reader, writer) = pipe();
    run(async {
        assert_eq!(refusal(writer.read_some(1).await), "the writing end of a pipe cannot be read");
        assert_eq!(refusal(writer.read_until_close().await), "the writing end of a pipe cannot be read");
        assert_eq!(refusal(reader.write("x").await), "the reading end of a pipe cannot be written");
        assert_eq!(refusal(reader.write_parts(b"x", "y".into()).await), "the reading end of a pipe cannot be written");
        assert_eq!(refusal(reader.queue("x")), "the reading end of a pipe cannot be written");
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(refusal(reader.send_file(file, 0..10).await), "the reading end of a pipe cannot be written");
        assert_eq!(refusal(reader.shutdown_write().await), "the reading end of a pipe has no output to end");
        // Nothing is broken.
        writer.write("hello\n").await.unwrap();
        assert_eq!(reader.read_until(b"\n").await.unwrap(), "hello\n");
    });
}

#[test]
fn ending_the_output_closes_a_writing_end_behind_what_was_written() {
    let (reader, writer) = pipe();
    run(async {
        drop(writer.write(pattern(100_000)));
        let ended = spawn({
            let writer = writer.clone();
            async move { writer.shutdown_write().await }
        });
        assert_eq!(reader.read_until_close().await.unwrap(), pattern(100_000));
        ended.await.unwrap().unwrap();
    });
    assert!(writer.is_closed());
}

#[test]
fn a_reader_that_has_gone_is_noticed_without_a_write() {
    let (reader, writer) = pipe();
    run(async {
        let closed = spawn(writer.closed());
        turns(1).await;
        assert!(!writer.is_peer_closed());
        reader.close();
        writer.peer_closed().await;
        closed.await.unwrap();
    });
    let error = run(writer.write("x")).unwrap_err();
    assert_eq!(error.to_string(), "the stream is closed: broken pipe");
}

#[test]
fn a_write_without_a_reader_is_a_broken_pipe() {
    let (reader, writer) = pipe();
    reader.close();
    let error = run(writer.write("x")).unwrap_err();
    assert_eq!(error.to_string(), "the stream is closed: broken pipe");
}

#[test]
fn a_writer_is_cut_off_with_what_is_queued() {
    let (reader, writer) = pipe();
    run(async {
        let write = spawn({
            let writer = writer.clone();
            async move { writer.write(pattern(200_000)).await }
        });
        reader.read_bytes(1000).await.unwrap();
        reader.close();
        assert!(write.await.unwrap().unwrap_err().is_closed());
    });
}

#[test]
fn a_writer_that_has_gone_is_noticed_with_bytes_unread() {
    let (reader, writer) = pipe();
    run(async {
        writer.write("left behind").await.unwrap();
        writer.close();
        reader.peer_closed().await;
        assert_eq!(reader.read_until_close().await.unwrap(), "left behind");
    });
}

/// A name for this test alone.
fn fifo(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("waterspout-{}-{name}", process::id()));
    let _ = fs::remove_file(&path);
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    path
}

#[test]
fn the_reader_of_a_fifo_waits_for_the_first_writer() {
    common::choose_poller();
    let path = fifo("fifo");
    // Non-blocking, or the open itself would wait.
    let reader = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path).unwrap();
    let reader = IOStream::from_pipe(reader).unwrap();
    run(async {
        assert!(try_for_some_turns(reader.read_some(1)).await.is_none());
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        writer.write_all(b"late").unwrap();
        drop(writer);
        assert_eq!(reader.read_until_close().await.unwrap(), "late");
    });
}

#[test]
fn a_terminal_is_read_and_written() {
    let (master, slave) = raw_terminal();
    let (master, slave) = (IOStream::from_pipe(master).unwrap(), IOStream::from_pipe(slave).unwrap());
    run(async {
        for (from, to) in [(&master, &slave), (&slave, &master)] {
            let write = spawn({
                let from = from.clone();
                async move { from.write(pattern(1 << 20)).await }
            });
            assert_eq!(to.read_bytes(1 << 20).await.unwrap(), pattern(1 << 20));
            write.await.unwrap().unwrap();
        }
        assert_eq!(
            refusal(master.shutdown_write().await),
            "a terminal or FIFO open for both cannot end one direction alone"
        );
        assert!(!master.is_closed());
    });
}

#[test]
fn a_terminal_gives_its_lines_one_by_one() {
    common::choose_poller();
    let pty = openpty(None, None).unwrap();
    let (mut master, terminal) = (File::from(pty.master), IOStream::from_pipe(pty.slave).unwrap());
    run(async {
        master.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(terminal.read_until(b"\n").await.unwrap(), "one\n");
        assert_eq!(terminal.read_until(b"\n").await.unwrap(), "two\n");
        assert!(try_for_some_turns(terminal.read_until(b"\n")).await.is_none());
        master.write_all(b"ee\n").unwrap();
        assert_eq!(terminal.read_until(b"\n").await.unwrap(), "three\n");
    });
}

#[test]
fn a_terminal_whose_other_side_is_gone_is_at_its_end() {
    // The program has exited: the master reads what it has written, then EIO.
    let (master, mut slave) = raw_terminal();
    let master = IOStream::from_pipe(master).unwrap();
    run(async {
        slave.write_all(b"last words").unwrap();
        drop(slave);
        master.peer_closed().await;
        assert_eq!(master.read_until_close().await.unwrap(), "last words");
    });
    assert!(master.is_closed());

    // The window has been closed: the slave is hung up.
    let (master, slave) = raw_terminal();
    let slave = IOStream::from_pipe(slave).unwrap();
    run(async {
        let closed = spawn(slave.closed());
        assert!(try_for_some_turns(slave.read_some(1)).await.is_none());
        drop(master);
        assert!(slave.read_some(1).await.unwrap_err().is_closed());
        closed.await.unwrap();
    });
}

#[test]
fn a_write_to_a_terminal_that_is_gone_is_a_broken_pipe() {
    let (master, slave) = raw_terminal();
    let slave = IOStream::from_pipe(slave).unwrap();
    slave.set_half_open(true);
    drop(master);
    assert_eq!(run(slave.write("x")).unwrap_err().to_string(), "the stream is closed: broken pipe");
}
