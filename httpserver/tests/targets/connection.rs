//! All that a client sends over one connection, delivered as a whole and in pieces.

use httpserver::{
    HttpServer, IOLoop, IOStream, Limits, Method, Request, Response, Result, StatusCode,
    codec::{BodyFraming, ResponseFraming, parse_response_head},
    iostream::memory,
    spawn, yield_now,
};

use super::reference::{self, Asked, Conversation, End};

/// How a client hands over its bytes.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// In one write, of which the server may read everything at once.
    Whole,
    /// Byte by byte: the pair has room for one.
    Bytewise,
    /// In pieces of these sizes, over and over; the server has looked at each before the next one comes.
    Pieces(Vec<usize>),
}

/// What came back: one line for each request that was served, then the status of a refusal if there was one.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    served: Vec<String>,
    refused: Option<u16>,
}

/// A byte that says how bytes are delivered and whether LF ends a line, and then the bytes.
pub fn run(input: &[u8]) {
    let Some((&how, bytes)) = input.split_first() else { return };
    let sizes = vec![1 + usize::from(how >> 1 & 0xf), 1 + usize::from(how >> 5) * 20];
    check(bytes, sizes, how & 1 == 1);
}

/// Asserts that `bytes` come to the same in every delivery, and to what the reference says.
pub fn check(bytes: &[u8], sizes: Vec<usize>, accept_bare_lf: bool) {
    let limits = || Limits::default().accept_bare_lf(accept_bare_lf);
    let shown = bytes.escape_ascii();
    IOLoop::current().run_sync(async {
        let whole = deliver(bytes, &Delivery::Whole, limits()).await;
        // The reference has no limits but that of a body, and so few bytes meet none.
        if bytes.len() < 400 {
            let expected = reference::converse(bytes, accept_bare_lf);
            assert!(fits(&whole, &expected), "{shown}\n{whole:?}\n{expected:?}");
        }
        for delivery in [Delivery::Bytewise, Delivery::Pieces(sizes)] {
            assert_eq!(deliver(bytes, &delivery, limits()).await, whole, "{shown}\n{delivery:?}");
        }
    });
}

/// Tells in a header line all that it was asked, so that the answer is the same for HEAD. CONNECT may not be 200.
async fn tell(mut request: Request) -> Result<Response> {
    let body = request.bytes().await?;
    let trailers = request.body_mut().take_trailers().unwrap_or_default();
    let asked = Asked {
        method: request.method().to_string(),
        target: request.target().to_owned(),
        host: request.host().map(str::to_owned),
        body: body.to_vec(),
        trailers: trailers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
    };
    let mut response = Response::new(StatusCode::IM_A_TEAPOT);
    response.set_header("X-Asked", shown(&asked))?;
    Ok(response)
}

/// Short enough for a header line, whatever the body.
fn shown(asked: &Asked) -> String {
    let Asked { method, target, host, body, trailers } = asked;
    let (start, sum) =
        (&body[..body.len().min(300)], body.iter().fold(7u32, |sum, &b| sum.wrapping_mul(31) + u32::from(b)));
    let trailers: String = format!("{trailers:?}").chars().take(2_000).collect();
    let text = format!("{method:.100} {target:.500} {host:.300?} {} {sum} {start:?} {trailers}", body.len());
    text.escape_default().to_string()
}

/// What a server makes of `bytes`, which end with the client's FIN.
async fn deliver(bytes: &[u8], delivery: &Delivery, limits: Limits) -> Outcome {
    let capacity = if let Delivery::Bytewise = delivery { 1 } else { 1 << 20 };
    let (theirs, ours) = memory::pair(capacity);
    let server = HttpServer::with_limits(tell, limits);
    let served = spawn(async move { server.serve_stream(theirs, None).await });
    ours.set_half_open(true);
    ours.set_max_buffer_size(64 << 20);
    let answers = spawn({
        let ours = ours.clone();
        async move { ours.read_until_close().await.expect("an orderly end").to_vec() }
    });
    send(&ours, bytes, delivery).await;
    let answers = answers.await.expect("no panic");
    // What the server did not read of a refused client is dropped with this end.
    ours.close();
    served.await.expect("no panic");
    outcome(&answers)
}

async fn send(stream: &IOStream, bytes: &[u8], delivery: &Delivery) {
    let sizes = match delivery {
        Delivery::Whole | Delivery::Bytewise => &[usize::MAX][..],
        Delivery::Pieces(sizes) => sizes,
    };
    let mut rest = bytes;
    for &size in sizes.iter().cycle() {
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        // A server that has refused the rest takes no more of it.
        if stream.write(piece).await.is_err() || behind.is_empty() {
            break;
        }
        // Everything runs that runs without waiting: both ends of the pair, and what they wake.
        for _ in 0..8 {
            yield_now().await;
        }
        rest = behind;
    }
    let _ = stream.shutdown_write().await;
}

fn outcome(answers: &[u8]) -> Outcome {
    let mut rest = answers;
    let mut outcome = Outcome { served: Vec::new(), refused: None };
    while !rest.is_empty() {
        let parsed = parse_response_head(rest, &Limits::default(), &Method::GET);
        let (consumed, head) = parsed.expect("an answer").expect("a whole answer");
        rest = &rest[consumed..];
        match head.headers.get("x-asked") {
            Some(asked) => outcome.served.push(asked.to_owned()),
            None if head.is_interim() => assert_eq!(head.status, StatusCode::CONTINUE),
            None => {
                assert!(!head.keep_alive);
                let ResponseFraming::Body(BodyFraming::Length(length)) = head.body else { panic!("{:?}", head.body) };
                // The body of an answer to HEAD stays away.
                assert!(rest.is_empty() || rest.len() as u64 == length, "nothing follows a refusal");
                outcome.refused = Some(head.status.as_u16());
                break;
            }
        }
    }
    outcome
}

/// Whether `outcome` is what the reference says.
fn fits(outcome: &Outcome, expected: &Conversation) -> bool {
    outcome.served == expected.requests.iter().map(shown).collect::<Vec<_>>()
        && match expected.end {
            End::Closed => outcome.refused.is_none(),
            End::Refused(status) => outcome.refused.is_some_and(|refused| is_alike(status, refused)),
            End::HalfAHead => true,
        }
}

/// Which of several faults is named first is open; whether one is named is not.
fn is_alike(expected: u16, refused: u16) -> bool {
    let of_a_head = [400, 413, 417, 501, 505];
    expected == refused || of_a_head.contains(&expected) && of_a_head.contains(&refused)
}
