use std::{
    cell::{Cell, RefCell},
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use ioloop::{IOLoop, JoinError, JoinHandle, context};

use super::{
    common::{Count, Log, virtual_loop},
    script::*,
};

static SCOPE: context::Key<Rc<Real>> = context::Key::new();

/// The same on a loop.
pub(super) struct Real {
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
    pub(super) fn tell(scripts: &[Script], ops: &[Op]) -> Vec<Seen> {
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
