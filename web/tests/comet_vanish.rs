//! Clients that vanish, by a reset or in silence: the hub counts them no longer, and what they held is free.

mod util;

use std::{
    cell::RefCell,
    io::Write,
    mem,
    net::{SocketAddr, TcpStream},
    rc::Rc,
    time::Duration,
};

use socket2::SockRef;
use util::pages::{Host, Page, SECOND, UPGRADE, run_virtual};
use web::{
    Application, Exchange, IOLoop,
    comet::{Hub, HubOptions, PresenceChange},
    httpserver::iostream::ioloop::VirtualClock,
    sleep, timeout,
};

/// A test that waits longer than this for anything has failed.
const PATIENCE: Duration = Duration::from_secs(20);

const WAYS: [&str; 3] = ["poll", "events", "socket"];

/// A hub that forgets members at once, and what it said of who came and went.
fn hub() -> (Hub, Rc<RefCell<Vec<PresenceChange>>>) {
    let hub = Hub::with_options(HubOptions::new().presence_grace(Duration::ZERO));
    let changes = Rc::new(RefCell::new(Vec::new()));
    let seen = changes.clone();
    hub.on_presence(move |event| seen.borrow_mut().push(event.change));
    (hub, changes)
}

fn application(hub: &Hub, poll_wait: Duration) -> Application {
    let hub = hub.clone();
    Application::new().get("/{way}", async move |exchange: &mut Exchange| {
        let delivery = hub.deliver("news").member("ann").poll_wait(poll_wait);
        match exchange.path::<String>("way")?.as_str() {
            "events" => delivery.event_stream(exchange),
            "socket" => delivery.websocket(exchange),
            _ => delivery.long_poll(exchange).await,
        }
    })
}

/// The request of one of the ways, for what comes behind the cursor.
fn request(way: &str, cursor: &str) -> String {
    let headers = if way == "socket" { UPGRADE } else { "" };
    format!("GET /{way}?cursor={cursor} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")
}

async fn cursor(hub: &Hub) -> String {
    hub.publish("news", &0).await.expect("it is published").to_string()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !condition() {
            sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

#[test]
fn a_client_that_resets_its_connection_is_counted_no_longer() {
    let ioloop = IOLoop::new().expect("a loop");
    ioloop.run_sync(async {
        for way in WAYS {
            let (hub, changes) = hub();
            // Nothing but its reset ends a poll.
            let server = application(&hub, 100 * PATIENCE).listen(("127.0.0.1", 0)).expect("a free port");
            let cursor = cursor(&hub).await;
            let (mut vanishing, mut staying) = (connect(server.local_addrs()[0]), connect(server.local_addrs()[0]));
            for client in [&mut vanishing, &mut staying] {
                client.write_all(request(way, &cursor).as_bytes()).expect("the kernel takes it");
            }
            until("both are there", || hub.subscribers("news") == 2).await;
            assert_eq!(hub.members("news")[0].connections, 2, "{way}");
            // Closed without waiting for anything, it is reset.
            SockRef::from(&vanishing).set_linger(Some(Duration::ZERO)).expect("a socket");
            drop(vanishing);
            until("one has gone", || hub.subscribers("news") == 1 && server.connections() == 1).await;
            assert_eq!(hub.members("news")[0].connections, 1, "{way}");
            SockRef::from(&staying).set_linger(Some(Duration::ZERO)).expect("a socket");
            drop(staying);
            until("both have gone", || hub.subscribers("news") == 0 && server.connections() == 0).await;
            until("it is told", || changes.borrow().len() == 2).await;
            assert_eq!(*changes.borrow(), [PresenceChange::Joined, PresenceChange::Left], "{way}");
            assert_eq!(hub.members("news"), [], "{way}");
        }
    });
    ioloop.close();
}

fn connect(server: SocketAddr) -> TcpStream {
    TcpStream::connect(server).expect("it listens")
}

/// Has one client come by `way` that says nothing any more, and reads nothing, and lets time pass until it is counted no
/// longer. Returns how long that took.
async fn silence(clock: &VirtualClock, way: &str, limit: Duration) -> Duration {
    let (hub, changes) = hub();
    let cursor = cursor(&hub).await;
    let host = Host::new(application(&hub, 25 * SECOND));
    // So little room stands for a network that takes nothing, once the head of an answer is through.
    let page: Page = host.connect_with(256);
    page.stream.write(request(way, &cursor)).await.expect("the server reads");
    clock.advance(Duration::ZERO).await;
    assert_eq!((hub.subscribers("news"), hub.members("news").len()), (1, 1), "{way}");
    let mut waited = Duration::ZERO;
    while hub.subscribers("news") > 0 {
        assert!(waited < limit, "a client that is silent on a {way} is still counted");
        clock.advance(SECOND).await;
        waited += SECOND;
    }
    clock.advance(Duration::ZERO).await;
    assert_eq!(mem::take(&mut *changes.borrow_mut()), [PresenceChange::Joined, PresenceChange::Left], "{way}");
    // Its connection ends as well, if it was not the cause.
    for _ in 0..120 {
        clock.advance(SECOND).await;
    }
    assert_eq!(host.handle.connections(), 0, "{way}");
    waited
}

#[test]
fn a_poll_of_a_silent_client_is_answered_and_its_connection_ended() {
    run_virtual(async |clock| {
        let waited = silence(&clock, "poll", 26 * SECOND).await;
        assert!(waited >= 20 * SECOND, "{waited:?}");
    });
}

#[test]
fn a_socket_of_a_silent_client_is_given_up_after_the_time_out_of_its_ping() {
    run_virtual(async |clock| {
        let waited = silence(&clock, "socket", 66 * SECOND).await;
        assert!(waited >= 60 * SECOND, "{waited:?}");
    });
}

#[test]
fn an_event_stream_of_a_client_that_takes_nothing_is_given_up() {
    // A comment every 15 s fills what room there is, and then nothing gets through.
    run_virtual(async |clock| {
        silence(&clock, "events", 1000 * SECOND).await;
    });
}
