//! The clients: some that must be served, and others that may be cut.

use std::{
    cell::Cell,
    io,
    net::{SocketAddr, TcpStream},
    rc::Rc,
    time::{Duration, Instant},
};

use httpserver::{
    IOStream, Limits, Method,
    codec::{BodyFraming, ResponseFraming, parse_response_head},
    sleep, timeout,
};

use super::server::LARGE;

/// xorshift: a run can be repeated by its seed, as far as the kernel lets it.
#[derive(Clone, Debug)]
pub struct Random(Rc<Cell<u64>>);

impl Random {
    /// Of any seed but 0.
    pub fn new(seed: u64) -> Random {
        Random(Rc::new(Cell::new(seed.max(1))))
    }

    fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        x
    }

    fn below(&self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// What a conversation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Right,
    /// The server did what it must not do.
    Wrong,
}

/// A kind of clients: its name, and one conversation.
#[derive(Debug)]
pub struct Kind {
    /// For the table.
    pub name: &'static str,
    conversation: fn(SocketAddr, Random) -> Conversation,
}

type Conversation = std::pin::Pin<Box<dyn Future<Output = io::Result<bool>>>>;

/// Longer than the server has patience for any of them.
const MOST: Duration = Duration::from_secs(60);

impl Kind {
    /// Holds one conversation. A good client that does not get what it asked for is wrong, and so is any that hangs; to
    /// others the server may do anything but that.
    pub async fn converse(&self, addr: SocketAddr, random: Random) -> Outcome {
        let result = timeout(MOST, (self.conversation)(addr, random)).await;
        match result {
            Ok(Ok(true)) => Outcome::Right,
            Ok(Err(_)) if !self.name.starts_with("good") => Outcome::Right,
            _ => Outcome::Wrong,
        }
    }
}

macro_rules! kinds {
    ($($name:literal: $function:ident,)*) => {
        /// All kinds of clients.
        pub const KINDS: &[Kind] =
            &[$(Kind { name: $name, conversation: |addr, random| Box::pin($function(addr, random)) },)*];
    };
}

kinds! {
    "good: kept alive": good_kept_alive,
    "good: pipelined": good_pipelined,
    "good: chunked both ways": good_chunked,
    "good: large answer": good_large,
    "good: upgraded": good_upgraded,
    "good: unread bodies": good_unread,
    "slow: head": slow_head,
    "slow: body": slow_body,
    "slow: reader": slow_reader,
    "slow: silent": slow_silent,
    "broken: half a head": broken_head,
    "broken: half a body": broken_body,
    "broken: leaves early": broken_leaves,
    "broken: resets": broken_resets,
    "broken: mutated": broken_mutated,
    "broken: panics the service": broken_panic,
    "hostile: one-byte chunks": hostile_chunks,
    "hostile: header lines": hostile_lines,
    "hostile: escapes": hostile_escapes,
    "hostile: asks, never reads": hostile_never_reads,
    "hostile: smuggling": hostile_smuggling,
    "hostile: other protocols": hostile_protocols,
    "hostile: sends on and on": hostile_endless,
}

/// The body of the answer to a GET over a connection of its own.
///
/// # Errors
///
/// When there is no answer, or another than 200.
pub async fn get(addr: SocketAddr, path: &str) -> io::Result<String> {
    let client = connect(addr).await?;
    client.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await?;
    let (status, body) = answer(&client).await?;
    if status != 200 {
        return Err(io::Error::other(format!("{status} for {path}")));
    }
    String::from_utf8(body).map_err(io::Error::other)
}

async fn connect(addr: SocketAddr) -> io::Result<IOStream> {
    let stream = IOStream::connect(addr).await?;
    stream.set_half_open(true);
    stream.set_max_buffer_size(64 << 20);
    Ok(stream)
}

