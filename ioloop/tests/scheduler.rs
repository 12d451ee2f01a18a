//! The scheduler against a model: what runs in which turn, whatever callbacks, tasks and timers do to each other.

mod common;

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use common::{Log, virtual_loop};
use ioloop::{IOLoop, JoinHandle};
use proptest::prelude::*;

/// How many jobs a program may name.
const JOBS: usize = 8;

/// Work that the program knows by a number. It may be started any number of times; a task is started anew only when it
/// is done.
#[derive(Debug, Clone)]
enum Job {
    Callback(Vec<Act>),
    Timer(Vec<Act>),
    /// What it does in each poll; it is done after the last.
    Task(Vec<Vec<Act>>),
}

/// What a piece of work does while it runs.
#[derive(Debug, Clone, Copy)]
enum Act {
    Start(usize),
    Wake(usize),
    Abort(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..JOBS).prop_map(Act::Start),
        4 => (0..JOBS).prop_map(Act::Wake),
        1 => (0..JOBS).prop_map(Act::Abort),
    ]
}

fn job() -> impl Strategy<Value = Job> {
    let acts = || prop::collection::vec(act(), 0..4);
    prop_oneof![
        acts().prop_map(Job::Callback),
        acts().prop_map(Job::Timer),
        prop::collection::vec(acts(), 1..4).prop_map(Job::Task),
        prop::collection::vec(acts(), 1..4).prop_map(Job::Task),
    ]
}

/// The order in which jobs ran, turn by turn.
type Story = Vec<Vec<usize>>;

/// Programs can go on for ever; this many turns are compared, and this many starts are allowed.
const TURNS: usize = 12;
const STARTS: usize = 200;

/// The model: two plain queues, and numbers instead of tasks.
#[derive(Default)]
struct Model {
    queue: VecDeque<Entry>,
    timers: VecDeque<usize>,
    tasks: Vec<Option<ModelTask>>,
    starts: usize,
    /// Tells a task from its successor under the same number.
    lives: usize,
    ran: Vec<usize>,
}

enum Entry {
    Callback(usize),
    Task { job: usize, life: usize },
}

#[derive(Clone, Copy)]
struct ModelTask {
    life: usize,
    polls: usize,
    is_queued: bool,
}

impl Model {
    fn tell(program: &[Job]) -> Story {
        let mut model = Model { tasks: vec![None; JOBS], ..Model::default() };
        (0..JOBS).for_each(|job| model.act(program, Act::Start(job)));
        (0..TURNS)
            .map(|_| {
                model.turn(program);
                mem::take(&mut model.ran)
            })
            .collect()
    }

    fn turn(&mut self, program: &[Job]) {
        for job in mem::take(&mut self.timers) {
            self.run(program, job);
        }
        for entry in mem::take(&mut self.queue).into_iter().collect::<Vec<_>>() {
            match entry {
                Entry::Callback(job) => self.run(program, job),
                Entry::Task { job, life } => self.poll(program, job, life),
            }
        }
    }

    fn run(&mut self, program: &[Job], job: usize) {
        self.ran.push(job);
        if let Job::Callback(acts) | Job::Timer(acts) = &program[job] {
            acts.iter().for_each(|act| self.act(program, *act));
        }
    }

    fn poll(&mut self, program: &[Job], job: usize, life: usize) {
        let Some(task) = self.tasks[job].as_mut().filter(|task| task.life == life) else { return };
        task.is_queued = false;
        task.polls += 1;
        let poll = task.polls;
        self.ran.push(job);
        if let Job::Task(polls) = &program[job] {
            polls[poll - 1].iter().for_each(|act| self.act(program, *act));
            if poll == polls.len() && self.tasks[job].is_some_and(|task| task.life == life) {
                self.tasks[job] = None;
            }
        }
    }

    fn act(&mut self, program: &[Job], act: Act) {
        match act {
            Act::Start(job) => self.start(program, job),
            Act::Wake(job) => {
                if let Some(task) = self.tasks[job].as_mut().filter(|task| !task.is_queued) {
                    task.is_queued = true;
                    self.queue.push_back(Entry::Task { job, life: task.life });
                }
            }
            Act::Abort(job) => self.tasks[job] = None,
        }
    }

    fn start(&mut self, program: &[Job], job: usize) {
        if self.starts == STARTS {
            return;
        }
        match &program[job] {
            Job::Callback(_) => self.queue.push_back(Entry::Callback(job)),
            Job::Timer(_) => self.timers.push_back(job),
            Job::Task(_) if self.tasks[job].is_some() => return,
            Job::Task(_) => {
                self.lives += 1;
                self.tasks[job] = Some(ModelTask { life: self.lives, polls: 0, is_queued: true });
                self.queue.push_back(Entry::Task { job, life: self.lives });
            }
        }
        self.starts += 1;
    }
}

