//! Error boundaries: panics and errors of what was started within them, and their deactivation.

mod common;

use std::{
    cell::{Cell, RefCell},
    error::Error,
    future::pending,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    rc::Rc,
    time::Duration,
};

use common::{Log, OnDrop, new_loop, pair, run, turns, until};
use ioloop::{
    CallbackException, IOLoop, Interest, JoinError, WorkKind,
    context::{self, ErrorBoundary},
    spawn, yield_now,
};

static REQUEST: context::Key<u32> = context::Key::new();

/// A boundary that notes the messages it is told, with its name, and settles what it is told to.
fn boundary(name: &'static str, log: &Log<String>, settles: bool) -> ErrorBoundary {
    let log = log.clone();
    ErrorBoundary::new(move |exception| {
        log.push(format!("{name}: {}", exception.message()));
        settles
    })
}

/// A loop whose hook notes what it is told like a boundary.
fn hooked_loop() -> (IOLoop, Log<String>) {
    let (ioloop, log) = (new_loop(), Log::new());
    let noted = log.clone();
    ioloop.on_callback_exception(move |exception| noted.push(format!("hook: {}", exception.message())));
    (ioloop, log)
}

fn oh() {
    panic!("oh")
}

/// Tornado's library context: what a shared service registers for itself belongs to nobody's request.
#[test]
fn errors_of_a_shared_service_do_not_reach_who_happened_to_start_it() {
    let (ioloop, log) = hooked_loop();
    let request = boundary("request", &log, true);
    request.scope(|| {
        context::detached(|| ioloop.add_callback(|| panic!("the service's")));
        ioloop.add_callback(|| panic!("the request's"));
    });
    run(&ioloop, turns(2));
    assert_eq!(log.take(), ["hook: the service's", "request: the request's"]);
}

#[test]
fn boundary_is_told_of_panics_in_everything_started_within() {
    let ioloop = new_loop();
    let reports: Log<CallbackException> = Log::new();
    let noted = reports.clone();
    let boundary = ErrorBoundary::new(move |exception| {
        noted.push(exception.clone());
        true
    });
    ioloop.on_callback_exception(|exception| panic!("settled before: {exception}"));
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let first = line!() + 1;
    let token = boundary.scope(|| {
        ioloop.add_callback(|| panic!("callback"));
        ioloop.call_later(Duration::ZERO, || panic!("timer"));
        ioloop.spawn_detached(async { panic!("task") });
        ioloop.add_handler(ours, Interest::READABLE, |_| panic!("handler")).unwrap()
    });
    run(&ioloop, until(|| reports.len() >= 4));
    ioloop.remove_handler(token);
    let reports = reports.take();
    for (offset, kind) in (0..).zip([WorkKind::Callback, WorkKind::Timer, WorkKind::Task, WorkKind::Handler]) {
        let report = reports.iter().find(|report| report.kind() == kind).expect("one of each kind");
        assert_eq!(report.message(), kind.to_string());
        assert_eq!((report.location().file(), report.location().line()), (file!(), first + 1 + offset));
    }
}

#[test]
fn boundaries_are_asked_from_the_innermost_outwards() {
    let (ioloop, log) = hooked_loop();
    let fail = |settles: [bool; 3]| {
        let [outer, middle, inner] = [("outer", settles[0]), ("middle", settles[1]), ("inner", settles[2])]
            .map(|(name, settles)| boundary(name, &log, settles));
        outer.scope(|| REQUEST.scope(1, || middle.scope(|| inner.scope(|| ioloop.add_callback(|| panic!("oh"))))));
        run(&ioloop, turns(2));
        log.take()
    };
    assert_eq!(fail([true, true, true]), ["inner: oh"]);
    assert_eq!(fail([true, true, false]), ["inner: oh", "middle: oh"]);
    assert_eq!(fail([true, false, false]), ["inner: oh", "middle: oh", "outer: oh"]);
    assert_eq!(fail([false; 3]), ["inner: oh", "middle: oh", "outer: oh", "hook: oh"]);
}

#[test]
fn handler_of_a_boundary_runs_in_the_context_around_it() {
    let (ioloop, log) = (new_loop(), Log::new());
    let noted = log.clone();
    let within = ioloop.clone();
    let boundary = ErrorBoundary::new(move |_| {
        noted.push(REQUEST.get());
        // Goes to the loop's hook: the boundary is not around its own handler.
        context::report("and again");
        let noted = noted.clone();
        within.add_callback(move || noted.push(REQUEST.get()));
        true
    });
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    ioloop.on_callback_exception(move |_| count.set(count.get() + 1));
    REQUEST.scope(1, || boundary.scope(|| REQUEST.scope(2, || ioloop.add_callback(|| panic!("oh")))));
    run(&ioloop, turns(3));
    assert_eq!(log.take(), [Some(1), Some(1)]);
    assert_eq!(told.get(), 1);
}

