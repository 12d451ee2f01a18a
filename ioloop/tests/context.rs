//! Contexts: values follow what was registered within their scope, and nothing else.

mod common;

use std::{
    cell::Cell,
    future::{Future, pending},
    io::Write,
    panic::{catch_unwind, panic_any},
    pin::Pin,
    rc::Rc,
    time::Duration,
};

use common::{Log, OnDrop, new_loop, pair, run, turns, until, virtual_loop};
use ioloop::{
    IOLoop, Interest, PeriodicCallback,
    context::{self, ErrorBoundary},
    sleep, spawn, yield_now,
};

static REQUEST: context::Key<u32> = context::Key::new();
static USER: context::Key<Rc<str>> = context::Key::new();

type Values = Log<Option<u32>>;

/// A callback that notes which value it finds.
fn note(log: &Values) -> impl FnMut() + use<> {
    let log = log.clone();
    move || log.push(REQUEST.get())
}

// Values.

#[test]
fn value_is_there_within_its_scope_alone() {
    assert_eq!(REQUEST.get(), None);
    let result = REQUEST.scope(1, || {
        assert_eq!(REQUEST.get(), Some(1));
        REQUEST.scope(2, || assert_eq!(REQUEST.get(), Some(2)));
        assert_eq!(REQUEST.get(), Some(1));
        "done"
    });
    assert_eq!((result, REQUEST.get()), ("done", None));
}

#[test]
fn keys_of_one_type_do_not_mix() {
    static OTHER: context::Key<u32> = context::Key::new();
    let moved = context::Key::new();
    REQUEST.scope(1, || {
        assert_eq!(OTHER.get(), None);
        OTHER.scope(2, || assert_eq!((REQUEST.get(), OTHER.get()), (Some(1), Some(2))));
        moved.scope(3, || {
            let here = &moved;
            assert_eq!((REQUEST.get(), here.get()), (Some(1), Some(3)));
        });
    });
}

#[test]
fn value_is_lent_without_a_clone() {
    static WORDS: context::Key<Vec<String>> = context::Key::new();
    WORDS.scope(vec!["a".to_owned(), "b".to_owned()], || {
        assert_eq!(WORDS.with(|words| words.map(Vec::len)), Some(2));
        // Another scope from within the loan.
        WORDS.with(|outer| {
            WORDS.scope(Vec::new(), || assert_eq!(WORDS.with(|words| words.map(Vec::len)), Some(0)));
            assert_eq!(outer.map(Vec::len), Some(2));
        });
    });
}

#[test]
fn scope_ends_with_a_panic() {
    let caught = catch_unwind(|| REQUEST.scope(1, || panic_any(5)));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&5), "the payload is left alone");
    assert_eq!(REQUEST.get(), None);
}

#[test]
fn callbacks_timers_handlers_and_tasks_run_in_the_context_they_were_registered_in() {
    let (ioloop, log) = (new_loop(), Values::new());
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let token = REQUEST.scope(7, || {
        ioloop.add_callback(note(&log));
        ioloop.call_later(Duration::ZERO, note(&log));
        ioloop.call_at(ioloop.time(), note(&log));
        let mut task = note(&log);
        ioloop.spawn_detached(async move {
            task();
            yield_now().await;
            task();
        });
        let mut task = note(&log);
        drop(ioloop.spawn(async move { task() }));
        let mut handler = note(&log);
        ioloop.add_handler(ours, Interest::READABLE, move |_| handler()).unwrap()
    });
    ioloop.add_callback(note(&log));
    run(&ioloop, turns(3));
    ioloop.remove_handler(token);
    let seen = log.take();
    assert_eq!(seen.iter().filter(|value| value.is_none()).count(), 1, "{seen:?}");
    assert!(seen.iter().filter(|value| **value == Some(7)).count() >= 8, "{seen:?}");
}

#[test]
fn context_goes_on_from_one_callback_to_the_next() {
    let (ioloop, log) = (new_loop(), Values::new());
    let (again, noted) = (ioloop.clone(), log.clone());
    REQUEST.scope(7, || {
        ioloop.add_callback(move || {
            let (further, last) = (again.clone(), note(&noted));
            again.call_later(Duration::ZERO, move || {
                spawn(async move {
                    sleep(Duration::ZERO).await;
                    further.add_callback(last);
                });
            });
        });
    });
    run(&ioloop, until(|| log.len() == 1));
    assert_eq!(log.take(), [Some(7)]);
}

