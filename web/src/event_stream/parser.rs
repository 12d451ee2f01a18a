use std::time::Duration;

use crate::error::{Error, Result};

/// Reads an event stream, as a client does: for tests, and for programs that pass on the events of another server.
///
/// It follows the WHATWG's rules to the letter: any line ending, a byte order mark at the beginning, fields that it does not
/// know, an event that was not complete when the stream ended. Bytes may come in any pieces.
///
/// # Examples
///
/// ```
/// use web::event_stream::EventParser;
///
/// let mut parser = EventParser::new();
/// parser.push(b": a comment\n\nid: 7\ndata: first\ndata: sec")?;
/// assert_eq!(parser.next_event(), None);
/// parser.push(b"ond\n\n")?;
/// let event = parser.next_event().expect("it is complete");
/// assert_eq!((event.name.as_str(), event.data.as_str(), event.id.as_str()), ("message", "first\nsecond", "7"));
/// assert_eq!(parser.last_event_id(), "7");
/// # Ok::<_, web::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct EventParser {
    /// What has come and has not been read.
    unread: Vec<u8>,
    /// Where in it the next line begins.
    at: usize,
    /// Up to where it has no line end, if that is behind `at`.
    searched: usize,
    /// Nothing has been read: a byte order mark is skipped.
    at_start: bool,
    /// The last line ended with CR: an LF that follows belongs to it.
    after_cr: bool,
    /// Of the event in progress, each line with its LF.
    data: String,
    name: String,
    /// Of the event in progress, and of all that follow.
    id: String,
    last_event_id: String,
    retry: Option<Duration>,
    max_event: usize,
}

/// An event that a client has received.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedEvent {
    /// `message` unless the event had another.
    pub name: String,
    /// The lines, with an LF between them.
    pub data: String,
    /// The last id that the stream has named, in this event or before.
    pub id: String,
}

impl EventParser {
    /// A parser at the beginning of a stream, for events of up to 1 MiB.
    #[inline]
    pub fn new() -> EventParser {
        EventParser {
            unread: Vec::new(),
            at: 0,
            searched: 0,
            at_start: true,
            after_cr: false,
            data: String::new(),
            name: String::new(),
            id: String::new(),
            last_event_id: String::new(),
            retry: None,
            max_event: 1024 * 1024,
        }
    }

    /// The longest event, in bytes as it is sent.
    #[inline]
    #[must_use]
    pub fn max_event(mut self, bytes: usize) -> Self {
        self.max_event = bytes;
        self
    }

    /// Takes the next piece of the stream, after [`next_event`](EventParser::next_event) has returned `None`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidEvent`] when an event that is not complete is longer than the limit by now.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.unread.drain(..self.at);
        self.searched = self.searched.saturating_sub(self.at);
        self.at = 0;
        if self.data.len() + self.unread.len() > self.max_event {
            return Err(Error::InvalidEvent("it is too long"));
        }
        self.unread.extend_from_slice(bytes);
        Ok(())
    }

    /// The next event that is complete. Call it until it returns `None`, and then push more.
    #[inline]
    pub fn next_event(&mut self) -> Option<ReceivedEvent> {
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.read_field(&line);
            } else if let Some(event) = self.dispatch() {
                return Some(event);
            }
        }
        None
    }

    /// What a client sends as `Last-Event-ID` when it reconnects; empty when there was none.
    #[inline]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// How long a client waits before it reconnects, if the stream has said so.
    #[inline]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    #[inline]
    fn next_line(&mut self) -> Option<String> {
        const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
        if self.at_start {
            let begin = &self.unread[self.at..];
            if begin.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(begin) {
                return None;
            }
            if begin.starts_with(BYTE_ORDER_MARK) {
                self.at += BYTE_ORDER_MARK.len();
            }
            self.at_start = false;
        }
        if self.after_cr {
            if *self.unread.get(self.at)? == b'\n' {
                self.at += 1;
            }
            self.after_cr = false;
        }
        let from = self.searched.max(self.at);
        let end = self.unread[from..].iter().position(|byte| is_line_end(*byte));
        self.searched = end.map_or(self.unread.len(), |end| from + end);
        end?;
        self.after_cr = self.unread[self.searched] == b'\r';
        let line = String::from_utf8_lossy(&self.unread[self.at..self.searched]).into_owned();
        self.at = self.searched + 1;
        Some(line)
    }

    #[inline]
    fn read_field(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().map(Duration::from_millis).ok().or(self.retry);
            }
            // A comment, whose field is empty, or one that is not known.
            _ => {}
        }
    }

    /// The end of an event. One without data only sets the id.
    #[inline]
    fn dispatch(&mut self) -> Option<ReceivedEvent> {
        self.last_event_id.clone_from(&self.id);
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Some(ReceivedEvent { name, data, id: self.last_event_id.clone() })
    }
}

impl Default for EventParser {
    #[inline]
    fn default() -> Self {
        EventParser::new()
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}
