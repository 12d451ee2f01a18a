//! `web` over one loopback connection: routing, arguments, writing. Requests come 16 at a time.
//!
//! Run with `cargo bench -p benches --bench web`.

mod client;

use std::rc::Rc;

use benches::{
    load::Request,
    message::{HELLO, Message},
};
use criterion::{Criterion, criterion_group, criterion_main};
use web::{Application, Exchange, Method, RequestHandler};

criterion_main!(layer);
criterion_group!(layer, routing, handlers);

/// A hundred routes, as a grown application has them.
fn routing(c: &mut Criterion) {
    let mut application = Application::new().get("/", hello);
    for i in 0..33 {
        application = application
            .get(&format!("/page{i}"), hello)
            .get(&format!("/section{i}/item/{{id}}"), hello)
            .get(&format!("/section{i}/item/{{id}}/comment/{{comment}}"), hello);
    }
    let application = Rc::new(application);
    let mut group = c.benchmark_group("routing among 100");
    for (name, path) in [
        ("the root", "/"),
        ("a fixed path", "/page17"),
        ("one parameter", "/section17/item/12345"),
        ("two parameters", "/section17/item/12345/comment/678"),
    ] {
        client::bench(&mut group, name, &application, Request::get(path).bytes());
    }
    group.finish();
}

fn handlers(c: &mut Criterion) {
    let application = Application::new()
        .get("/hello", hello)
        .get("/json", async |exchange: &mut Exchange| exchange.write_json(&Message { message: HELLO }))
        .get("/user/{id}", user)
        .post("/echo", echo)
        .handler("/object", Hello);
    let application = Rc::new(application);
    let mut group = c.benchmark_group("handlers");
    for (name, path) in [
        ("an async fn", "/hello"),
        ("a request handler", "/object"),
        ("JSON out", "/json"),
        ("path and query arguments", "/user/12345?page=2&order=name"),
    ] {
        client::bench(&mut group, name, &application, Request::get(path).bytes());
    }
    let post = Request::echo("/echo", 1000);
    client::bench(&mut group, "echo of 1,000 bytes", &application, post.bytes());
    group.finish();
}

async fn hello(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write(HELLO);
    Ok(())
}

async fn user(exchange: &mut Exchange) -> web::Result<()> {
    let (id, page) = (exchange.path::<u64>("id")?, exchange.query::<u64>("page")?);
    let order = exchange.query::<String>("order")?;
    exchange.write(format!("{id} {page} {order}"));
    Ok(())
}

async fn echo(exchange: &mut Exchange) -> web::Result<()> {
    let body = exchange.bytes().await?;
    exchange.write(body);
    Ok(())
}

struct Hello;

impl RequestHandler for Hello {
    const METHODS: &'static [Method] = &[Method::GET];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        exchange.write(HELLO);
        Ok(())
    }
}
