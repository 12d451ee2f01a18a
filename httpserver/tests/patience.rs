//! `Request::patience`: what ends a wait.

mod common;

use std::{cell::RefCell, future::poll_fn, pin::pin, rc::Rc, time::Duration};

use common::{Client, run_virtual};
use httpserver::{
    HttpServer, IOLoop, Patience, PatienceOver, Request, Response, ServerHandle,
    iostream::{ioloop::VirtualClock, memory},
    spawn,
};

const LONG: Duration = Duration::from_secs(3600);

/// On time that passes only when nothing else is to be done, and then in jumps.
fn run_by_itself<F: Future<Output = ()>>(test: impl FnOnce(VirtualClock) -> F) {
    let clock = VirtualClock::auto_advancing();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(test(clock));
    ioloop.close();
}

async fn over(mut patience: Patience) -> PatienceOver {
    poll_fn(|cx| patience.poll_over(cx)).await
}

/// Says why its patience was over, of as many seconds as the path says; none without a number.
async fn impatient(request: Request) -> Response {
    let patience = request.patience();
    if let Ok(seconds) = request.path()[1..].parse() {
        patience.set_after(Duration::from_secs(seconds));
    }
    Response::text(format!("{:?}", over(patience).await))
}

/// A client of a server with this service, whose idle connections live for long.
fn client(server: &HttpServer) -> Client {
    let (end, stream) = memory::pair(1000);
    let server = server.clone();
    let _detached = spawn(async move { server.serve_stream(end, None).await });
    stream.set_half_open(true);
    Client { stream }
}

async fn ask(client: &Client, path: &str) -> String {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    client.answer().await.text().to_owned()
}

fn drain(server: &ServerHandle) {
    let server = server.clone();
    let _detached = spawn(async move { server.drain(LONG).await });
}

async fn elapsed<T>(clock: &VirtualClock, work: impl Future<Output = T>) -> (u64, T) {
    let before = clock.elapsed();
    let result = work.await;
    ((clock.elapsed() - before).as_secs(), result)
}

#[test]
fn it_is_over_when_its_time_has_passed_however_often_the_connection_asks() {
    run_by_itself(async |clock| {
        let client = client(&HttpServer::new(impatient));
        for seconds in [25, 5, 60, 1] {
            let path = format!("/{seconds}");
            let asked = ask(&client, &path);
            assert_eq!(elapsed(&clock, asked).await, (seconds, "Time".to_owned()));
        }
    });
}

#[test]
fn it_is_over_when_the_server_drains_with_a_time_or_without() {
    for path in ["/3000", "/none"] {
        run_virtual(async |clock| {
            let server = HttpServer::new(impatient);
            let (handle, client) = (server.handle(), client(&server));
            let asked = spawn(async move { ask(&client, path).await });
            clock.advance(Duration::from_secs(1)).await;
            assert!(!asked.is_finished());
            drain(&handle);
            assert_eq!(asked.await.unwrap(), "Draining");
        });
    }
}

#[test]
fn several_of_one_request_have_a_time_each() {
    run_by_itself(async |clock| {
        let ended = Rc::new(RefCell::new(Vec::new()));
        let (noted, time) = (Rc::clone(&ended), clock.clone());
        let server = HttpServer::new(async move |request: Request| {
            let begun = time.elapsed();
            let waits = [3, 1, 2].map(|seconds| {
                let (patience, noted, time) = (request.patience(), Rc::clone(&noted), time.clone());
                patience.set_after(Duration::from_secs(seconds));
                spawn(async move {
                    let end = over(patience).await;
                    noted.borrow_mut().push(((time.elapsed() - begun).as_secs(), end));
                })
            });
            for wait in waits {
                wait.await.unwrap();
            }
            "done"
        });
        let client = client(&server);
        assert_eq!(ask(&client, "/").await, "done");
        assert_eq!(*ended.borrow(), [1, 2, 3].map(|seconds| (seconds, PatienceOver::Time)));
    });
}

#[test]
fn one_that_is_kept_beyond_its_answer_is_over_and_leaves_the_next_request_alone() {
    run_by_itself(async |clock| {
        let kept = Rc::new(RefCell::new(None));
        let keep = Rc::clone(&kept);
        let server = HttpServer::new(async move |request: Request| {
            let before: Option<Patience> = keep.borrow_mut().take();
            match before {
                None => {
                    let patience = request.patience();
                    patience.set_after(Duration::from_secs(100));
                    keep.replace(Some(patience));
                    "kept".to_owned()
                }
                Some(old) => {
                    // Both do nothing to the new one.
                    let mut new = request.patience();
                    new.set_after(Duration::from_secs(7));
                    old.set_after(Duration::from_secs(1));
                    let end = over(old).await;
                    format!("{end:?}, {:?}", poll_fn(|cx| new.poll_over(cx)).await)
                }
            }
        });
        let client = client(&server);
        assert_eq!(ask(&client, "/").await, "kept");
        let asked = ask(&client, "/");
        assert_eq!(elapsed(&clock, asked).await, (7, "Draining, Time".to_owned()));
    });
}

#[test]
fn one_of_a_request_whose_body_is_still_to_come_does_not_touch_the_time_for_that() {
    run_by_itself(async |_| {
        let server = HttpServer::new(async |mut request: Request| {
            let mut patience = request.patience();
            patience.set_after(Duration::from_secs(2));
            let mut ends = Vec::new();
            let mut body = pin!(request.bytes());
            let read = poll_fn(|cx| {
                if patience.poll_over(cx).is_ready() && ends.is_empty() {
                    ends.push(PatienceOver::Time);
                }
                body.as_mut().poll(cx)
            })
            .await;
            format!("{ends:?} {}", read.is_err())
        });
        let client = client(&server);
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe").await;
        let answer = client.answer().await;
        // The body was given up in its own time.
        assert_eq!(answer.text(), "[Time] true");
    });
}

#[test]
fn a_request_made_here_has_patience_too() {
    run_by_itself(async |clock| {
        let request = Request::builder().build().unwrap();
        let patience = request.patience();
        patience.set_after(Duration::from_secs(4));
        assert_eq!(elapsed(&clock, over(patience)).await, (4, PatienceOver::Time));
    });
}