#[test]
fn result_of_a_job_comes_back_into_the_context_of_who_asked() {
    let (ioloop, log) = (new_loop(), Values::new());
    let noted = log.clone();
    REQUEST.scope(7, || {
        let job = ioloop.run_in_executor(|| REQUEST.get());
        ioloop.add_future(job, move |there| {
            noted.push(there.unwrap());
            noted.push(REQUEST.get());
        });
    });
    run(&ioloop, until(|| log.len() == 2));
    assert_eq!(log.take(), [None, Some(7)], "contexts stay on their thread");
}

#[test]
fn periodic_callback_runs_in_the_context_of_its_start() {
    let ((ioloop, _world), log) = (virtual_loop(), Values::new());
    let noted = log.clone();
    let ticks = run(&ioloop, async move {
        let ticks = REQUEST.scope(1, || {
            PeriodicCallback::new(Duration::from_millis(5), move || {
                noted.push(REQUEST.get());
                if noted.len() == 2 {
                    panic!("the schedule goes on");
                }
            })
        });
        REQUEST.scope(2, || ticks.start());
        ticks
    });
    ioloop.on_callback_exception(|_| {});
    run(&ioloop, async { sleep(Duration::from_millis(22)).await });
    drop(ticks);
    assert_eq!(log.take(), [Some(2); 4]);
}

#[test]
fn asynchronous_periodic_callback_keeps_its_context_over_all_calls() {
    let ((ioloop, _world), log) = (virtual_loop(), Values::new());
    let noted = log.clone();
    let ticks = run(&ioloop, async move {
        let ticks = PeriodicCallback::new_async(Duration::from_millis(5), move || {
            let mut note = note(&noted);
            async move {
                sleep(Duration::from_millis(1)).await;
                note();
            }
        });
        REQUEST.scope(2, || ticks.start());
        ticks
    });
    run(&ioloop, async { sleep(Duration::from_millis(23)).await });
    drop(ticks);
    assert_eq!(log.take(), [Some(2); 4]);
}

#[test]
fn work_from_other_threads_has_no_context() {
    let (ioloop, log) = (new_loop(), Values::new());
    let handle = ioloop.handle();
    let (send, receive) = std::sync::mpsc::channel();
    REQUEST.scope(7, || {
        let also = send.clone();
        handle.add_callback(move || send.send(REQUEST.get()).unwrap()).unwrap();
        handle.spawn(async move { also.send(REQUEST.get()).unwrap() }).unwrap();
        run(&ioloop, turns(3));
    });
    drop(log);
    assert_eq!(receive.iter().collect::<Vec<_>>(), [None, None]);
}

// Isolation.

#[test]
fn tasks_do_not_see_each_others_values() {
    let (ioloop, log) = (new_loop(), Log::new());
    for request in 0..3 {
        let log = log.clone();
        REQUEST.scope(request, || {
            ioloop.spawn_detached(async move {
                for _ in 0..3 {
                    yield_now().await;
                    log.push((request, REQUEST.get()));
                }
            });
        });
    }
    run(&ioloop, until(|| log.len() == 9));
    assert!(log.take().iter().all(|(request, seen)| *seen == Some(*request)));
    assert_eq!(REQUEST.get(), None);
}

#[test]
fn scope_across_a_wait_does_not_leak_into_others() {
    let (ioloop, log) = (new_loop(), Values::new());
    let inner = async {
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(REQUEST.get());
            yield_now().await;
        }
        seen
    };
    let seen = run(&ioloop, async {
        for _ in 0..2 {
            spawn({
                let mut note = note(&log);
                async move {
                    yield_now().await;
                    note();
                }
            });
        }
        let seen = REQUEST.scope_async(5, inner).await;
        assert_eq!(REQUEST.get(), None);
        seen
    });
    assert_eq!(seen, [Some(5); 3]);
    assert_eq!(log.take(), [None; 2]);
}

#[test]
fn nested_asynchronous_scopes_hide_and_restore() {
    let seen = run(&new_loop(), async {
        let inner = async {
            yield_now().await;
            (REQUEST.get(), USER.get())
        };
        let outer = async {
            let within = USER.scope_async("ada".into(), REQUEST.scope_async(2, inner)).await;
            (within, REQUEST.get(), USER.get())
        };
        REQUEST.scope_async(1, outer).await
    });
    assert_eq!(seen, ((Some(2), Some("ada".into())), Some(1), None));
}

#[test]
fn run_sync_runs_its_future_alone_in_the_callers_context() {
    let (ioloop, log) = (new_loop(), Values::new());
    ioloop.add_callback(note(&log));
    REQUEST.scope(7, || {
        run(&ioloop, async {
            yield_now().await;
            assert_eq!(REQUEST.get(), Some(7));
            spawn({
                let mut note = note(&log);
                async move { note() }
            });
            turns(2).await;
        });
        assert_eq!(REQUEST.get(), Some(7));
    });
    assert_eq!(log.take(), [None, Some(7)]);
}

