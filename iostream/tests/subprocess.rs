//! Child processes. The test runs itself as the programs that are started.

mod common;

use std::{
    env, fs,
    io::{self, Write},
    net::TcpListener,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{self, Command, Stdio},
    thread,
    time::Duration,
};

use common::{pattern, run, try_for_some_turns};
use iostream::{Error, IOStream, Subprocess, ioloop::signal, run_in_executor, sleep, spawn};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const ROLE: &str = "WATERSPOUT_TEST_ROLE";

fn main() {
    match env::var(ROLE) {
        Ok(role) => play(&role),
        Err(_) => all(&descriptors()),
    }
}

/// `inherited`: what this process was started with, and passes on.
fn all(inherited: &str) {
    let tests: [(&str, fn()); 18] = [
        ("what_goes_in_comes_out", what_goes_in_comes_out),
        ("a_mebibyte_passes_both_ways_at_once", a_mebibyte_passes_both_ways_at_once),
        ("only_what_is_piped_is_a_stream", only_what_is_piped_is_a_stream),
        ("output_reads_both_pipes_at_once", output_reads_both_pipes_at_once),
        ("both_outputs_may_share_a_pipe", both_outputs_may_share_a_pipe),
        ("an_exit_code_is_reported", an_exit_code_is_reported),
        ("several_tasks_may_wait_and_again_afterwards", several_tasks_may_wait_and_again_afterwards),
        ("a_signal_is_reported", a_signal_is_reported),
        ("what_has_ended_gets_no_signals", what_has_ended_gets_no_signals),
        ("numbers_that_are_no_signals_are_refused", numbers_that_are_no_signals_are_refused),
        ("a_program_that_is_missing_is_an_error", a_program_that_is_missing_is_an_error),
        ("a_child_leaves_no_zombie_when_nobody_waits", a_child_leaves_no_zombie_when_nobody_waits),
        ("a_child_leaves_no_zombie_when_its_loop_goes_first", a_child_leaves_no_zombie_when_its_loop_goes_first),
        ("a_child_that_cannot_be_watched_is_not_left_running", a_child_that_cannot_be_watched_is_not_left_running),
        ("a_dropped_handle_leaves_the_child_alone", a_dropped_handle_leaves_the_child_alone),
        ("any_loop_has_children", any_loop_has_children),
        ("a_child_started_on_another_thread_is_taken_over", a_child_started_on_another_thread_is_taken_over),
        ("a_child_that_was_waited_for_elsewhere_is_an_error", a_child_that_was_waited_for_elsewhere_is_an_error),
    ];
    a_child_inherits_nothing_of_ours(inherited);
    let wanted: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, test) in tests {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            test();
            println!("test {name} ... ok");
        }
    }
}

/// The programs.
fn play(role: &str) {
    let (mut stdin, mut stdout) = (io::stdin(), io::stdout());
    match role {
        "cat" => drop(io::copy(&mut stdin, &mut stdout).unwrap()),
        "exit-3" => process::exit(3),
        "flood" => {
            io::stderr().write_all(&pattern(300_000)).unwrap();
            stdout.write_all(&pattern(200_000)).unwrap();
            io::stderr().write_all(&pattern(300_000)).unwrap();
        }
        "both" => {
            stdout.write_all(b"output ").unwrap();
            stdout.flush().unwrap();
            io::stderr().write_all(b"error ").unwrap();
            stdout.write_all(b"output").unwrap();
        }
        "descriptors" => println!("{}", descriptors()),
        role => panic!("{role} is no role"),
    }
}

/// The numbers of the descriptors that this process has.
fn descriptors() -> String {
    let listed = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let listed: Vec<PathBuf> = listed.collect();
    // The one of the listing itself has gone by now.
    let open = listed.iter().filter(|path| path.read_link().is_ok());
    let mut names: Vec<String> = open.map(|path| path.file_name().unwrap().display().to_string()).collect();
    names.sort();
    names.join(" ")
}

