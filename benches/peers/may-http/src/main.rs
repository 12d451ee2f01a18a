//! The HTTP rows on may_minihttp: one worker. It has no time-outs, and no way to set `TCP_NODELAY`.

use std::io::{self, BufRead};

use bytes::BufMut;
use may_minihttp::{HttpServer, HttpService, Request, Response};
use peers_http::{HELLO, MESSAGE, Options, announce};

fn main() {
    let address = Options::from_arguments().free_address();
    may::config().set_workers(1);
    let server = HttpServer(Bench).start(address).expect("a free port");
    announce(address);
    server.wait();
}

#[derive(Clone)]
struct Bench;

impl HttpService for Bench {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        match (request.method(), request.path()) {
            ("GET", "/plaintext") => response.header("Content-Type: text/plain; charset=utf-8").body(HELLO),
            ("GET", "/json") => {
                response.header("Content-Type: application/json");
                serde_json::to_writer(response.body_mut().writer(), &MESSAGE)?;
            }
            ("POST", "/echo") => {
                response.header("Content-Type: application/octet-stream");
                echo(request, response)?;
            }
            _ => {
                response.status_code(404, "Not Found");
            }
        }
        Ok(())
    }
}

fn echo(request: Request, response: &mut Response) -> io::Result<()> {
    let mut body = request.body();
    loop {
        let piece = body.fill_buf()?;
        if piece.is_empty() {
            return Ok(());
        }
        response.body_mut().extend_from_slice(piece);
        let length = piece.len();
        body.consume(length);
    }
}
