//! The lives of tasks against a model: whoever does whatever to whom at any moment, everybody is polled, woken, joined and
//! dropped as often as that is due. The corners, one by one, are in `task_corners`.

mod common;

use std::{
    cell::{Cell, RefCell},
    future::Future,
    mem,
    panic::resume_unwind,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use common::{Count, Log, virtual_loop};
use ioloop::{IOLoop, JoinError, JoinHandle, context};
use proptest::prelude::*;

/// What one task does, and what becomes of it.
#[derive(Debug, Clone)]
struct Script {
    /// What it does in each poll. It suspends after each but the last.
    polls: Vec<Vec<Act>>,
    ending: Ending,
    /// What the destructors of its future and of its value do.
    last_words: [Vec<Act>; 2],
    in_scope: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    Value,
    Panic,
    Never,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Spawn(usize),
    Wake(Who),
    Abort(Who),
    /// Drops the handle.
    Detach(Who),
    /// Polls the handle, with a waker that counts.
    Join(Who),
    Close,
}

#[derive(Debug, Clone, Copy)]
enum Who {
    /// The task that acts; nobody when none does.
    Oneself,
    Any(usize),
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Do(Act),
    Turn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Future,
    Value,
}

/// All that is to be seen from outside, in its order.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Polled(usize),
    Reported,
    Dropped(Part, usize),
    /// Those of a `close`, which are in no particular order.
    DroppedTogether(Vec<(Part, usize)>),
    Joined(usize, Outcome),
    /// How many tasks are alive, after each act.
    Alive(usize),
    /// Who was woken of those who wait for a task.
    Woken(Vec<bool>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Pending,
    Value,
    Panicked,
    Cancelled,
}

const SCRIPTS: usize = 5;

/// Destructors that spawn what spawns in its destructor go on for ever; this much is compared.
const MOST_TASKS: usize = 16;
const MOST_ACTS: usize = 200;

fn act() -> impl Strategy<Value = Act> {
    let who = || prop_oneof![1 => Just(Who::Oneself), 3 => (0..MOST_TASKS).prop_map(Who::Any)];
    prop_oneof![
        12 => (0..SCRIPTS).prop_map(Act::Spawn),
        16 => who().prop_map(Act::Wake),
        8 => who().prop_map(Act::Abort),
        6 => who().prop_map(Act::Detach),
        12 => who().prop_map(Act::Join),
        1 => Just(Act::Close),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    let acts = || prop::collection::vec(act(), 0..4);
    let ending = prop_oneof![4 => Just(Ending::Value), 2 => Just(Ending::Panic), 1 => Just(Ending::Never)];
    let last_words = prop_oneof![Just([vec![], vec![]]), (acts(), acts()).prop_map(|(future, value)| [future, value])];
    (prop::collection::vec(acts(), 1..4), ending, last_words, any::<bool>())
        .prop_map(|(polls, ending, last_words, in_scope)| Script { polls, ending, last_words, in_scope })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![2 => act().prop_map(Op::Do), 1 => Just(Op::Turn)]
}

/// What is done at the end of every program.
fn epilogue() -> impl Iterator<Item = Op> {
    let all = |act: fn(Who) -> Act| (0..MOST_TASKS).map(move |id| Op::Do(act(Who::Any(id))));
    [Op::Turn; 2]
        .into_iter()
        .chain(all(Act::Join))
        .chain([Op::Turn])
        .chain(all(Act::Detach))
        .chain([Op::Do(Act::Close)])
}

/// The model: a list, and states in place of futures.
#[derive(Default)]
struct Model<'a> {
    scripts: &'a [Script],
    tasks: Vec<ModelTask>,
    queue: Vec<usize>,
    is_closed: bool,
    acts: usize,
    /// While the loop is being closed.
    dropped_together: Option<Vec<(Part, usize)>>,
    seen: Vec<Seen>,
}

struct ModelTask {
    script: usize,
    polls: usize,
    life: Life,
    /// Whether there is a handle, and whether it lies where the others find it.
    has_handle: bool,
    is_handle_there: bool,
    is_waited_for: bool,
    was_waiter_woken: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Life {
    Idle,
    Queued,
    Running { woken: bool, aborted: bool },
    Ended(Outcome),
    Gone,
}

impl<'a> Model<'a> {
    fn tell(scripts: &'a [Script], ops: &[Op]) -> Vec<Seen> {
        let mut model = Model { scripts, ..Model::default() };
        for op in ops.iter().copied().chain(epilogue()) {
            match op {
                Op::Do(act) => model.act(None, act),
                Op::Turn => model.turn(),
            }
            let woken = model.tasks.iter().map(|task| task.was_waiter_woken).collect();
            model.seen.push(Seen::Woken(woken));
        }
        model.seen
    }

    fn turn(&mut self) {
        for id in mem::take(&mut self.queue) {
            if self.tasks[id].life == Life::Queued {
                self.poll(id);
            }
        }
    }

    fn poll(&mut self, id: usize) {
        let task = &mut self.tasks[id];
        task.life = Life::Running { woken: false, aborted: false };
        task.polls += 1;
        let (scripts, polls) = (self.scripts, task.polls);
        let script = &scripts[task.script];
        self.seen.push(Seen::Polled(id));
        script.polls.get(polls - 1).into_iter().flatten().for_each(|act| self.act(Some(id), *act));
        if polls < script.polls.len() || script.ending == Ending::Never {
            return self.suspend(id);
        }
        if script.ending == Ending::Panic {
            self.seen.push(Seen::Reported);
        }
        self.drop(Part::Future, id);
        let outcome = if script.ending == Ending::Panic { Outcome::Panicked } else { Outcome::Value };
        self.end(id, outcome);
    }

    fn suspend(&mut self, id: usize) {
        match self.tasks[id].life {
            Life::Running { aborted: true, .. } => self.bury(id),
            Life::Running { woken: true, .. } => self.tasks[id].life = Life::Queued,
            _ => self.tasks[id].life = Life::Idle,
        }
    }

    fn end(&mut self, id: usize, outcome: Outcome) {
        if self.tasks[id].has_handle {
            self.tasks[id].life = Life::Ended(outcome);
        } else {
            self.tasks[id].life = Life::Gone;
            self.drop_result(id, outcome);
        }
        self.wake_waiter(id);
    }

    /// Aborted.
    fn bury(&mut self, id: usize) {
        self.tasks[id].life = Life::Gone;
        self.drop(Part::Future, id);
        self.wake_waiter(id);
    }

    fn wake_waiter(&mut self, id: usize) {
        let task = &mut self.tasks[id];
        task.was_waiter_woken |= mem::take(&mut task.is_waited_for);
    }

    fn drop_result(&mut self, id: usize, outcome: Outcome) {
        if outcome == Outcome::Value {
            self.drop(Part::Value, id);
        }
    }

    fn drop(&mut self, part: Part, id: usize) {
        if let Some(together) = &mut self.dropped_together {
            return together.push((part, id));
        }
        self.seen.push(Seen::Dropped(part, id));
        let scripts = self.scripts;
        scripts[self.tasks[id].script].last_words[part as usize].iter().for_each(|act| self.act(Some(id), *act));
    }

    fn act(&mut self, oneself: Option<usize>, act: Act) {
        self.acts += 1;
        if self.acts > MOST_ACTS && oneself.is_some() {
            return;
        }
        match act {
            Act::Spawn(script) => self.spawn(script),
            Act::Close => self.close(),
            Act::Wake(who) => self.with(who, oneself, Model::wake),
            Act::Abort(who) => self.with(who, oneself, Model::abort),
            Act::Detach(who) => self.with(who, oneself, Model::detach),
            Act::Join(who) => self.with(who, oneself, Model::join),
        }
        let is_alive = |task: &&ModelTask| !matches!(task.life, Life::Ended(_) | Life::Gone);
        self.seen.push(Seen::Alive(self.tasks.iter().filter(is_alive).count()));
    }

    fn with(&mut self, who: Who, oneself: Option<usize>, act: fn(&mut Self, usize)) {
        let id = match who {
            Who::Oneself => oneself,
            Who::Any(id) => Some(id).filter(|id| *id < self.tasks.len()),
        };
        id.into_iter().for_each(|id| act(self, id));
    }

    fn spawn(&mut self, script: usize) {
        if self.tasks.len() < MOST_TASKS && !self.is_closed {
            self.queue.push(self.tasks.len());
            self.tasks.push(ModelTask {
                script,
                polls: 0,
                life: Life::Queued,
                has_handle: true,
                is_handle_there: true,
                is_waited_for: false,
                was_waiter_woken: false,
            });
        }
    }

    fn wake(&mut self, id: usize) {
        match &mut self.tasks[id].life {
            life @ Life::Idle => {
                *life = Life::Queued;
                self.queue.push(id);
            }
            Life::Running { woken: woken @ false, aborted: false } => {
                *woken = true;
                self.queue.push(id);
            }
            _ => {}
        }
    }

    fn abort(&mut self, id: usize) {
        if !mem::take(&mut self.tasks[id].is_handle_there) {
            return;
        }
        match &mut self.tasks[id].life {
            Life::Idle | Life::Queued => self.bury(id),
            Life::Running { aborted, .. } => *aborted = true,
            Life::Ended(_) | Life::Gone => {}
        }
        self.tasks[id].is_handle_there = true;
    }

    fn detach(&mut self, id: usize) {
        let task = &mut self.tasks[id];
        if !mem::take(&mut task.is_handle_there) {
            return;
        }
        task.has_handle = false;
        if let Life::Ended(outcome) = task.life {
            task.life = Life::Gone;
            self.drop_result(id, outcome);
        }
    }

    fn join(&mut self, id: usize) {
        let task = &mut self.tasks[id];
        if !task.is_handle_there {
            return;
        }
        task.was_waiter_woken = false;
        let outcome = match task.life {
            Life::Ended(outcome) => outcome,
            Life::Gone => Outcome::Cancelled,
            _ => {
                task.is_waited_for = true;
                return self.seen.push(Seen::Joined(id, Outcome::Pending));
            }
        };
        (task.life, task.has_handle, task.is_handle_there) = (Life::Gone, false, false);
        self.seen.push(Seen::Joined(id, outcome));
        self.drop_result(id, outcome);
    }

    fn close(&mut self) {
        if mem::replace(&mut self.is_closed, true) {
            return;
        }
        self.dropped_together = Some(Vec::new());
        for id in 0..self.tasks.len() {
            match &mut self.tasks[id].life {
                Life::Idle | Life::Queued => self.bury(id),
                Life::Running { aborted, .. } => *aborted = true,
                Life::Ended(_) | Life::Gone => {}
            }
        }
        self.seen.extend(self.dropped_together.take().map(Seen::DroppedTogether));
    }
}

static SCOPE: context::Key<Rc<Real>> = context::Key::new();

/// The same on a loop.
struct Real {
    ioloop: IOLoop,
    scripts: Vec<Script>,
    tasks: RefCell<Vec<RealTask>>,
    is_closed: Cell<bool>,
    acts: Cell<usize>,
    dropped_together: RefCell<Option<Vec<(Part, usize)>>>,
    seen: Log<Seen>,
}

struct RealTask {
    script: usize,
    handle: Option<JoinHandle<Value>>,
    /// Its own, from the first poll on.
    waker: Option<Waker>,
    /// Of whoever waits for it.
    waiter: Arc<Count>,
}

impl Real {
    fn tell(scripts: &[Script], ops: &[Op]) -> Vec<Seen> {
        let (ioloop, _world) = virtual_loop();
        // Wake-ups between the turns take their place at once then, and not when the inbox is emptied.
        ioloop.make_current();
        let real = Rc::new(Real {
            ioloop: ioloop.clone(),
            scripts: scripts.to_vec(),
            tasks: RefCell::default(),
            is_closed: Cell::new(false),
            acts: Cell::new(0),
            dropped_together: RefCell::new(None),
            seen: Log::new(),
        });
        let reports = real.seen.clone();
        ioloop.on_callback_exception(move |_| reports.push(Seen::Reported));
        for op in ops.iter().copied().chain(epilogue()) {
            match op {
                Op::Do(act) => real.act(None, act),
                Op::Turn => {
                    ioloop.run_once(Some(Duration::ZERO));
                }
            }
            let was_woken = |task: &RealTask| task.waiter.get() > 0;
            real.seen.push(Seen::Woken(real.tasks.borrow().iter().map(was_woken).collect()));
        }
        IOLoop::clear_current();
        let kept = real.tasks.borrow().iter().filter(|task| Arc::strong_count(&task.waiter) > 1).count();
        assert_eq!(kept, 0, "wakers are kept of those who wait for no one");
        assert_eq!(Rc::strong_count(&real), 1, "futures, values or contexts are left");
        real.seen.take()
    }

    fn dropped(self: &Rc<Self>, part: Part, id: usize) {
        if let Some(together) = &mut *self.dropped_together.borrow_mut() {
            return together.push((part, id));
        }
        self.seen.push(Seen::Dropped(part, id));
        let script = self.tasks.borrow()[id].script;
        self.scripts[script].last_words[part as usize].iter().for_each(|act| self.act(Some(id), *act));
    }

    fn act(self: &Rc<Self>, oneself: Option<usize>, act: Act) {
        self.acts.set(self.acts.get() + 1);
        if self.acts.get() > MOST_ACTS && oneself.is_some() {
            return;
        }
        match act {
            Act::Spawn(script) => self.spawn(script),
            Act::Close => self.close(),
            Act::Wake(who) => self.with(who, oneself, Real::wake),
            Act::Abort(who) => self.with(who, oneself, Real::abort),
            Act::Detach(who) => self.with(who, oneself, Real::detach),
            Act::Join(who) => self.with(who, oneself, Real::join),
        }
        let alive = self.ioloop.task_count();
        assert_eq!(self.ioloop.metrics().live_tasks, alive);
        self.seen.push(Seen::Alive(alive));
    }

    fn with(self: &Rc<Self>, who: Who, oneself: Option<usize>, act: fn(&Rc<Self>, usize)) {
        let id = match who {
            Who::Oneself => oneself,
            Who::Any(id) => Some(id).filter(|id| *id < self.tasks.borrow().len()),
        };
        id.into_iter().for_each(|id| act(self, id));
    }

    fn spawn(self: &Rc<Self>, script: usize) {
        let id = self.tasks.borrow().len();
        if id == MOST_TASKS || self.is_closed.get() {
            return;
        }
        self.tasks.borrow_mut().push(RealTask { script, handle: None, waker: None, waiter: Arc::default() });
        let future = Scripted { real: Rc::clone(self), id, polls: 0 };
        let spawn = || self.ioloop.spawn(future);
        let is_in_scope = self.scripts[script].in_scope;
        let handle = if is_in_scope { SCOPE.scope(Rc::clone(self), spawn) } else { context::detached(spawn) };
        self.tasks.borrow_mut()[id].handle = Some(handle);
    }

    fn wake(self: &Rc<Self>, id: usize) {
        let waker = self.tasks.borrow()[id].waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn take_handle(&self, id: usize) -> Option<JoinHandle<Value>> {
        self.tasks.borrow_mut()[id].handle.take()
    }

    fn abort(self: &Rc<Self>, id: usize) {
        if let Some(handle) = self.take_handle(id) {
            handle.abort();
            self.tasks.borrow_mut()[id].handle = Some(handle);
        }
    }

    fn detach(self: &Rc<Self>, id: usize) {
        drop(self.take_handle(id));
    }

    fn join(self: &Rc<Self>, id: usize) {
        let Some(mut handle) = self.take_handle(id) else { return };
        let waiter = Arc::clone(&self.tasks.borrow()[id].waiter);
        waiter.take();
        let joined = Pin::new(&mut handle).poll(&mut Context::from_waker(&Waker::from(waiter)));
        let outcome = match &joined {
            Poll::Pending => Outcome::Pending,
            Poll::Ready(Ok(value)) => {
                assert_eq!(value.id, id);
                Outcome::Value
            }
            Poll::Ready(Err(JoinError::Cancelled)) => Outcome::Cancelled,
            Poll::Ready(Err(_)) => Outcome::Panicked,
        };
        self.seen.push(Seen::Joined(id, outcome));
        if outcome == Outcome::Pending {
            self.tasks.borrow_mut()[id].handle = Some(handle);
        } else {
            assert!(handle.is_finished());
        }
        drop(joined);
    }

    fn close(self: &Rc<Self>) {
        if self.is_closed.replace(true) {
            return;
        }
        self.dropped_together.replace(Some(Vec::new()));
        self.ioloop.close();
        let mut together = self.dropped_together.take().expect("set above");
        together.sort_by_key(|(part, id)| (*id, *part));
        self.seen.push(Seen::DroppedTogether(together));
        // The hook has gone with the loop's other things, and what panics after it would be logged.
        let reports = self.seen.clone();
        self.ioloop.on_callback_exception(move |_| reports.push(Seen::Reported));
    }
}

/// A task that does what its script says.
struct Scripted {
    real: Rc<Real>,
    id: usize,
    polls: usize,
}

impl Future for Scripted {
    type Output = Value;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Value> {
        let (real, id) = (Rc::clone(&self.real), self.id);
        let script = &real.scripts[real.tasks.borrow()[id].script];
        assert_eq!(SCOPE.get().is_some(), script.in_scope);
        real.seen.push(Seen::Polled(id));
        real.tasks.borrow_mut()[id].waker.get_or_insert_with(|| cx.waker().clone());
        self.polls += 1;
        script.polls.get(self.polls - 1).into_iter().flatten().for_each(|act| real.act(Some(id), *act));
        if self.polls < script.polls.len() {
            return Poll::Pending;
        }
        match script.ending {
            Ending::Value => Poll::Ready(Value { real: Rc::clone(&real), id }),
            // Past the panic hook, which would write thousands of lines.
            Ending::Panic => resume_unwind(Box::new("as the script says")),
            Ending::Never => Poll::Pending,
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let script = self.real.tasks.borrow()[self.id].script;
        assert_eq!(SCOPE.get().is_some(), self.real.scripts[script].in_scope, "a future is dropped in its context");
        self.real.dropped(Part::Future, self.id);
    }
}

struct Value {
    real: Rc<Real>,
    id: usize,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.real.dropped(Part::Value, self.id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn tasks_live_and_die_as_the_model_says_whoever_does_what_to_whom(
        scripts in prop::collection::vec(script(), SCRIPTS),
        ops in prop::collection::vec(op(), 1..24),
    ) {
        prop_assert_eq!(Real::tell(&scripts, &ops), Model::tell(&scripts, &ops));
    }
}

#[test]
fn model_agrees_on_a_life_known_by_heart() {
    let plain = |polls, ending| Script { polls, ending, last_words: [vec![], vec![]], in_scope: false };
    let scripts = vec![plain(vec![vec![Act::Join(Who::Oneself), Act::Wake(Who::Oneself)], vec![]], Ending::Value)];
    let ops = [Op::Do(Act::Spawn(0)), Op::Turn, Op::Turn, Op::Do(Act::Join(Who::Any(0)))];
    let seen = Real::tell(&scripts, &ops);
    assert_eq!(
        seen[..12],
        [
            Seen::Alive(1),
            Seen::Woken(vec![false]),
            Seen::Polled(0),
            Seen::Joined(0, Outcome::Pending),
            Seen::Alive(1),
            Seen::Alive(1),
            Seen::Woken(vec![false]),
            Seen::Polled(0),
            Seen::Dropped(Part::Future, 0),
            Seen::Woken(vec![true]),
            Seen::Joined(0, Outcome::Value),
            Seen::Dropped(Part::Value, 0),
        ]
    );
    assert_eq!(seen, Model::tell(&scripts, &ops));
}
