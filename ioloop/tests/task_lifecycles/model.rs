use std::mem;

use super::script::*;

/// The model: a list, and states in place of futures.
#[derive(Default)]
pub(super) struct Model<'a> {
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
    pub(super) fn tell(scripts: &'a [Script], ops: &[Op]) -> Vec<Seen> {
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