#[test]
fn boundary_that_panics_itself_passes_on_what_it_was_told() {
    let (ioloop, log) = hooked_loop();
    boundary("outer", &log, false).scope(|| {
        context::catch(|_| panic!("the boundary's own"), || ioloop.add_callback(|| panic!("oh")));
    });
    run(&ioloop, turns(2));
    assert_eq!(log.take(), ["outer: oh", "hook: oh"]);
}

#[test]
fn task_of_a_settled_panic_is_over_and_its_handle_says_so() {
    let (ioloop, log) = hooked_loop();
    let task = boundary("it", &log, true).scope(|| {
        ioloop.spawn(async {
            yield_now().await;
            panic!("oh");
        })
    });
    let result: Result<(), JoinError> = run(&ioloop, task);
    assert!(matches!(result, Err(JoinError::Panicked { message }) if message == "oh"));
    run(&ioloop, turns(2));
    assert_eq!((ioloop.task_count(), log.take()), (0, vec!["it: oh".to_owned()]));
}

#[test]
fn handler_stays_registered_after_a_settled_panic() {
    let (ioloop, log) = hooked_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let token = boundary("it", &log, true)
        .scope(|| ioloop.add_handler(ours, Interest::READABLE, |_| panic!("every turn")).unwrap());
    run(&ioloop, until(|| log.len() == 3));
    assert!(ioloop.remove_handler(token));
    assert_eq!(log.take(), ["it: every turn"; 3]);
}

#[test]
fn panic_of_the_scope_itself_is_offered_and_goes_up_the_stack() {
    let (ioloop, log) = hooked_loop();
    for settles in [true, false] {
        let (inner, outer) = (boundary("inner", &log, settles), boundary("outer", &log, true));
        let registered = boundary("registered", &log, false);
        let after = Rc::new(Cell::new(false));
        let reached = Rc::clone(&after);
        registered.scope(|| {
            ioloop.add_callback(move || {
                outer.scope(|| inner.scope(oh));
                reached.set(true);
            });
        });
        run(&ioloop, turns(2));
        assert!(!after.get(), "the callback is over in any case");
        let expected: &[&str] = if settles { &["inner: oh"] } else { &["inner: oh", "outer: oh"] };
        assert_eq!(log.take(), expected);
    }
    let inner = boundary("inner", &log, false);
    ioloop.add_callback(move || inner.scope(|| panic!("oh")));
    run(&ioloop, turns(2));
    assert_eq!(log.take(), ["inner: oh", "hook: oh"]);
}

#[test]
fn unsettled_panic_of_a_scope_keeps_its_payload() {
    let boundary = ErrorBoundary::new(|_| false);
    let caught = catch_unwind(AssertUnwindSafe(|| boundary.scope(|| panic_any(5))));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&5));
}

#[test]
fn boundary_around_a_future_is_told_of_its_panic() {
    let (ioloop, log) = hooked_loop();
    let (inner, outer) = (boundary("inner", &log, false), boundary("outer", &log, true));
    let future = inner.scope_async(async {
        yield_now().await;
        panic!("oh");
    });
    outer.scope(|| ioloop.spawn_detached(future));
    run(&ioloop, turns(3));
    assert_eq!(log.take(), ["inner: oh", "outer: oh"]);
    assert_eq!(ioloop.task_count(), 0);
}

#[test]
fn panic_of_a_scope_is_told_with_the_place_of_the_scope() {
    let (ioloop, log) = (new_loop(), Log::new());
    let noted = log.clone();
    let boundary = ErrorBoundary::new(move |exception| {
        noted.push((exception.kind(), exception.location().line()));
        true
    });
    let first = line!() + 1;
    let future = boundary.scope_async(async { panic!("oh") });
    ioloop.spawn_detached(future);
    ioloop.add_callback(move || boundary.scope(|| panic!("oh")));
    run(&ioloop, turns(2));
    assert_eq!(log.take(), [(WorkKind::Scope, first), (WorkKind::Scope, first + 2)]);
}

#[test]
fn what_a_future_registers_belongs_to_the_boundary_around_it() {
    let (ioloop, log) = hooked_loop();
    let boundary = boundary("it", &log, true);
    run(&ioloop, async {
        let register = async {
            yield_now().await;
            spawn(async { panic!("task") });
        };
        boundary.scope_async(register).await;
        spawn(async { panic!("outside") });
        turns(2).await;
    });
    assert_eq!(log.take(), ["it: task", "hook: outside"]);
}

#[test]
fn panic_of_a_wrapped_function_reaches_the_boundaries_of_its_own_context_alone() {
    let (ioloop, log) = hooked_loop();
    let (own, callers) = (boundary("own", &log, false), boundary("caller's", &log, true));
    let wrapped = own.scope(|| context::wrap(|| panic!("oh")));
    callers.scope(|| ioloop.add_callback(wrapped));
    run(&ioloop, turns(2));
    assert_eq!(log.take(), ["own: oh", "hook: oh"]);
}

