use std::fmt::{self, Write};

use httpserver::{Headers, StatusCode, client::ClientResponse, iostream::ioloop::Printable};

use super::notes::Notes;

/// An answer: its status, its header lines, and its body as far as it has come.
///
/// The `assert_..` methods panic at the line of their caller, with the whole answer in the text. They return the answer,
/// so that they can be chained. See [`TestClient`](super::TestClient) for an example.
pub struct TestResponse {
    what: String,
    pub(super) head: ClientResponse,
    pub(super) body: Vec<u8>,
    /// The body decompressed, once somebody has asked.
    #[cfg(feature = "compression")]
    pub(super) decoded: std::cell::OnceCell<Vec<u8>>,
    #[cfg_attr(not(feature = "templates"), expect(dead_code, reason = "there is nothing to note"))]
    pub(super) notes: Notes,
}

impl TestResponse {
    /// `head` is a response whose body has been taken.
    pub(super) fn new(head: ClientResponse, notes: Notes, what: String) -> TestResponse {
        TestResponse {
            what,
            head,
            body: Vec::new(),
            #[cfg(feature = "compression")]
            decoded: Default::default(),
            notes,
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }

    /// The header lines.
    pub fn headers(&self) -> &Headers {
        self.head.headers()
    }

    /// The first header line of this name, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)
    }

    /// The body, as it was sent.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text, decompressed as by [`content`](TestResponse::content).
    ///
    /// # Panics
    ///
    /// When it is not UTF-8, and as `content`.
    #[track_caller]
    pub fn text(&self) -> &str {
        // No closure: a panic in it would not be at the line of the caller.
        match str::from_utf8(self.content()) {
            Ok(text) => text,
            Err(error) => self.fail(format_args!("the body is no text: {error}")),
        }
    }

    /// The body, decompressed as by [`content`](TestResponse::content) and parsed as JSON. The `Content-Type` is not looked at.
    ///
    /// # Panics
    ///
    /// When it is none, or not that of a `T`.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn json<T: serde_core::de::DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(self.content()) {
            Ok(value) => value,
            Err(error) => self.fail(format_args!("the body is not the JSON expected: {error}")),
        }
    }

    /// The request, for the texts of failures.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// Panics, and shows the response.
    #[track_caller]
    pub(super) fn fail(&self, why: fmt::Arguments<'_>) -> ! {
        panic!("{}: {why}\n{self}", self.what)
    }
}

/// So much of a body is shown.
const BEGINNING: usize = 1000;

/// The status line, the header lines and the beginning of the body, each line indented. Control characters are escaped.
impl fmt::Display for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  HTTP/1.1 {}", self.status())?;
        for (name, value) in self.headers().iter() {
            writeln!(f, "  {name}: {}", Printable::bytes(value))?;
        }
        f.write_char('\n')?;
        // One that cannot be decoded is shown as it is.
        let body = self.decode().unwrap_or(&self.body);
        let beginning = &body[..body.len().min(BEGINNING)];
        if beginning.contains(&0) {
            return write!(f, "  ({} bytes)", body.len());
        }
        for line in beginning.split(|byte| *byte == b'\n') {
            writeln!(f, "  {}", Printable::bytes(line))?;
        }
        match body.len() - beginning.len() {
            0 => Ok(()),
            rest => write!(f, "  .. and {rest} bytes more"),
        }
    }
}

impl fmt::Debug for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestResponse")
            .field("status", &self.status())
            .field("headers", self.headers())
            .field("body", &format_args!("{:?}", Printable::bytes(&self.body).to_string()))
            .finish_non_exhaustive()
    }
}
