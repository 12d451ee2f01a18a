//! Layer: httpserver.
//!
//! A small key-value store that speaks two protocols on one loop: HTTP on the given port, and a
//! line protocol on the next one. Both work on the same `Rc`.
//!
//! ```sh
//! cargo run --release --bin compose
//! curl -X PUT -d blue http://127.0.0.1:8888/sky
//! curl http://127.0.0.1:8888/sky
//! printf 'SET grass green\nGET sky\nKEYS\n' | nc -N 127.0.0.1 8889
//! ```

use std::{
    cell::RefCell, collections::BTreeMap, error::Error, net::SocketAddr, process::ExitCode, rc::Rc, time::Duration,
};

use httpserver::{
    HttpServer, IOLoop, Method, Request, Response, StatusCode,
    iostream::{self, IOStream, TcpServer},
};

/// What both protocols work on.
type Store = Rc<RefCell<BTreeMap<String, String>>>;

fn main() -> ExitCode {
    let address = examples::cli::listen_address("A key-value store over HTTP and over a line protocol.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let store = Store::default();

    let http = HttpServer::new({
        let store = store.clone();
        async move |request: Request| serve_http(&store, request).await
    });
    let http = http.listen(address)?;
    // The line protocol stops with the loop; HTTP first finishes the requests in progress.
    http.drain_on_signal(Duration::from_secs(5))?;
    println!("listening on http://{}", http.local_addr());

    let lines = TcpServer::new(async move |stream: IOStream, _peer: SocketAddr| serve_lines(&store, stream).await);
    let lines = lines.listen(next_port(address))?;
    println!("listening on {}", lines.local_addr());

    IOLoop::current().start();
    lines.stop();
    Ok(())
}

/// `GET /key`, `PUT /key`, `DELETE /key`, and `GET /` for all keys.
async fn serve_http(store: &Store, mut request: Request) -> httpserver::Result<Response> {
    let key = request.path().trim_start_matches('/').to_owned();
    match *request.method() {
        Method::GET if key.is_empty() => Ok(Response::text(keys(store) + "\n")),
        Method::GET => Ok(match store.borrow().get(&key) {
            Some(value) => Response::text(value.clone()),
            None => Response::new(StatusCode::NOT_FOUND),
        }),
        Method::PUT => {
            // Hold no borrow here: other requests run while this one waits for its body.
            let body = request.bytes().await?;
            store.borrow_mut().insert(key, String::from_utf8_lossy(&body).into_owned());
            Ok(Response::new(StatusCode::NO_CONTENT))
        }
        Method::DELETE => {
            store.borrow_mut().remove(&key);
            Ok(Response::new(StatusCode::NO_CONTENT))
        }
        _ => Ok(Response::new(StatusCode::METHOD_NOT_ALLOWED).with_header("Allow", "GET, PUT, DELETE")),
    }
}

/// `GET key`, `SET key value` and `KEYS`, one answer for each line.
async fn serve_lines(store: &Store, stream: IOStream) -> iostream::Result<()> {
    loop {
        let line = match stream.read_until(b"\n").max_bytes(64 * 1024).await {
            Ok(line) => line,
            // The client has closed its side, which is how a conversation ends.
            Err(iostream::Error::Closed { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let answer = obey(store, String::from_utf8_lossy(&line).trim_end());
        stream.write(answer + "\n").await?;
    }
}

fn obey(store: &Store, line: &str) -> String {
    let mut words = line.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some("GET"), Some(key), None) => store.borrow().get(key).cloned().unwrap_or_default(),
        (Some("SET"), Some(key), Some(value)) => {
            store.borrow_mut().insert(key.to_owned(), value.to_owned());
            "OK".to_owned()
        }
        (Some("KEYS"), None, None) => keys(store),
        _ => "ERROR: GET key, SET key value or KEYS".to_owned(),
    }
}

fn keys(store: &Store) -> String {
    store.borrow().keys().cloned().collect::<Vec<_>>().join(" ")
}

/// The port after this one; 0 stays 0, for the kernel to pick.
fn next_port(mut address: SocketAddr) -> SocketAddr {
    address.set_port(match address.port() {
        0 => 0,
        port => port.wrapping_add(1),
    });
    address
}