#[test]
fn panic_in_a_destructor_reaches_the_boundary_too() {
    let (ioloop, log) = hooked_loop();
    let bomb = OnDrop(|| panic!("dropped"));
    let task = boundary("it", &log, true).scope(|| {
        ioloop.spawn(async move {
            let _bomb = bomb;
            pending::<()>().await;
        })
    });
    run(&ioloop, turns(1));
    task.abort();
    assert_eq!(log.take(), ["it: dropped"]);
}

// Errors that are no panics.

#[test]
fn reported_error_goes_to_the_boundaries_and_the_caller_goes_on() {
    let (ioloop, log) = hooked_loop();
    let (inner, outer) = (boundary("inner", &log, false), boundary("outer", &log, true));
    let noted = log.clone();
    outer.scope(|| {
        inner.scope(|| {
            ioloop.add_callback(move || {
                context::report("oh");
                noted.push("still here".to_owned());
            });
        });
    });
    ioloop.add_callback(|| context::report("nobody's"));
    run(&ioloop, turns(2));
    assert_eq!(log.take(), ["inner: oh", "outer: oh", "still here", "hook: nobody's"]);
}

#[test]
fn error_of_a_task_is_told_with_its_type_and_place() {
    let ioloop = new_loop();
    let reports: Log<CallbackException> = Log::new();
    let noted = reports.clone();
    let boundary = ErrorBoundary::new(move |exception| {
        noted.push(exception.clone());
        true
    });
    let failing = async {
        yield_now().await;
        "no number".parse::<u32>().map(drop)
    };
    let line = line!() + 1;
    let task = context::reporting(failing);
    boundary.scope(|| ioloop.spawn_detached(task));
    boundary.scope(|| ioloop.spawn_detached(context::reporting(async { Ok::<(), Box<dyn Error + Send + Sync>>(()) })));
    run(&ioloop, turns(3));
    let reports = reports.take();
    assert_eq!(reports.len(), 1);
    assert_eq!((reports[0].kind(), reports[0].location().line()), (WorkKind::Error, line));
    assert!(reports[0].error().unwrap().is::<std::num::ParseIntError>());
    assert!(reports[0].to_string().starts_with("error reported at "), "{}", reports[0]);
}

// Deactivation.

#[test]
fn deactivated_boundary_is_told_of_nothing_registered_before_or_after() {
    let (ioloop, log) = hooked_loop();
    let (outer, inner) = (boundary("outer", &log, true), boundary("inner", &log, true));
    let (alive, deactivate) = (inner.clone(), inner.clone());
    outer.scope(|| {
        inner.scope(|| {
            ioloop.add_callback(|| panic!("first"));
            ioloop.add_callback(move || deactivate.deactivate());
            let again = ioloop.clone();
            ioloop.add_callback(move || {
                again.add_callback(|| panic!("third"));
                panic!("second");
            });
        });
    });
    run(&ioloop, turns(3));
    assert!(!alive.is_active());
    assert_eq!(log.take(), ["inner: first", "outer: second", "outer: third"]);
}

/// Tornado's `test_deactivate_order`: an outer one may go first.
#[test]
fn boundaries_are_deactivated_in_any_order() {
    let (ioloop, log) = hooked_loop();
    let [first, second, third] = ["1", "2", "3"].map(|name| boundary(name, &log, false));
    let fail = {
        let again = ioloop.clone();
        move || {
            run(&again, turns(2));
            log.take()
        }
    };
    let again = ioloop.clone();
    let mut tick = first
        .scope(|| second.scope(|| third.scope(|| context::wrap_mut(move |()| again.add_callback(|| panic!("oh"))))));
    tick(());
    assert_eq!(fail(), ["3: oh", "2: oh", "1: oh", "hook: oh"]);
    second.deactivate();
    tick(());
    assert_eq!(fail(), ["3: oh", "1: oh", "hook: oh"]);
    first.deactivate();
    first.deactivate();
    tick(());
    assert_eq!(fail(), ["3: oh", "hook: oh"]);
    third.deactivate();
    tick(());
    assert_eq!(fail(), ["hook: oh"]);
}

#[test]
fn boundary_may_deactivate_itself_while_it_is_told() {
    let (ioloop, log) = hooked_loop();
    let itself: Rc<RefCell<Option<ErrorBoundary>>> = Rc::default();
    let (own, noted) = (Rc::clone(&itself), log.clone());
    let (dropped, guard) = common::drop_flag();
    let boundary = ErrorBoundary::new(move |exception| {
        let _guard = &guard;
        if let Some(boundary) = own.take() {
            boundary.deactivate();
        }
        noted.push(format!("once: {}", exception.message()));
        true
    });
    itself.replace(Some(boundary.clone()));
    boundary.scope(|| {
        ioloop.add_callback(|| panic!("first"));
        ioloop.add_callback(|| panic!("second"));
    });
    run(&ioloop, turns(2));
    assert_eq!(log.take(), ["once: first", "hook: second"]);
    assert!(dropped.get(), "the handler goes with the deactivation");
}