/// Status and body of the next answer.
async fn answer(client: &IOStream) -> io::Result<(u16, Vec<u8>)> {
    let head = client.read_until(b"\r\n\r\n").await?;
    let parsed = parse_response_head(&head, &Limits::default(), &Method::GET).map_err(io::Error::other)?;
    let (_, head) = parsed.ok_or(io::ErrorKind::InvalidData)?;
    let body = match head.body {
        ResponseFraming::Body(BodyFraming::Length(length)) => client.read_bytes(length as usize).await?.to_vec(),
        ResponseFraming::Body(BodyFraming::Chunked) => chunks(client).await?,
        _ => Vec::new(),
    };
    Ok((head.status.as_u16(), body))
}

async fn chunks(client: &IOStream) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = client.read_until(b"\r\n").await?;
        let digits = std::str::from_utf8(&line[..line.len() - 2]).map_err(io::Error::other)?;
        let size = usize::from_str_radix(digits, 16).map_err(io::Error::other)?;
        let data = client.read_bytes(size + 2).await?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&data[..size]);
    }
}

/// Everything until the server's end, however it comes. Its length.
async fn rest(client: &IOStream) -> usize {
    let mut length = 0;
    while let Ok(piece) = client.read_some(64 * 1024).await {
        if piece.is_empty() {
            break;
        }
        length += piece.len();
    }
    length
}

