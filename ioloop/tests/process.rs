//! Forking and inherited descriptors. Forking needs a process with one thread, and the environment belongs to the whole
//! process, so this is a program of its own: it starts itself once per case and looks at what the case says and does.

mod process_cases;

use std::{
    env,
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
};

use ioloop::process::cpu_count;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const TESTS: &[(&str, fn())] = &[
    ("workers_that_fail_are_restarted_and_those_that_succeed_are_not", failing_workers),
    ("workers_that_are_killed_are_restarted", killed_workers),
    ("parent_gives_up_after_too_many_restarts", giving_up),
    ("zero_means_one_worker_per_processor", one_per_processor),
    ("fork_is_refused_beside_a_loop", beside_a_loop),
    ("fork_is_refused_beside_a_thread", beside_a_thread),
    ("fork_is_refused_in_a_worker", in_a_worker),
    ("workers_have_the_signal_mask_from_before", mask),
    ("what_was_printed_before_the_fork_is_printed_once", printed_once),
    ("sigterm_to_the_parent_ends_the_workers_and_restarts_none", stopped_by_sigterm),
    ("workers_without_a_handler_are_stopped_too", stopped_without_handler),
    ("workers_end_when_the_parent_is_killed", parent_killed),
    ("inherited_descriptors_are_given_out_once_with_their_names", inherited),
    ("descriptors_without_names_are_called_unknown", inherited_without_names),
    ("descriptors_meant_for_another_process_are_left_alone", meant_for_another),
    ("nothing_announced_is_nothing_inherited", nothing_announced),
    ("descriptor_that_is_not_open_is_an_error", announced_not_open),
    ("descriptor_of_the_process_itself_is_an_error", announced_own),
    ("variables_that_make_no_sense_are_an_error", announced_nonsense),
    ("a_program_is_started_with_descriptors_wherever_they_were", passed_on),
    ("a_program_is_started_with_the_arguments_and_the_environment_of_its_command", passed_with_environment),
    ("a_program_is_started_with_descriptors_by_a_process_with_threads", passed_by_thread),
    ("what_cannot_be_started_with_descriptors_is_an_error", not_started),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, case] = &arguments[..]
        && first == "--case"
    {
        return process_cases::run(case);
    }
    let list = arguments.iter().any(|argument| argument == "--list");
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    for (name, test) in TESTS.iter().filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter.as_str()))) {
        if list {
            println!("{name}: test");
        } else {
            test();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

/// A running case.
struct Case {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// What is left of it.
struct Outcome {
    code: Option<i32>,
    output: String,
    log: String,
}

impl Case {
    fn start(name: &str) -> Case {
        let mut child = Command::new(env::current_exe().expect("this program has a path"))
            .args(["--case", name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Case { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it runs");
    }

    /// Waits for the end of the output, which its workers share, and then for its own.
    fn end(mut self) -> Outcome {
        let mut output = String::new();
        self.output.read_to_string(&mut output).expect("text");
        let rest = self.child.wait_with_output().expect("it was started");
        let log = String::from_utf8(rest.stderr).expect("text");
        Outcome { code: rest.status.code(), output, log }
    }
}

impl Outcome {
    /// How many lines of the log end this way.
    #[track_caller]
    fn assert_logged(&self, times: usize, ending: &str) {
        let count = self.log.lines().filter(|line| line.ends_with(ending)).count();
        assert_eq!(count, times, "{ending} in\n{}", self.log);
    }

    #[track_caller]
    fn assert_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "output\n{}\nlog\n{}", self.output, self.log);
    }

    fn sorted_lines(&self) -> Vec<&str> {
        let mut lines: Vec<&str> = self.output.lines().collect();
        lines.sort_unstable();
        lines
    }
}

fn run(name: &str) -> Outcome {
    Case::start(name).end()
}

fn failing_workers() {
    let outcome = run("failing");
    outcome.assert_code(0);
    outcome.assert_logged(1, "INFO Starting 2 processes");
    outcome.assert_logged(3, "exited with status 3, restarting");
    outcome.assert_logged(2, "exited normally");
    assert_eq!(outcome.log.lines().filter(|line| line.starts_with("INFO child 0 (pid ")).count(), 1);
    assert_eq!(outcome.sorted_lines(), ["worker 0", "worker 1"], "the parent does not return");
}

fn killed_workers() {
    let outcome = run("killed");
    outcome.assert_code(0);
    outcome.assert_logged(1, "killed by signal 9, restarting");
    outcome.assert_logged(1, "killed by signal 40, restarting");
    outcome.assert_logged(1, "exited normally");
    assert!(outcome.log.contains("WARN child 0 (pid "), "{}", outcome.log);
}

fn giving_up() {
    let outcome = run("giving-up");
    outcome.assert_code(7);
    outcome.assert_logged(4, "exited with status 1, restarting");
    assert_eq!(outcome.output, "the workers failed more often than they may be restarted\n");
}

fn one_per_processor() {
    let outcome = run("one-per-processor");
    outcome.assert_code(0);
    let mut ids: Vec<usize> = outcome.output.lines().map(|line| line.parse().expect("a number")).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..cpu_count()).collect::<Vec<_>>());
}

fn beside_a_loop() {
    run("beside-a-loop").assert_code(0);
}

fn beside_a_thread() {
    run("beside-a-thread").assert_code(0);
}

fn in_a_worker() {
    let outcome = run("in-a-worker");
    outcome.assert_code(0);
    assert_eq!(outcome.output, "cannot fork: this process is a worker of fork_processes already\n");
}

fn mask() {
    let outcome = run("mask");
    outcome.assert_code(0);
    outcome.assert_logged(1, "exited normally");
}

fn printed_once() {
    let outcome = run("printed-once");
    outcome.assert_code(0);
    assert_eq!(outcome.output, "once");
}

fn stopped_by_sigterm() {
    let mut case = Case::start("serving");
    assert_eq!([case.line(), case.line()], ["ready", "ready"]);
    case.signal(Signal::SIGTERM);
    let outcome = case.end();
    outcome.assert_code(0);
    assert_eq!(outcome.output, "stopped\nstopped\n");
    outcome.assert_logged(2, "exited normally");
    outcome.assert_logged(0, "restarting");
}

fn stopped_without_handler() {
    let mut case = Case::start("serving-without-handler");
    assert_eq!(case.line(), "ready");
    case.signal(Signal::SIGINT);
    let outcome = case.end();
    outcome.assert_code(0);
    outcome.assert_logged(1, "killed by signal 15");
}

fn parent_killed() {
    let mut case = Case::start("serving");
    assert_eq!([case.line(), case.line()], ["ready", "ready"]);
    case.signal(Signal::SIGKILL);
    let outcome = case.end();
    assert_eq!(outcome.code, None);
    assert_eq!(outcome.output, "stopped\nstopped\n");
}

fn inherited() {
    run("inherited").assert_code(0);
}

fn inherited_without_names() {
    run("inherited-without-names").assert_code(0);
}

fn meant_for_another() {
    run("meant-for-another").assert_code(0);
}

fn nothing_announced() {
    run("nothing-announced").assert_code(0);
}

fn announced_not_open() {
    run("announced-not-open").assert_code(0);
}

fn announced_own() {
    run("announced-own").assert_code(0);
}

fn announced_nonsense() {
    run("announced-nonsense").assert_code(0);
}

fn passed_on() {
    run("passed-on").assert_code(0);
}

fn passed_with_environment() {
    run("passed-with-environment").assert_code(0);
}

fn passed_by_thread() {
    run("passed-by-thread").assert_code(0);
}

fn not_started() {
    run("not-started").assert_code(0);
}
