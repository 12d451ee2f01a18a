//! `httpserver` over one loopback connection: parsing heads, encoding responses, bodies. Requests come 16 at a time.
//!
//! Run with `cargo bench -p benches --bench httpserver`.

mod client;

use std::rc::Rc;

use criterion::{Criterion, criterion_group, criterion_main};
use httpserver::{Body, Request, Response, StatusCode};

criterion_main!(layer);
criterion_group!(layer, heads, responses, bodies);

/// From the shortest request to what browsers send.
fn heads(c: &mut Criterion) {
    let service = Rc::new(async |_: Request| "Hello, World!");
    let mut group = c.benchmark_group("head parsing");
    client::bench(&mut group, "1 header", &service, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let budgets = benches::load::Request::get("/plaintext");
    client::bench(&mut group, "the request of the budgets", &service, budgets.bytes());
    client::bench(&mut group, "a browser's", &service, BROWSER);
    group.finish();
}

fn responses(c: &mut Criterion) {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut group = c.benchmark_group("response encoding");
    let empty = Rc::new(async |_: Request| StatusCode::NO_CONTENT);
    client::bench(&mut group, "no body", &empty, request);
    let headers = Rc::new(async |_: Request| {
        let names = ["X-A", "X-B", "X-C", "X-D", "X-E", "X-F", "X-G", "X-H", "X-I", "X-J"];
        let response = Response::text("Hello, World!");
        names.iter().fold(response, |response, name| response.with_header(name, "some value"))
    });
    client::bench(&mut group, "10 more headers", &headers, request);
    let large = Rc::new(async |_: Request| Response::bytes(&[b'x'; 16 << 10][..]));
    client::bench(&mut group, "a body of 16 KiB", &large, request);
    let chunked = Rc::new(async |_: Request| {
        Response::text(Body::writer(async |mut writer| {
            for _ in 0..4 {
                writer.write("a chunk of the body").await?;
                writer.flush().await?;
            }
            Ok(())
        }))
    });
    client::bench(&mut group, "4 chunks", &chunked, request);
    group.finish();
}

fn bodies(c: &mut Criterion) {
    let echo = Rc::new(async |mut request: Request| request.bytes().await.map(Response::bytes));
    let mut group = c.benchmark_group("request bodies");
    for length in [100, 10 << 10] {
        let counted = benches::load::Request::echo("/", length);
        client::bench(&mut group, &format!("echo of {length} bytes"), &echo, counted.bytes());
    }
    let chunked =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n7\r\n, World\r\n0\r\n\r\n";
    client::bench(&mut group, "echo of 2 chunks", &echo, chunked);
    group.finish();
}

const BROWSER: &[u8] = b"GET /articles/2024/05/an-article?ref=front&page=2 HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://www.example.org/articles/\r\n\
    DNT: 1\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=d41d8cd98f00b204e9800998ecf8427e; theme=dark; consent=yes\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Priority: u=1\r\n\r\n";