async fn good_kept_alive(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    for _ in 0..1 + random.below(20) {
        let body = "b".repeat(1 + random.below(20_000));
        let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        client.write(head + &body).await?;
        if answer(&client).await? != (200, body.into_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn good_pipelined(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let count = 1 + random.below(100);
    let one = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    client.write(one.repeat(count)).await?;
    for _ in 0..count {
        if answer(&client).await? != (200, b"hello".to_vec()) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn good_chunked(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    client.write("POST /pass HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let mut expected = Vec::new();
    for _ in 0..random.below(10) {
        let data = vec![b'c'; 1 + random.below(5_000)];
        client.write([format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat()).await?;
        expected.extend(data);
        sleep(Duration::from_millis(random.below(20) as u64)).await;
    }
    client.write("0\r\n\r\n").await?;
    Ok(answer(&client).await? == (200, expected))
}

async fn good_large(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let path = ["/large", "/stream"][random.below(2)];
    Ok(get(addr, path).await?.len() == LARGE / 1_000 * 1_000 || path == "/large")
}

async fn good_upgraded(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    client.write("GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await?;
    client.read_until(b"\r\n\r\n").await?;
    for _ in 0..random.below(10) {
        client.write("ping").await?;
        if client.read_bytes(4).await? != "ping" {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn good_unread(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    for _ in 0..5 {
        let body = "u".repeat(random.below(60_000));
        let head = format!("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        client.write(head + &body).await?;
        if answer(&client).await? != (200, b"unread".to_vec()) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn slow_head(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let pause = Duration::from_millis(1 + random.below(200) as u64);
    for byte in b"GET /unread HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" {
        client.write([*byte].as_slice()).await?;
        sleep(pause).await;
    }
    // Served or cut, as the pause has it.
    rest(&client).await;
    Ok(true)
}

async fn slow_body(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let pause = Duration::from_millis(100 * random.below(30) as u64);
    client.write("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10\r\n\r\n").await?;
    for _ in 0..10 {
        client.write("x").await?;
        sleep(pause).await;
    }
    rest(&client).await;
    Ok(true)
}

async fn slow_reader(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let path = ["/large", "/stream"][random.below(2)];
    client.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(random.below(1_000) as u64)).await;
        if client.read_some(20_000).await?.is_empty() {
            break;
        }
    }
    Ok(true)
}

async fn slow_silent(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    client.write(["", "G", "GET / HTTP/1.1\r\n"][random.below(3)]).await?;
    // The server ends it.
    rest(&client).await;
    Ok(true)
}

async fn broken_head(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let head = "GET /echo HTTP/1.1\r\nHost: a\r\nX-Header: value\r\n\r\n";
    client.write(&head[..random.below(head.len())]).await?;
    if random.below(2) == 0 {
        client.shutdown_write().await?;
        rest(&client).await;
    }
    Ok(true)
}

async fn broken_body(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let path = ["/echo", "/count", "/pass", "/unread"][random.below(4)];
    let framing = ["Content-Length: 100", "Transfer-Encoding: chunked"][random.below(2)];
    client.write(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n5\r\nhel")).await?;
    if random.below(2) == 0 {
        client.shutdown_write().await?;
        rest(&client).await;
    }
    Ok(true)
}

async fn broken_leaves(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let path = ["/wait", "/large", "/stream", "/upgrade"][random.below(4)];
    let upgrade = "Connection: upgrade\r\nUpgrade: echo\r\n";
    client.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n")).await?;
    sleep(Duration::from_millis(random.below(100) as u64)).await;
    client.close();
    Ok(true)
}

async fn broken_resets(addr: SocketAddr, random: Random) -> io::Result<bool> {
    // Closed with an answer unread, a socket is reset.
    let client = TcpStream::connect(addr)?;
    client.set_nonblocking(true)?;
    let client = IOStream::from_nonblocking(client)?;
    client.write("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    sleep(Duration::from_millis(20 + random.below(100) as u64)).await;
    client.close();
    Ok(true)
}

async fn broken_mutated(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let whole = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let mut bytes = whole.repeat(1 + random.below(3)).into_bytes();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        match random.below(3) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes.insert(at, b"\r\n :;0"[random.below(6)]),
            _ => drop(bytes.remove(at)),
        }
    }
    client.write(bytes).await?;
    client.shutdown_write().await?;
    rest(&client).await;
    Ok(true)
}

async fn broken_panic(addr: SocketAddr, _: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    client.write("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    Ok(answer(&client).await?.0 == 500)
}

async fn hostile_chunks(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    client.write("POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let rounds = random.below(50);
    for _ in 0..rounds {
        client.write("1\r\nx\r\n".repeat(5_000)).await?;
    }
    client.write("0\r\n\r\n").await?;
    Ok(answer(&client).await? == (200, (rounds * 5_000).to_string().into_bytes()))
}

async fn hostile_lines(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let line = ["A: x\r\n", "A: x\r\n\tfolded\r\n", "Cookie: a=\"\\012\\012\"\r\n", ":\r\n"][random.below(4)];
    client.write(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", line.repeat(5_000))).await?;
    Ok(matches!(answer(&client).await?.0, 400 | 431))
}

async fn hostile_escapes(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let target = ["/", "/?"][random.below(2)].to_owned() + &"%41".repeat(random.below(5_000));
    client.write(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await?;
    Ok(matches!(answer(&client).await?.0, 404 | 414))
}

async fn hostile_never_reads(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let path = ["/large", "/stream", "/unread"][random.below(3)];
    client.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(500)).await?;
    sleep(Duration::from_secs(4)).await;
    Ok(true)
}

async fn hostile_smuggling(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let lines = [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
        "Content-Length: 3\r\nContent-Length: 30",
        "Content-Length: +3",
    ][random.below(5)];
    let smuggled = "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n0\r\n\r\n{smuggled}")).await?;
    let refused = answer(&client).await?.0 == 400;
    Ok(refused && rest(&client).await == 0)
}

async fn hostile_protocols(addr: SocketAddr, random: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    let (hello, expected): (&[u8], u16) = [
        (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], 505),
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], 400),
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], 400),
    ][random.below(3)];
    client.write(hello).await?;
    Ok(answer(&client).await?.0 == expected)
}

async fn hostile_endless(addr: SocketAddr, _: Random) -> io::Result<bool> {
    let client = connect(addr).await?;
    client.write("nonsense\r\n\r\n").await?;
    while client.write(vec![b'x'; 64 * 1024]).await.is_ok() {
        sleep(Duration::from_millis(50)).await;
    }
    Ok(true)
}