fn program(role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn start(role: &str) -> Subprocess {
    Subprocess::spawn(&mut program(role)).unwrap()
}

async fn is_gone(id: u32) {
    let path = PathBuf::from(format!("/proc/{id}"));
    while path.exists() {
        sleep(Duration::from_millis(1)).await;
    }
}

fn what_goes_in_comes_out() {
    run(async {
        let mut child = start("cat");
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        stdin.write("hello\n").await.unwrap();
        assert_eq!(stdout.read_until(b"\n").await.unwrap(), "hello\n");
        assert!(try_for_some_turns(child.wait()).await.is_none());
        assert_eq!(child.exit_status(), None);
        stdin.write("the end").await.unwrap();
        stdin.shutdown_write().await.unwrap();
        assert_eq!(stdout.read_until_close().await.unwrap(), "the end");
        child.wait_for_exit().await.unwrap();
        assert!(child.exit_status().unwrap().success());
    });
}

fn a_mebibyte_passes_both_ways_at_once() {
    run(async {
        let mut child = start("cat");
        // Its last handle goes at once: what was written still reaches the child, and then the end.
        drop(child.stdin.take().unwrap().write(pattern(1 << 20)));
        assert_eq!(child.stdout.take().unwrap().read_until_close().await.unwrap(), pattern(1 << 20));
        child.wait_for_exit().await.unwrap();
    });
}

fn only_what_is_piped_is_a_stream() {
    run(async {
        let child = Subprocess::spawn(program("cat").stdin(Stdio::null()).stderr(Stdio::piped())).unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_some() && child.stderr.is_some());
        child.wait_for_exit().await.unwrap();
    });
}

fn output_reads_both_pipes_at_once() {
    run(async {
        let child = Subprocess::spawn(program("flood").stderr(Stdio::piped())).unwrap();
        let output = child.output().await.unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, pattern(200_000));
        assert_eq!(output.stderr, [pattern(300_000), pattern(300_000)].concat());

        let child = start("cat");
        drop(child.stdin.as_ref().unwrap().write("by the way"));
        assert_eq!(child.output().await.unwrap().stdout, b"by the way");
    });
}

fn both_outputs_may_share_a_pipe() {
    run(async {
        let (reader, writer) = io::pipe().unwrap();
        let child = Subprocess::spawn(program("both").stdout(writer.try_clone().unwrap()).stderr(writer)).unwrap();
        let both = IOStream::from_pipe(reader).unwrap();
        assert_eq!(both.read_until_close().await.unwrap(), "output error output");
        child.wait_for_exit().await.unwrap();
    });
}

fn an_exit_code_is_reported() {
    run(async {
        let child = start("exit-3");
        assert_eq!(child.wait().await.unwrap().code(), Some(3));
        let error = child.wait_for_exit().await.unwrap_err();
        assert_eq!(error.to_string(), "the process has failed: exit status: 3");
        assert!(matches!(error, Error::Exit { status } if status.code() == Some(3)));
    });
}

fn several_tasks_may_wait_and_again_afterwards() {
    run(async {
        let mut child = start("cat");
        let waiting: Vec<_> = (0..3).map(|_| spawn(child.wait())).collect();
        drop(child.stdin.take());
        for task in waiting {
            assert!(task.await.unwrap().unwrap().success());
        }
        assert!(child.wait().await.unwrap().success());
    });
}

fn a_signal_is_reported() {
    run(async {
        let child = start("cat");
        child.kill().unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(9));
        let child = start("cat");
        child.send_signal(signal::SIGTERM).unwrap();
        let error = child.wait_for_exit().await.unwrap_err();
        assert_eq!(error.to_string(), "the process has failed: signal: 15 (SIGTERM)");
    });
}

fn what_has_ended_gets_no_signals() {
    run(async {
        let child = start("exit-3");
        child.wait().await.unwrap();
        child.kill().unwrap();
        child.send_signal(signal::SIGTERM).unwrap();
        // Ended, and not noticed yet.
        let mut child = start("exit-3");
        child.stdout.take().unwrap().read_until_close().await.unwrap();
        child.kill().unwrap();
        child.wait().await.unwrap();
    });
}

