//! The lives of tasks against a model: whoever does whatever to whom at any moment, everybody is polled, woken, joined and
//! dropped as often as that is due. The corners, one by one, are in `task_corners`.

#[path = "../common/mod.rs"]
mod common;
mod model;
mod real;
mod script;

use model::Model;
use proptest::prelude::*;
use real::Real;
use script::*;

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
