//! Applications called by handlers, and flushes in other futures' company.

mod util;

use std::{
    cell::Cell,
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use util::{
    in_process::{ask, get},
    serve,
};
use web::{
    Application, Exchange, IOLoop, Method, Request, RequestHandler, StatusCode, httpserver::Service, timeout, yield_now,
};

/// Polls a future once and gives it up.
async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Waits for both.
async fn join<A: Future, B: Future>(one: A, other: B) -> (A::Output, B::Output) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        let mut step = |cx: &mut Context<'_>| {
            if first.is_none()
                && let Poll::Ready(output) = one.as_mut().poll(cx)
            {
                first = Some(output);
            }
            if second.is_none()
                && let Poll::Ready(output) = other.as_mut().poll(cx)
            {
                second = Some(output);
            }
        };
        step(cx);
        if first.is_some() && second.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (first.expect("it has ended"), second.expect("it has ended"))
}

/// Streams three pieces, with a pause in between.
async fn inner(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_status(StatusCode::ACCEPTED);
    for piece in ["i1 ", "i2 ", "i3 "] {
        exchange.write(piece);
        exchange.flush().await?;
        yield_now().await;
    }
    Ok(())
}

fn inner_application() -> Application {
    Application::new().get("/", inner)
}

fn request() -> Request {
    Request::builder().build().expect("a plain request")
}

#[test]
fn a_handler_that_streams_passes_on_what_another_application_streams() {
    let application = || {
        let inner = inner_application();
        Application::new().get("/", async move |exchange: &mut Exchange| {
            exchange.write("o1 ");
            exchange.flush().await?;
            let mut response = inner.call(request()).await;
            exchange.write(format!("{} ", response.status().as_u16()));
            while let Some(piece) = response.body_mut().chunk().await? {
                exchange.write(piece);
                exchange.flush().await?;
            }
            exchange.write("o2");
            Ok(())
        })
    };
    let answer = get(&application(), "/");
    assert_eq!((answer.status, answer.text()), (200, "o1 202 i1 i2 i3 o2"));
    let server = serve(application);
    assert_eq!(server.get("/").text(), "o1 202 i1 i2 i3 o2");
    assert_eq!(server.send("HEAD", "/", "", "").status, 200);
}

#[test]
fn what_an_inner_application_hands_out_is_not_the_answer_of_the_outer_one() {
    let inner = inner_application();
    let application = Application::new().get("/", async move |exchange: &mut Exchange| {
        let mut response = inner.call(request()).await;
        let body = response.body_mut().bytes(100).await?;
        exchange.write(body);
        Ok(())
    });
    let answer = get(&application, "/");
    assert_eq!((answer.status, answer.text()), (200, "i1 i2 i3 "));
    assert_eq!(answer.header("content-length"), None, "it is whole: the connection adds it");
}

#[test]
fn a_head_handed_out_before_an_inner_call_in_the_same_poll_stays_the_outer_one() {
    let inner = inner_application();
    let application = Application::new().get("/", async move |exchange: &mut Exchange| {
        exchange.write("o1 ");
        assert!(poll_once(exchange.flush()).await.is_none(), "nobody has taken it yet");
        let mut response = inner.call(request()).await;
        exchange.write(response.body_mut().bytes(100).await?);
        Ok(())
    });
    let answer = get(&application, "/");
    assert_eq!((answer.status, answer.text()), (200, "o1 i1 i2 i3 "));
}

#[test]
fn a_flush_given_up_in_the_poll_that_ends_the_handler_loses_nothing() {
    let application = || {
        Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.set_header("X-Streamed", "yes")?;
            exchange.write("one ");
            assert!(poll_once(exchange.flush()).await.is_none());
            exchange.write("two");
            Ok(())
        })
    };
    let answer = get(&application(), "/");
    assert_eq!((answer.text(), answer.header("x-streamed")), ("one two", Some("yes")));
    let server = serve(application);
    let reply = server.get("/");
    assert_eq!((reply.text(), reply.header("transfer-encoding")), ("one two", Some("chunked")));
    assert_eq!(server.send("HEAD", "/", "", "").header("x-streamed"), Some("yes"));
}