/// The same program on a loop.
struct Real {
    ioloop: IOLoop,
    program: Vec<Job>,
    tasks: RefCell<Vec<Option<RealTask>>>,
    starts: RefCell<usize>,
    ran: Log<usize>,
}

struct RealTask {
    handle: Option<JoinHandle<()>>,
    /// Kept from its first poll on; before that the task is queued anyhow.
    waker: Option<Waker>,
}

impl Real {
    fn tell(program: &[Job]) -> Story {
        let (ioloop, _world) = virtual_loop();
        let real = Rc::new(Real {
            ioloop: ioloop.clone(),
            program: program.to_vec(),
            tasks: RefCell::new((0..JOBS).map(|_| None).collect()),
            starts: RefCell::default(),
            ran: Log::new(),
        });
        // Timers set before the first turn are due in it, and tasks started before it count as queued.
        (0..JOBS).for_each(|job| real.act(Act::Start(job)));
        let story = (0..TURNS)
            .map(|_| {
                ioloop.run_once(Some(Duration::ZERO));
                real.ran.take()
            })
            .collect();
        ioloop.close();
        story
    }

    fn act(self: &Rc<Real>, act: Act) {
        match act {
            Act::Start(job) => self.start(job),
            Act::Wake(job) => {
                let waker = self.tasks.borrow()[job].as_ref().and_then(|task| task.waker.clone());
                if let Some(waker) = waker {
                    self.wake(&waker);
                }
            }
            Act::Abort(job) => {
                let task = self.tasks.borrow_mut()[job].take();
                if let Some(handle) = task.and_then(|task| task.handle) {
                    handle.abort();
                }
            }
        }
    }

    fn wake(&self, waker: &Waker) {
        waker.wake_by_ref();
        // Once more changes nothing.
        waker.wake_by_ref();
    }

    fn start(self: &Rc<Real>, job: usize) {
        if *self.starts.borrow() == STARTS {
            return;
        }
        let real = Rc::clone(self);
        match &self.program[job] {
            Job::Callback(_) => self.ioloop.add_callback(move || real.run(job)),
            Job::Timer(_) => {
                self.ioloop.call_later(Duration::ZERO, move || real.run(job));
            }
            Job::Task(_) if self.tasks.borrow()[job].is_some() => return,
            Job::Task(polls) => {
                let task = Scripted { real, job, polls: polls.clone().into() };
                self.tasks.borrow_mut()[job] = Some(RealTask { handle: None, waker: None });
                let handle = self.ioloop.spawn(task);
                if let Some(task) = &mut self.tasks.borrow_mut()[job] {
                    task.handle = Some(handle);
                }
            }
        }
        *self.starts.borrow_mut() += 1;
    }

    fn run(self: &Rc<Real>, job: usize) {
        self.ran.push(job);
        if let Job::Callback(acts) | Job::Timer(acts) = &self.program[job] {
            acts.iter().for_each(|act| self.act(*act));
        }
    }
}

/// A task that does what its script says, one line per poll.
struct Scripted {
    real: Rc<Real>,
    job: usize,
    polls: VecDeque<Vec<Act>>,
}

impl Future for Scripted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (real, job) = (Rc::clone(&self.real), self.job);
        real.ran.push(job);
        if let Some(task) = &mut real.tasks.borrow_mut()[job] {
            task.waker = Some(cx.waker().clone());
        }
        let acts = self.polls.pop_front().expect("polled no more often than its script says");
        acts.iter().for_each(|act| real.act(*act));
        if !self.polls.is_empty() {
            return Poll::Pending;
        }
        // One that has aborted itself may have a successor already, whose entry this is then.
        let mut tasks = real.tasks.borrow_mut();
        if tasks[job].as_ref().and_then(|task| task.waker.as_ref()).is_some_and(|waker| waker.will_wake(cx.waker())) {
            tasks[job] = None;
        }
        Poll::Ready(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_turn_runs_what_was_due_and_queued_at_its_point_in_order(program in prop::collection::vec(job(), JOBS)) {
        prop_assert_eq!(Real::tell(&program), Model::tell(&program));
    }
}

#[test]
fn model_agrees_on_a_program_known_by_heart() {
    let program = vec![
        // Timers come first, and what they start is run in the same turn.
        Job::Timer(vec![Act::Start(1)]),
        Job::Callback(vec![Act::Wake(2)]),
        Job::Task(vec![vec![], vec![Act::Start(0)], vec![Act::Abort(2)]]),
        Job::Callback(vec![]),
        Job::Callback(vec![]),
        Job::Callback(vec![]),
        Job::Callback(vec![]),
        Job::Callback(vec![]),
    ];
    let story = Real::tell(&program);
    // The second run of 1 stands behind the task, and wakes it for the next turn.
    assert_eq!(story[..3], [vec![0, 1, 2, 3, 4, 5, 6, 7, 1], vec![2], vec![0, 1]]);
    assert_eq!(story, Model::tell(&program));
}
