//! Names and addresses.

mod common;

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io::ErrorKind,
    net::SocketAddr,
    rc::Rc,
    sync::mpsc,
    task::Poll,
    thread,
};

use common::{NO_NAME, run, turns};
use iostream::{
    Error, IOLoop,
    ioloop::ExecutorOptions,
    netutil::Family,
    resolver::{OverrideResolver, ResolveFuture, Resolver, ThreadedResolver, resolve},
};

fn ask(host: &str, port: u16, family: Family) -> iostream::Result<Vec<SocketAddr>> {
    run(resolve(&ThreadedResolver, host, port, family))
}

#[test]
fn localhost_is_a_loopback_address() {
    let addrs = ask("localhost", 80, Family::Any).unwrap();
    assert!(!addrs.is_empty() && addrs.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 80));
    let v4 = ask("localhost", 80, Family::V4).unwrap();
    assert!(!v4.is_empty() && v4.iter().all(SocketAddr::is_ipv4));
}

#[test]
fn numeric_addresses_are_themselves() {
    assert_eq!(ask("127.0.0.1", 1, Family::Any).unwrap(), ["127.0.0.1:1".parse().unwrap()]);
    assert_eq!(ask("::1", 1, Family::V6).unwrap(), ["[::1]:1".parse().unwrap()]);
    assert!(ask("::1", 1, Family::V4).is_err());
}

#[test]
fn what_has_no_address_is_an_error_that_names_it() {
    for host in [NO_NAME, "", "a\0b", "[::1]", &"a".repeat(100_000)] {
        let error = ask(host, 80, Family::Any).unwrap_err();
        assert!(matches!(&error, Error::Resolve { host: named, .. } if named == host), "{error:?}");
    }
    let error = ask(NO_NAME, 80, Family::Any).unwrap_err();
    assert!(error.to_string().starts_with(&format!("resolving {NO_NAME}: ")), "{error}");
    let error = ask("127.0.0.1", 80, Family::V6).unwrap_err();
    assert!(matches!(&error, Error::Resolve { cause, .. } if cause.kind() == ErrorKind::NotFound), "{error:?}");
}

#[test]
fn the_loop_goes_on_during_a_lookup() {
    let (release, blocked) = mpsc::channel::<()>();
    run(async {
        // The only thread of the pool is busy, so that the lookup takes as long as the test likes.
        IOLoop::current().configure_executor(ExecutorOptions::new().max_threads(1));
        let busy = iostream::run_in_executor(move || blocked.recv());
        let lookup = iostream::spawn(async { resolve(&ThreadedResolver, "localhost", 80, Family::Any).await });
        turns(3).await;
        assert!(!lookup.is_finished());
        drop(release);
        lookup.await.unwrap().unwrap();
        assert!(busy.await.unwrap().is_err());
    });
}

#[test]
fn a_lookup_that_nobody_waits_for_harms_nothing() {
    run(async {
        for _ in 0..10 {
            let mut lookup = Box::pin(resolve(&ThreadedResolver, "localhost", 80, Family::Any));
            let _ = poll_fn(|cx| Poll::Ready(lookup.as_mut().poll(cx))).await;
        }
        resolve(&ThreadedResolver, "localhost", 80, Family::Any).await.unwrap();
    });
}

#[test]
fn a_closed_loop_answers_with_an_error() {
    thread::spawn(|| {
        let lookup = ThreadedResolver.resolve("localhost", 80, Family::Any);
        let ioloop = IOLoop::current();
        let result = Rc::new(RefCell::new(None));
        let seen = result.clone();
        ioloop.run_sync(async move {
            IOLoop::current().close();
            seen.replace(Some(lookup.await));
        });
        if let Some(result) = result.take() {
            assert!(matches!(result, Err(Error::Resolve { .. })), "{result:?}");
        }
    })
    .join()
    .unwrap();
}

/// Says what it was asked, in the order of the questions.
#[derive(Default)]
struct Asked(Rc<RefCell<Vec<(String, u16)>>>);

impl Resolver for Asked {
    fn resolve(&self, host: &str, port: u16, _family: Family) -> ResolveFuture {
        self.0.borrow_mut().push((host.to_owned(), port));
        let addrs = ["[2001:db8::1]:1", "192.0.2.1:1", "192.0.2.1:1", "[2001:db8::1]:1"];
        Box::pin(async move { Ok(addrs.map(|addr| addr.parse().unwrap()).to_vec()) })
    }
}

#[test]
fn the_most_exact_override_counts() {
    let asked = Asked::default();
    let questions = asked.0.clone();
    let resolver = OverrideResolver::new(asked)
        .host("google.com", "1.2.3.4")
        .host_port(("google.com", 80), ("5.6.7.8", 81))
        .host_port_family(("google.com", 80, Family::V4), ("9.0.1.2", 82));
    for (host, port, family) in [
        ("google.com", 80, Family::V4),
        ("Google.COM", 80, Family::V6),
        ("google.com", 443, Family::Any),
        ("other.com", 80, Family::V4),
    ] {
        run(resolver.resolve(host, port, family)).unwrap();
    }
    let expected = [("9.0.1.2", 82), ("5.6.7.8", 81), ("1.2.3.4", 443), ("other.com", 80)];
    assert_eq!(*questions.borrow(), expected.map(|(host, port)| (host.to_owned(), port)));
}

#[test]
fn repeated_addresses_and_other_families_are_dropped_and_the_order_stays() {
    let of = |family| {
        let addrs = run(resolve(&Asked::default(), "x", 1, family)).unwrap();
        addrs.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of(Family::Any), ["[2001:db8::1]:1", "192.0.2.1:1"]);
    assert_eq!(of(Family::V4), ["192.0.2.1:1"]);
    assert_eq!(of(Family::V6), ["[2001:db8::1]:1"]);
}
