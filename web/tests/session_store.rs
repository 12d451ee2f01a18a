//! The store of sessions in memory, against a list.

use std::time::Duration;

use proptest::prelude::*;
use web::{
    security::{MemoryStore, SessionStore},
    testing,
};

/// What is done to a store.
#[derive(Debug, Clone)]
enum Step {
    Load(u8, u64),
    Insert(u8, u8, u64),
    Update(u8, u8, u64),
    Remove(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (key, keep) = (0u8..4, 0u64..20);
    prop_oneof![
        (key.clone(), keep.clone()).prop_map(|(key, keep)| Step::Load(key, keep)),
        (key.clone(), any::<u8>(), keep.clone()).prop_map(|(key, data, keep)| Step::Insert(key, data, keep)),
        (key.clone(), any::<u8>(), keep.clone()).prop_map(|(key, data, keep)| Step::Update(key, data, keep)),
        key.prop_map(Step::Remove),
        keep.prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn a_store_in_memory_is_a_list_with_ends(steps in proptest::collection::vec(step(), 0..40)) {
        testing::run(async {
            const MAX: usize = 3;
            let store = MemoryStore::new().max_sessions(MAX);
            // Key, data, end, and the number of the step that set the end.
            let mut model: Vec<(u8, u8, u64, usize)> = Vec::new();
            let mut now = 0;
            for (number, step) in steps.into_iter().enumerate() {
                model.retain(|(_, _, end, _)| *end > now);
                let at = |model: &[(u8, u8, u64, usize)], key| model.iter().position(|entry| entry.0 == key);
                let seconds = Duration::from_secs;
                match step {
                    Step::Load(key, keep) => {
                        let expected = at(&model, key).map(|at| {
                            (model[at].2, model[at].3) = (now + keep, number);
                            model[at].1.to_string()
                        });
                        assert_eq!(store.load(&key.to_string(), seconds(keep)).await.unwrap(), expected);
                    }
                    Step::Insert(key, data, keep) => {
                        model.retain(|entry| entry.0 != key);
                        if model.len() == MAX {
                            let first = model.iter().map(|entry| (entry.2, entry.3)).min().unwrap();
                            model.retain(|entry| (entry.2, entry.3) != first);
                        }
                        model.push((key, data, now + keep, number));
                        store.insert(&key.to_string(), data.to_string(), seconds(keep)).await.unwrap();
                    }
                    Step::Update(key, data, keep) => {
                        let expected = at(&model, key).map(|at| model[at] = (key, data, now + keep, number)).is_some();
                        let updated = store.update(&key.to_string(), data.to_string(), seconds(keep)).await.unwrap();
                        assert_eq!(updated, expected);
                    }
                    Step::Remove(key) => {
                        model.retain(|entry| entry.0 != key);
                        store.remove(&key.to_string()).await.unwrap();
                    }
                    Step::Wait(by) => {
                        testing::advance(seconds(by)).await;
                        now += by;
                    }
                }
                model.retain(|(_, _, end, _)| *end > now);
                assert_eq!(store.len(), model.len());
            }
        });
    }
}
