//! Random conversations in random pieces against a model: what is asked is answered, in order, and nothing else.

mod common;

use common::{Client, run, serve, turns};
use httpserver::{Body, BodyWriter, Request, Response, Result, yield_now};
use proptest::prelude::*;

/// One request, and all that its answer depends on.
#[derive(Debug, Clone)]
struct Exchange {
    framing: Framing,
    body: String,
    /// The size of the chunks, when there are any.
    chunk: usize,
    http11: bool,
    service: Does,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Framing {
    Absent,
    Length,
    Chunks,
}

/// What the service does with a request. Its name is the path.
#[derive(Debug, Clone, Copy)]
enum Does {
    Collect,
    Stream,
    Pass,
    Wait,
    Ignore,
}

impl Exchange {
    fn framing(&self) -> Framing {
        // There are no chunks in HTTP/1.0.
        if self.http11 || self.framing != Framing::Chunks { self.framing } else { Framing::Length }
    }

    fn request(&self) -> String {
        let version = if self.http11 { "1.1" } else { "1.0\r\nConnection: keep-alive" };
        let head = format!("POST /{:?} HTTP/{version}\r\nHost: a\r\n", self.service);
        match self.framing() {
            Framing::Absent => format!("{head}\r\n"),
            Framing::Length => format!("{head}Content-Length: {}\r\n\r\n{}", self.body.len(), self.body),
            Framing::Chunks => {
                let chunks = self
                    .body
                    .as_bytes()
                    .chunks(self.chunk)
                    .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()));
                format!("{head}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunks.collect::<String>())
            }
        }
    }

    fn answer(&self) -> &str {
        match (self.service, self.framing()) {
            (Does::Ignore, _) => "ignored",
            (_, Framing::Absent) => "",
            _ => &self.body,
        }
    }
}

async fn service(mut request: Request) -> Result<Response> {
    match request.path() {
        "/Collect" => Ok(Response::bytes(request.bytes().await?)),
        "/Stream" => {
            let length = request.body_mut().content_length();
            Ok(streamed(length, async move |mut out| {
                while let Some(piece) = request.body_mut().chunk().await? {
                    out.write(piece).await?;
                }
                Ok(())
            }))
        }
        "/Pass" => {
            let (length, body) = (request.body_mut().content_length(), request.take_body());
            Ok(with_length(Response::text(body), length))
        }
        "/Wait" => {
            yield_now().await;
            let body = request.bytes().await?;
            yield_now().await;
            Ok(Response::bytes(body))
        }
        _ => {
            // Until the body has come: of a chunked one nobody knows the length, so the connection could not go on.
            if request.body_mut().content_length().is_none() {
                request.bytes().await?;
            }
            Ok(Response::text("ignored"))
        }
    }
}

fn streamed(length: Option<u64>, write: impl AsyncFnOnce(BodyWriter) -> Result<()> + 'static) -> Response {
    with_length(Response::text(Body::writer(write)), length)
}

/// Otherwise an HTTP/1.0 answer would end with the connection.
fn with_length(mut answer: Response, length: Option<u64>) -> Response {
    if let Some(length) = length {
        answer.set_content_length(length);
    }
    answer
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let framing = prop_oneof![Just(Framing::Absent), Just(Framing::Length), Just(Framing::Chunks)];
    let long = (100..2_000usize).prop_map(|times| "0123456789abcde".repeat(times));
    let body = prop_oneof![4 => "[a-z\r\n ]{0,40}", 1 => long];
    let does =
        prop_oneof![Just(Does::Collect), Just(Does::Stream), Just(Does::Pass), Just(Does::Wait), Just(Does::Ignore)];
    (framing, body, 1..2_000usize, any::<bool>(), does).prop_map(|(framing, body, chunk, http11, service)| Exchange {
        framing,
        body,
        chunk,
        http11,
        service,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_requests_in_random_pieces_are_answered_in_order(
        exchanges in prop::collection::vec(exchange(), 1..12),
        pieces in prop::collection::vec(1..4_000usize, 1..20),
    ) {
        let input: String = exchanges.iter().map(Exchange::request).collect();
        run(async {
            let client = Client::connect(serve(service)).await;
            let mut rest = input.as_bytes();
            for size in pieces.iter().cycle() {
                let (piece, behind) = rest.split_at((*size).min(rest.len()));
                client.send(piece).await;
                turns(1).await;
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            client.end().await;
            for exchange in &exchanges {
                let answer = client.answer().await;
                assert_eq!((answer.status(), answer.text()), (200, exchange.answer()));
            }
            client.expect_closed().await;
        });
    }
}
