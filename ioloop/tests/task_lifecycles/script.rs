//! What tasks do, and what is to be seen of it.

use proptest::prelude::*;

/// What one task does, and what becomes of it.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// What it does in each poll. It suspends after each but the last.
    pub(super) polls: Vec<Vec<Act>>,
    pub(super) ending: Ending,
    /// What the destructors of its future and of its value do.
    pub(super) last_words: [Vec<Act>; 2],
    pub(super) in_scope: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ending {
    Value,
    Panic,
    Never,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
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
pub(super) enum Who {
    /// The task that acts; nobody when none does.
    Oneself,
    Any(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    Do(Act),
    Turn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Future,
    Value,
}

/// All that is to be seen from outside, in its order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
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
pub(super) enum Outcome {
    Pending,
    Value,
    Panicked,
    Cancelled,
}

pub(super) const SCRIPTS: usize = 5;

/// Destructors that spawn what spawns in its destructor go on for ever; this much is compared.
pub(super) const MOST_TASKS: usize = 16;
pub(super) const MOST_ACTS: usize = 200;

pub(super) fn act() -> impl Strategy<Value = Act> {
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

pub(super) fn script() -> impl Strategy<Value = Script> {
    let acts = || prop::collection::vec(act(), 0..4);
    let ending = prop_oneof![4 => Just(Ending::Value), 2 => Just(Ending::Panic), 1 => Just(Ending::Never)];
    let last_words = prop_oneof![Just([vec![], vec![]]), (acts(), acts()).prop_map(|(future, value)| [future, value])];
    (prop::collection::vec(acts(), 1..4), ending, last_words, any::<bool>())
        .prop_map(|(polls, ending, last_words, in_scope)| Script { polls, ending, last_words, in_scope })
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![2 => act().prop_map(Op::Do), 1 => Just(Op::Turn)]
}

/// What is done at the end of every program.
pub(super) fn epilogue() -> impl Iterator<Item = Op> {
    let all = |act: fn(Who) -> Act| (0..MOST_TASKS).map(move |id| Op::Do(act(Who::Any(id))));
    [Op::Turn; 2]
        .into_iter()
        .chain(all(Act::Join))
        .chain([Op::Turn])
        .chain(all(Act::Detach))
        .chain([Op::Do(Act::Close)])
}