#[test]
fn loop_run_from_a_callback_of_another_begins_without_context() {
    let (outer, inner, log) = (new_loop(), new_loop(), Values::new());
    inner.add_callback(note(&log));
    let (mut after, driven) = (note(&log), inner.clone());
    REQUEST.scope(1, || {
        outer.add_callback(move || {
            driven.run_once(Some(Duration::ZERO));
            after();
        });
    });
    run(&outer, turns(2));
    assert_eq!(log.take(), [None, Some(1)]);
}

#[test]
fn detached_work_inherits_nothing() {
    let (ioloop, log) = (new_loop(), Values::new());
    let noted = log.clone();
    REQUEST.scope(7, || {
        ioloop.spawn_callback(note(&log));
        let mut task = note(&log);
        ioloop.spawn_independent(async move { task() });
        context::detached(|| {
            noted.push(REQUEST.get());
            ioloop.add_callback(note(&noted));
            REQUEST.scope(8, || ioloop.add_callback(note(&noted)));
        });
        assert_eq!(REQUEST.get(), Some(7));
    });
    run(&ioloop, turns(2));
    assert_eq!(log.take(), [None, None, None, None, Some(8)]);
}

/// `isolation_nonempty` and `isolation_empty` of Tornado: `f2` runs in the context that `f1` was wrapped in, also where
/// that was none, and not in the one it is called from.
#[test]
fn wrapped_function_runs_in_its_own_context_instead_of_the_callers() {
    let (ioloop, log) = (new_loop(), Values::new());
    for outside in [Some(1), None] {
        let wrapped = {
            let (again, noted) = (ioloop.clone(), log.clone());
            let wrap = || {
                context::wrap(move || {
                    noted.push(REQUEST.get());
                    again.add_callback(note(&noted));
                })
            };
            match outside {
                Some(value) => REQUEST.scope(value, wrap),
                None => wrap(),
            }
        };
        REQUEST.scope(2, || {
            wrapped();
            assert_eq!(REQUEST.get(), Some(2));
        });
        run(&ioloop, turns(2));
        assert_eq!(log.take(), [outside; 2]);
    }
}

/// Tornado's `test_pre_wrap` and `test_pre_wrap_with_args`.
#[test]
fn function_wrapped_before_keeps_its_context_through_add_callback_and_another_wrap() {
    let (ioloop, log) = (new_loop(), Values::new());
    let wrapped = REQUEST.scope(1, || context::wrap(note(&log)));
    REQUEST.scope(2, || ioloop.add_callback(wrapped));
    run(&ioloop, turns(2));
    assert_eq!(log.take(), [Some(1)]);

    let wrapped = REQUEST.scope(1, || context::wrap_mut(|add: u32| REQUEST.get().map(|value| value + add)));
    let mut twice = REQUEST.scope(2, || context::wrap_mut(wrapped));
    assert_eq!([twice(10), twice(20)], [Some(11), Some(21)]);
}

// Lifetimes.

/// Notes, when it is dropped, its name and the value it finds.
struct Witness(&'static str, Log<(&'static str, Option<u32>)>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.1.push((self.0, REQUEST.get()));
    }
}

#[test]
fn what_never_ran_is_dropped_in_its_own_context() {
    let (ioloop, log) = (new_loop(), Log::new());
    let witness = |name| Witness(name, log.clone());
    let (task, timer, plain) = REQUEST.scope(1, || {
        let (kept, with_task, with_timer) = (witness("callback"), witness("task"), witness("timer"));
        ioloop.add_callback(move || drop(kept));
        let task = ioloop.spawn(async move {
            let _held = with_task;
            pending::<()>().await;
        });
        let timer = ioloop.call_later(Duration::from_secs(1), move || drop(with_timer));
        let with_plain = witness("plain");
        let plain = context::detached(|| ioloop.call_later(Duration::from_secs(1), move || drop(with_plain)));
        (task, timer, plain)
    });
    REQUEST.scope(2, || {
        task.abort();
        ioloop.remove_timeout(timer);
        ioloop.remove_timeout(plain);
        ioloop.close();
        assert_eq!(REQUEST.get(), Some(2));
    });
    assert_eq!(log.take(), [("task", Some(1)), ("timer", Some(1)), ("plain", None), ("callback", Some(1))]);
}