#[test]
fn an_error_in_the_poll_of_the_first_flush_cuts_the_body() {
    let application = Application::new().get("/", async |exchange: &mut Exchange| {
        exchange.write("one");
        assert!(poll_once(exchange.flush()).await.is_none());
        Err(web::Error::http(StatusCode::CONFLICT, "too late"))
    });
    let answer = get(&application, "/");
    assert_eq!(answer.status, 200);
    assert!(answer.body.is_err(), "{answer:?}");
}

#[test]
fn a_flush_may_be_one_of_several_futures() {
    let application = || {
        Application::new()
            .get("/join", async |exchange: &mut Exchange| {
                exchange.write("one ");
                let (flushed, ()) = join(exchange.flush(), web::sleep(Duration::from_millis(1))).await;
                flushed?;
                exchange.write("two ");
                join(async {}, exchange.flush()).await.1?;
                exchange.write("three");
                Ok(())
            })
            .get("/timeout", async |exchange: &mut Exchange| {
                exchange.write("one ");
                timeout(Duration::from_secs(20), exchange.flush()).await.expect("in time")?;
                exchange.write("two ");
                // Given up before or after it was taken: what was handed over is sent.
                let _ = timeout(Duration::ZERO, exchange.flush()).await;
                exchange.write("three");
                exchange.flush().await
            })
    };
    let server = serve(application);
    for target in ["/join", "/timeout"] {
        assert_eq!(get(&application(), target).text(), "one two three");
        assert_eq!(server.get(target).text(), "one two three");
    }
}

#[test]
fn what_a_service_around_the_application_has_found_out_reaches_the_handler() {
    struct User(&'static str);

    let application = Application::new().get("/", async |exchange: &mut Exchange| {
        let user = exchange.extensions().get::<User>().expect("the caller has set it");
        exchange.write_text(user.0);
        Ok(())
    });
    let request = request();
    request.extensions().set(User("ada"));
    let text = IOLoop::current().run_sync(async { application.call(request).await.body_mut().bytes(100).await });
    assert_eq!(text.unwrap(), "ada");
}

/// Streams until it is dropped.
struct Endless {
    finished: Rc<Cell<u32>>,
}

impl RequestHandler for Endless {
    const METHODS: &'static [Method] = &[Method::GET];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        loop {
            exchange.write("tick\n");
            exchange.flush().await?;
        }
    }

    fn on_finish(&self, _: &mut Exchange) {
        self.finished.set(self.finished.get() + 1);
    }
}

#[test]
fn a_caller_that_drops_the_body_ends_the_handler() {
    let finished = Rc::new(Cell::new(0));
    let application = Application::new().handler("/", Endless { finished: finished.clone() });
    IOLoop::current().run_sync(async {
        let mut response = application.call(request()).await;
        assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "tick\n");
        assert_eq!(finished.get(), 0);
        drop(response);
        assert_eq!(finished.get(), 1);
        // Before it was asked for anything.
        drop(application.call(request()).await);
        assert_eq!(finished.get(), 2);
    });
    assert_eq!(ask(&application, Method::HEAD, "/").status, 200);
    assert_eq!(finished.get(), 3);
}

#[test]
fn a_caller_that_takes_nothing_holds_the_handler_back() {
    let pieces = Rc::new(Cell::new(0));
    let written = pieces.clone();
    let application = Application::new().get("/", async move |exchange: &mut Exchange| {
        loop {
            exchange.write(vec![b'x'; 64 * 1024]);
            written.set(written.get() + 1);
            exchange.flush().await?;
        }
    });
    let mut cx = Context::from_waker(Waker::noop());
    let mut call = pin!(application.call(request()));
    let Poll::Ready(mut response) = call.as_mut().poll(&mut cx) else { panic!("its head is known") };
    for _ in 0..10 {
        response.body_mut().poll_progress(&mut cx);
    }
    assert_eq!(pieces.get(), 1);
    assert!(response.body_mut().poll_chunk(&mut cx).is_ready());
}
