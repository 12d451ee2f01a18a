//! Random bytes and half requests. Alone in its test binary, because it counts the descriptors of the process.

mod common;

use common::{Client, run, turns, until};
use httpserver::{HttpServer, Request, Response, Result};

const WHOLE: &[u8] = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// xorshift: the same bytes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(3_000)).map(|_| self.next() as u8).collect()
    }

    /// A request with some of its bytes replaced, removed or doubled.
    fn mutation(&mut self) -> Vec<u8> {
        let mut bytes = WHOLE.repeat(1 + self.below(3));
        for _ in 0..1 + self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] = self.next() as u8,
                1 => bytes[at] = b"\r\n :;0"[self.below(6)],
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, bytes[at]),
            }
        }
        bytes
    }
}

/// How a client leaves.
async fn leave(client: Client, how: usize) {
    match how {
        // With its own end first, reading what comes.
        0 => {
            let _ = client.stream.shutdown_write().await;
            let _ = client.stream.read_until_close().await;
        }
        // At once: a reset when an answer has come.
        1 => client.stream.close(),
        // After a turn or two.
        _ => {
            turns(2).await;
        }
    }
}

#[test]
fn nothing_that_clients_send_leaves_a_descriptor_open_or_stops_the_server() {
    run(async {
        let server = HttpServer::new(async |mut request: Request| -> Result<Response> {
            if request.headers().contains("x") {
                return Ok(Response::text("unread"));
            }
            Ok(Response::bytes(request.bytes().await?))
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let addr = server.local_addr();
        let ask = async || {
            let client = Client::connect(addr).await;
            client.send(WHOLE).await;
            assert_eq!(client.answer().await.text(), "hello");
        };
        ask().await;
        until(|| server.connections() == 0).await;
        let before = open_descriptors();

        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..600 {
            let client = Client::connect(addr).await;
            let bytes = match round % 3 {
                0 => random.bytes(),
                1 => random.mutation(),
                _ => WHOLE[..random.below(WHOLE.len())].to_vec(),
            };
            client.send(bytes).await;
            leave(client, random.below(3)).await;
            if round % 20 == 0 {
                ask().await;
            }
        }
        ask().await;
        until(|| server.connections() == 0).await;
        assert_eq!(open_descriptors(), before);
    });
}
