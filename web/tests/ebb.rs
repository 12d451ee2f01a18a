//! What a burst has made a thread keep goes when it ebbs. A program of its own with one thread: it counts the memory of the
//! whole process, of which a loop has some freed by another thread.

#[path = "util/allocations.rs"]
mod allocations;

use std::{
    cell::RefCell,
    future::{pending, poll_fn},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use web::{
    Application, Compress, Exchange, IOLoop, Request,
    comet::{Hub, HubOptions, Start},
    httpserver::{
        Service,
        iostream::ioloop::{JoinHandle, VirtualClock, spawn, yield_now},
    },
    testing::TestClient,
    websocket::{DeflateOptions, WebSocketOptions},
};

use allocations::{Counting, held_by_all};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// So many tasks are a burst, and a few others stay.
const TASKS: usize = 2_000;
const STAYING: usize = 3;

/// What may stay beside what was kept: a table of the loop with places for those that stay.
const FEW: isize = 4096;

fn main() {
    the_places_of_subscribers_go_with_them();
    the_table_of_members_goes_with_them();
    compressors_of_responses_go();
    compressors_and_buffers_of_websockets_go();
}

/// What the program holds more than before when a burst of tasks has ebbed beside a few that stay. Each has begun something,
/// and those that go have ended it.
fn kept_after_burst<S: 'static, T: 'static>(
    prepare: impl FnOnce() -> S,
    begin: impl AsyncFn(&S, usize) -> T + 'static,
    end: impl AsyncFn(&S, T) + 'static,
) -> isize {
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(async move {
        let shared = Rc::new((prepare(), begin));
        let begun: Rc<RefCell<Vec<T>>> = Rc::default();
        let start = |number| {
            let (shared, begun) = (Rc::clone(&shared), Rc::clone(&begun));
            spawn(async move {
                let (prepared, begin) = &*shared;
                let held = begin(prepared, number).await;
                begun.borrow_mut().push(held);
                pending::<()>().await;
            })
        };
        let staying: Vec<JoinHandle<()>> = (0..STAYING).map(start).collect();
        clock.advance(Duration::from_secs(1)).await;
        let held_by_staying = begun.take();
        let before = held_by_all();
        let burst: Vec<JoinHandle<()>> = (STAYING..TASKS).map(start).collect();
        // Nothing is given back of a short one.
        clock.advance(Duration::from_secs(1)).await;
        let held_by_burst = begun.take();
        assert_eq!(held_by_burst.len(), TASKS - STAYING);
        for held in held_by_burst {
            end(&shared.0, held).await;
        }
        for task in burst {
            task.abort();
            yield_now().await;
        }
        // It looks once more a second later.
        clock.advance(Duration::from_secs(2)).await;
        let kept = held_by_all() - before;
        drop((staying, held_by_staying));
        kept
    })
}

fn the_places_of_subscribers_go_with_them() {
    let kept = kept_after_burst(
        Hub::new,
        async |hub, _| {
            let mut subscription = hub.subscribe("news", Start::Now).unwrap();
            let waits = poll_fn(|cx| Poll::Ready(subscription.poll_next(cx).is_pending())).await;
            assert!(waits);
            subscription
        },
        async |_, subscription| drop(subscription),
    );
    check("subscribers", kept);
}

fn the_table_of_members_goes_with_them() {
    let prepare = || {
        let hub = Hub::with_options(HubOptions::new().presence_grace(Duration::from_millis(100)));
        let rooms = hub.clone();
        let application = Application::new().get("/{id}", async move |exchange: &mut Exchange| {
            let id: String = exchange.path("id")?;
            rooms.deliver("room").member(&id).long_poll(exchange).await
        });
        (hub, TestClient::new(application))
    };
    let kept = kept_after_burst(
        prepare,
        async |(hub, client), number| {
            let cursor = hub.cursor("room").unwrap().unwrap();
            let poll = client.another().get(&format!("/{number}?cursor={cursor}"));
            [spawn(async move { drop(poll.send().await) })]
        },
        async |_, [poll]| poll.abort(),
    );
    check("members", kept);
}

fn compressors_of_responses_go() {
    let prepare = || {
        let page = "a page that is worth it ".repeat(100);
        let application = Application::new().get("/", async move |exchange: &mut Exchange| {
            exchange.write(page.clone());
            Ok(())
        });
        application.wrap(Compress::new())
    };
    let kept = kept_after_burst(
        prepare,
        async |_, _| (),
        async |application, ()| {
            let request = Request::builder().target("/").header("Accept-Encoding", "gzip").build().unwrap();
            assert_eq!(application.call(request).await.header("content-encoding"), Some("gzip"));
        },
    );
    check("compressors of responses", kept);
}

fn compressors_and_buffers_of_websockets_go() {
    let prepare = || {
        let options = WebSocketOptions::new().deflate(DeflateOptions::new());
        TestClient::new(Application::new().get("/", async move |exchange: &mut Exchange| {
            exchange.upgrade_websocket(&options, async |mut socket| {
                while let Some(message) = socket.receive().await? {
                    socket.send(message).await?;
                }
                Ok(())
            })
        }))
    };
    let kept = kept_after_burst(
        prepare,
        async |client, _| client.another().get("/").deflate(&DeflateOptions::new()).websocket().await,
        async |_, mut socket| {
            let text = "the same again ".repeat(100);
            socket.send(text.as_str()).await;
            socket.assert_next(text.as_str()).await;
            socket.disconnect();
        },
    );
    check("compressors and buffers of WebSockets", kept);
}

fn check(what: &str, kept: isize) {
    println!("{what}: {kept} bytes are kept");
    assert!(kept < FEW, "{what}: {kept}");
}