#[test]
fn scoped_future_is_dropped_within_its_scope() {
    let (ioloop, log) = (new_loop(), Log::new());
    let held = Witness("future", log.clone());
    let mut future = Box::pin(REQUEST.scope_async(1, async move {
        let _held = held;
        pending::<()>().await;
    }));
    run(&ioloop, async {
        assert!(common::poll_once(future.as_mut()).is_pending());
        drop(future);
    });
    assert_eq!(log.take(), [("future", Some(1))]);
}

#[test]
fn value_lives_as_long_as_anything_registered_in_its_scope() {
    static GUARD: context::Key<Box<dyn FnMut()>> = context::Key::new();
    let ioloop = new_loop();
    let dropped = Rc::new(Cell::new(false));
    let flag = Rc::clone(&dropped);
    let mut guard = OnDrop(move || flag.set(true));
    let touch: Box<dyn FnMut()> = Box::new(move || {
        let _held = &mut guard;
    });
    GUARD.scope(touch, || ioloop.add_callback(|| {}));
    assert!(!dropped.get(), "the callback holds it");
    run(&ioloop, turns(2));
    assert!(dropped.get());
}

#[test]
fn value_whose_destructor_looks_at_the_context_and_registers_is_harmless() {
    static WITNESS: context::Key<Witness> = context::Key::new();
    let log = Log::new();
    REQUEST.scope(1, || WITNESS.scope(Witness("value", log.clone()), || ()));
    assert_eq!(log.take(), [("value", Some(1))]);
}

/// Each callback adds the next one from within another scope, so the chain is as long as the callbacks are many.
#[test]
fn long_chain_of_scopes_is_dropped_without_recursion() {
    static ONE: context::Key<u32> = context::Key::new();
    static OTHER: context::Key<u32> = context::Key::new();
    fn deeper(ioloop: &IOLoop, left: u32, end: &Rc<Cell<bool>>) {
        let key = if left.is_multiple_of(2) { &ONE } else { &OTHER };
        key.scope(left, || {
            if left == 0 {
                end.set(true);
                return;
            }
            let (again, end) = (ioloop.clone(), Rc::clone(end));
            ioloop.add_callback(move || deeper(&again, left - 1, &end));
        });
    }
    let (ioloop, end) = (new_loop(), Rc::new(Cell::new(false)));
    deeper(&ioloop, 200_000, &end);
    run(&ioloop, until(|| end.get()));
}

#[test]
fn same_key_scoped_again_and_again_does_not_pile_up() {
    static GUARD: context::Key<OnDropFlag> = context::Key::new();
    let (ioloop, dropped) = (new_loop(), Rc::new(Cell::new(0)));
    fn again(ioloop: &IOLoop, dropped: &Rc<Cell<u32>>, rounds: u32) {
        if rounds == 0 {
            return;
        }
        GUARD.scope(OnDropFlag(Rc::clone(dropped)), || {
            let (next, count) = (ioloop.clone(), Rc::clone(dropped));
            ioloop.add_callback(move || again(&next, &count, rounds - 1));
        });
    }
    again(&ioloop, &dropped, 100);
    run(&ioloop, turns(50));
    assert!(dropped.get() >= 47, "{} of about 50 scopes are gone", dropped.get());
}

struct OnDropFlag(Rc<Cell<u32>>);

impl Drop for OnDropFlag {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn loop_closed_by_the_end_of_its_thread_drops_bound_work() {
    let (send, receive) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let guard = OnDrop(move || send.send(()).unwrap());
        REQUEST.scope(1, || IOLoop::current().add_callback(move || drop(guard)));
    });
    thread.join().unwrap();
    assert_eq!(receive.try_recv(), Ok(()));
}

// The executor-neutral way of polling: a future that is moved out of its first task stays in its scope.
#[test]
fn scoped_future_keeps_its_surroundings_wherever_it_is_polled() {
    let ioloop = new_loop();
    type Boxed = Pin<Box<dyn Future<Output = (Option<u32>, Option<Rc<str>>)>>>;
    let mut future: Boxed = Box::pin(REQUEST.scope_async(1, async {
        yield_now().await;
        (REQUEST.get(), USER.get())
    }));
    USER.scope("first".into(), || assert!(common::poll_once(future.as_mut()).is_pending()));
    let seen = USER.scope("second".into(), || run(&ioloop, future));
    assert_eq!(seen, (Some(1), Some("first".into())));
}

#[test]
fn deactivation_leaves_values_alone() {
    let (ioloop, log) = (new_loop(), Values::new());
    let boundary = ErrorBoundary::new(|_| true);
    REQUEST.scope(1, || boundary.scope(|| USER.scope("ada".into(), || ioloop.add_callback(note(&log)))));
    boundary.deactivate();
    run(&ioloop, turns(2));
    assert_eq!(log.take(), [Some(1)]);
}
