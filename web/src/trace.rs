//! The place of a request in a trace, by the header `traceparent` (W3C Trace Context).

use std::{fmt, rc::Rc};

use crate::{exchange::Exchange, jitter};

/// The place of a request in a trace that goes through several services: [`Exchange::trace`].
///
/// `Display` is the value of the header `traceparent` for the requests that this one causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    trace_id: u128,
    /// Of the caller.
    parent_id: Option<u64>,
    /// Of this request.
    span_id: u64,
    is_sampled: bool,
}

impl Trace {
    /// What the value of a `traceparent` header says; `None` when it is malformed. This request gets a span of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::Trace;
    ///
    /// let trace = Trace::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("it is well-formed");
    /// assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    /// assert_eq!(trace.parent_id().as_deref(), Some("00f067aa0ba902b7"));
    /// assert!(trace.is_sampled() && trace.to_string().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    /// assert_eq!(Trace::parse(b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"), None);
    /// ```
    #[inline]
    pub fn parse(value: &[u8]) -> Option<Trace> {
        let (head, rest) = value.split_at_checked(55)?;
        let version = hex(&head[..2])?;
        // 255 is forbidden. Later versions may have more fields behind these, the first has not.
        let is_known = match version {
            255 => false,
            0 => rest.is_empty(),
            _ => rest.is_empty() || rest[0] == b'-',
        };
        if !is_known || [head[2], head[35], head[52]] != *b"---" {
            return None;
        }
        let trace_id = hex(&head[3..35])?;
        let parent_id = u64::try_from(hex(&head[36..52])?).ok()?;
        let flags = hex(&head[53..])?;
        let is_valid = trace_id != 0 && parent_id != 0;
        is_valid.then(|| Trace { trace_id, parent_id: Some(parent_id), span_id: new_id(), is_sampled: flags & 1 == 1 })
    }

    /// The beginning of a new trace, with a random id. It is not sampled.
    #[inline]
    pub fn new() -> Trace {
        let trace_id = u128::from(new_id()) << 64 | u128::from(new_id());
        Trace { trace_id, parent_id: None, span_id: new_id(), is_sampled: false }
    }

    /// What all requests of the trace have in common, in 32 hexadecimal digits.
    #[inline]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The caller's span, in 16 hexadecimal digits; `None` when the trace begins here.
    #[inline]
    pub fn parent_id(&self) -> Option<String> {
        self.parent_id.map(|id| format!("{id:016x}"))
    }

    /// The span of this request, in 16 hexadecimal digits.
    #[inline]
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// Whether the caller may have recorded its part.
    #[inline]
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }
}

impl Default for Trace {
    #[inline]
    fn default() -> Trace {
        Trace::new()
    }
}

impl fmt::Display for Trace {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.is_sampled))
    }
}

impl Exchange {
    /// The place of this request in a trace: that of its `traceparent` header, or the beginning of a new trace if it has none
    /// that is well-formed, or several.
    ///
    /// Send it along with the requests that this one causes, and an unchanged `tracestate` beside it. It is the same at each
    /// call, and stands in the lines of the [JSON access log](crate::AccessLogFormat::Json). The client chooses it: it
    /// proves nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// async fn order(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     let traceparent = exchange.trace().to_string(); // a header of the request to the stock
    /// #   let _ = traceparent;
    ///     exchange.write_text("ordered\n");
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn trace(&self) -> Rc<Trace> {
        if let Some(known) = self.extensions().get::<Trace>() {
            return known;
        }
        let trace = self.received_trace().unwrap_or_default();
        self.extensions().set(trace.clone());
        Rc::new(trace)
    }

    /// The trace of this request, if it came with one or a handler has asked for one.
    #[inline]
    pub(crate) fn known_trace(&self) -> Option<Rc<Trace>> {
        match self.extensions().get::<Trace>() {
            None => self.received_trace().map(Rc::new),
            known => known,
        }
    }

    #[inline]
    fn received_trace(&self) -> Option<Trace> {
        let mut lines = self.headers().get_all("traceparent");
        let line = lines.next()?;
        if lines.next().is_some() { None } else { Trace::parse(line) }
    }
}

/// A random number that is not zero, which no id may be.
#[inline]
fn new_id() -> u64 {
    jitter::random().max(1)
}

/// Hexadecimal digits in lower case, which are the only ones.
#[inline]
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn a_header_is_read_strictly() {
        for (value, sampled) in [
            (format!("00-{TRACE}-{PARENT}-00"), false),
            (format!("00-{TRACE}-{PARENT}-01"), true),
            (format!("00-{TRACE}-{PARENT}-fe"), false),
            (format!("01-{TRACE}-{PARENT}-01"), true),
            (format!("cc-{TRACE}-{PARENT}-01-what-comes-later"), true),
        ] {
            let trace = Trace::parse(value.as_bytes()).expect(&value);
            assert_eq!((trace.is_sampled(), trace.parent_id().as_deref()), (sampled, Some(PARENT)), "{value}");
            assert_eq!(trace.to_string(), format!("00-{TRACE}-{}-0{}", trace.span_id(), u8::from(sampled)));
        }
        for value in [
            String::new(),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("01-{TRACE}-{PARENT}-01.more"),
            format!("00-{TRACE}-{PARENT}-0"),
            format!("00-{TRACE}-{PARENT}"),
            format!("0-{TRACE}-{PARENT}-011"),
            format!("00-{TRACE}-{PARENT}-0g"),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00_{TRACE}-{PARENT}-01"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01"),
        ] {
            assert_eq!(Trace::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn a_new_trace_can_be_read_by_the_next_service() {
        let trace = Trace::new();
        let next = Trace::parse(trace.to_string().as_bytes()).expect("well-formed");
        assert_eq!((next.trace_id(), next.parent_id()), (trace.trace_id(), Some(trace.span_id())));
        assert_ne!(trace.trace_id(), Trace::new().trace_id());
    }
}
