//! One event, in the format of an event stream.

use std::{fmt, time::Duration};

use httpserver::Bytes;

use crate::error::{Error, Result};

/// An event to be sent: data, and optionally an id, a name and a time to reconnect after.
///
/// The data is text. It may have several lines, and each line break (CR, LF or CR LF) arrives as an LF; everything else
/// arrives as it was. A name or an id with a line break would end its field and begin another, so it is an error, which
/// [`encode`](Event::encode) returns.
///
/// # Examples
///
/// ```
/// use web::event_stream::Event;
///
/// let event = Event::new("one\ntwo").name("numbers").id("17").encode()?;
/// assert_eq!(event.as_bytes(), "data: one\ndata: two\nevent: numbers\nid: 17\n\n");
/// assert!(Event::new("x").id("1\ndata: forged").encode().is_err());
/// # Ok::<_, web::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "an event has to be sent"]
pub struct Event {
    /// Whole lines, without the empty one at the end.
    lines: Vec<u8>,
    /// What is wrong with a field.
    fault: Option<&'static str>,
}

impl Event {
    /// An event with this data, which may be empty.
    #[inline]
    pub fn new(data: impl AsRef<str>) -> Event {
        Event::without_data().data(data)
    }

    /// An event whose data is `value` as JSON. JSON has no line breaks, so it is one line.
    ///
    /// # Errors
    ///
    /// When the value cannot be serialised.
    #[cfg(feature = "json")]
    #[inline]
    pub fn json<T: serde_core::Serialize + ?Sized>(value: &T) -> Result<Event> {
        let mut lines = b"data: ".to_vec();
        serde_json::to_writer(&mut lines, value)?;
        lines.push(b'\n');
        Ok(Event { lines, fault: None })
    }

    /// Fields alone: an [`id`](Event::id) that a client is to remember, or a [`retry`](Event::retry). The page sees nothing
    /// of it.
    #[inline]
    pub fn without_data() -> Event {
        Event { lines: Vec::new(), fault: None }
    }

    /// Adds lines of data, as those of [`new`](Event::new).
    #[inline]
    pub fn data(mut self, data: impl AsRef<str>) -> Event {
        self.append_lines("data", data.as_ref());
        self
    }

    /// The name, by which a page listens: `source.addEventListener(name, …)`. An event without one is a `message`.
    #[inline]
    pub fn name(mut self, name: impl AsRef<str>) -> Event {
        let name = name.as_ref();
        if has_line_break(name) {
            self.fault = Some("a line break in the name");
        }
        self.append_line("event", name);
        self
    }

    /// The id, which the client sends back as `Last-Event-ID` when it reconnects. An empty one has the client forget what it
    /// had.
    #[inline]
    pub fn id(mut self, id: impl AsRef<str>) -> Event {
        let id = id.as_ref();
        if has_line_break(id) {
            self.fault = Some("a line break in the id");
        } else if id.contains('\0') {
            // Clients ignore such an id, so a stream would begin again at the wrong place.
            self.fault = Some("a NUL in the id");
        }
        self.append_line("id", id);
        self
    }

    /// How long the client waits before it reconnects, from now on; in whole milliseconds.
    #[inline]
    pub fn retry(mut self, wait: Duration) -> Event {
        self.lines.extend_from_slice(format!("retry: {}\n", wait.as_millis()).as_bytes());
        self
    }

    /// A comment, which clients skip.
    #[inline]
    pub fn comment(mut self, text: impl AsRef<str>) -> Event {
        self.append_lines("", text.as_ref());
        self
    }

    /// The bytes to be sent. They are cheap to clone: format an event once, and send it to everybody.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidEvent`] when a name or an id has a line break, or an id a NUL.
    #[inline]
    pub fn encode(mut self) -> Result<EncodedEvent> {
        if let Some(fault) = self.fault {
            return Err(Error::InvalidEvent(fault));
        }
        self.lines.push(b'\n');
        Ok(EncodedEvent { bytes: self.lines.into() })
    }

    /// A field for each line of `text`.
    #[inline]
    fn append_lines(&mut self, field: &str, text: &str) {
        self.lines.reserve(text.len() + 16);
        let mut rest = text;
        while let Some(at) = rest.find(['\r', '\n']) {
            self.append_line(field, &rest[..at]);
            let length = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
            rest = &rest[at + length..];
        }
        self.append_line(field, rest);
    }

    /// The space is the one that clients take off, so a value may begin with another.
    #[inline]
    fn append_line(&mut self, field: &str, value: &str) {
        for part in [field, ": ", value, "\n"] {
            self.lines.extend_from_slice(part.as_bytes());
        }
    }
}

fn has_line_break(text: &str) -> bool {
    text.contains(['\r', '\n'])
}

impl fmt::Debug for Event {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&String::from_utf8_lossy(&self.lines)).finish()
    }
}

/// An event in the form in which it is sent. Cloning it copies nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an event has to be sent"]
pub struct EncodedEvent {
    bytes: Bytes,
}

impl EncodedEvent {
    /// The bytes, with the empty line that ends the event.
    #[inline]
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// [`as_bytes`](EncodedEvent::as_bytes), taken out.
    #[inline]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl TryFrom<Event> for EncodedEvent {
    type Error = Error;

    #[inline]
    fn try_from(event: Event) -> Result<EncodedEvent> {
        event.encode()
    }
}