fn numbers_that_are_no_signals_are_refused() {
    run(async {
        let child = start("cat");
        for number in [0, -1, 1000] {
            assert!(
                matches!(child.send_signal(number), Err(Error::Io(error)) if error.kind() == io::ErrorKind::InvalidInput)
            );
        }
        child.kill().unwrap();
    });
}

fn a_program_that_is_missing_is_an_error() {
    let missing = Subprocess::spawn(&mut Command::new("/nowhere/at/all"));
    assert!(matches!(missing, Err(Error::Io(error)) if error.kind() == io::ErrorKind::NotFound));
}

/// Nothing but the three, where the program that starts the tests has not left descriptors of its own open.
fn a_child_inherits_nothing_of_ours(inherited: &str) {
    run(async {
        // Streams of all kinds, a server, and another child with its pidfd and pipes.
        let (_stream, _peer) = common::pair();
        let (_reader, _writer) =
            io::pipe().map(|(r, w)| (IOStream::from_pipe(r).unwrap(), IOStream::from_pipe(w).unwrap())).unwrap();
        let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let neighbour = start("cat");
        let _signal = signal::Signal::new(signal::SIGHUP).unwrap();
        let child = start("descriptors");
        let output = child.output().await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{inherited}\n"));
        neighbour.kill().unwrap();
    });
}

fn a_child_leaves_no_zombie_when_nobody_waits() {
    run(async {
        // The handle is there.
        let child = start("exit-3");
        is_gone(child.id()).await;
        // The handle has gone.
        let id = start("cat").id();
        is_gone(id).await;
    });
}

fn a_child_leaves_no_zombie_when_its_loop_goes_first() {
    let (id, stdin) = thread::spawn(|| {
        let mut command = program("cat");
        let mut child = command.spawn().unwrap();
        // Out of the loop's reach, so the child goes on when the loop has gone.
        let stdin = child.stdin.take().unwrap();
        let child = Subprocess::from_child(child).unwrap();
        run(async { assert!(try_for_some_turns(child.wait()).await.is_none()) });
        (child.id(), stdin)
    })
    .join()
    .unwrap();
    assert!(PathBuf::from(format!("/proc/{id}")).exists());
    drop(stdin);
    run(is_gone(id));
}

fn a_child_that_cannot_be_watched_is_not_left_running() {
    let child = program("cat").spawn().unwrap();
    let id = child.id();
    // No descriptor is left for watching it.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
    let refused = Subprocess::from_child(child);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    assert!(matches!(refused, Err(Error::Io(error)) if error.raw_os_error() == Some(nix::errno::Errno::EMFILE as i32)));
    run(is_gone(id));
}

fn a_dropped_handle_leaves_the_child_alone() {
    run(async {
        let mut child = start("cat");
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        drop(child);
        stdin.write("still here\n").await.unwrap();
        assert_eq!(stdout.read_until(b"\n").await.unwrap(), "still here\n");
    });
}

fn any_loop_has_children() {
    let threads: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(|| {
                run(async {
                    for _ in 0..5 {
                        let child = start("cat");
                        drop(child.stdin.as_ref().unwrap().write("hello"));
                        assert_eq!(child.output().await.unwrap().stdout, b"hello");
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn a_child_started_on_another_thread_is_taken_over() {
    run(async {
        let child = run_in_executor(|| program("cat").spawn()).await.unwrap().unwrap();
        let child = Subprocess::from_child(child).unwrap();
        drop(child.stdin.as_ref().unwrap().write("hello"));
        assert_eq!(child.output().await.unwrap().stdout, b"hello");
    });
}

fn a_child_that_was_waited_for_elsewhere_is_an_error() {
    run(async {
        let mut child = start("cat");
        child.stdin.take().unwrap().close();
        // Before the loop's next look at its descriptors.
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.id() as i32), None).unwrap();
        assert!(
            matches!(child.wait().await, Err(Error::Io(error)) if error.raw_os_error() == Some(nix::errno::Errno::ECHILD as i32))
        );
    });
}
