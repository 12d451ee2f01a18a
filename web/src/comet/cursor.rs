use std::{fmt, str::FromStr};

/// A place in the messages of a channel: behind the last one that a client has seen.
///
/// Every message has one, which is the cursor of a client that has seen the message and all before it. A cursor is text
/// for clients: the id of a server-sent event, a parameter of an URL, a field of JSON. It consists of letters, digits, `.` and
/// `-`, and needs no escaping anywhere.
///
/// # What it holds
///
/// An *epoch* and a *position*. Positions grow from message to message within an epoch, not always by one. Positions of
/// different epochs have nothing to do with each other: a channel has another epoch when it has lost its memory, after a
/// restart of the program for example. So a client with a cursor of an earlier life is found out.
///
/// A position is a pair of numbers, which is what an id of Redis Streams is. Where such ids are cursors the epoch is 0, and
/// the text is the id: `1700000000000-0`.
///
/// # Examples
///
/// ```
/// use web::comet::Cursor;
///
/// let cursor = Cursor::new(0xbeef, (17, 0));
/// assert_eq!(cursor.to_string(), "beef.17");
/// assert_eq!("beef.17".parse(), Ok(cursor));
///
/// let stream: Cursor = "1700000000000-3".parse()?;
/// assert_eq!((stream.epoch(), stream.position()), (0, (1_700_000_000_000, 3)));
/// assert_eq!(stream.to_string(), "1700000000000-3");
/// # Ok::<_, web::comet::ParseCursorError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    epoch: u64,
    position: Position,
}

/// Where in an epoch.
pub(crate) type Position = (u64, u64);

impl Cursor {
    /// The cursor behind the message at `position` of an epoch. Before all messages it is `(0, 0)`.
    #[inline]
    pub const fn new(epoch: u64, position: (u64, u64)) -> Cursor {
        Cursor { epoch, position }
    }

    /// Which life of the channel it belongs to.
    #[inline]
    pub const fn epoch(self) -> u64 {
        self.epoch
    }

    /// Where in that life it stands.
    #[inline]
    pub const fn position(self) -> (u64, u64) {
        self.position
    }
}

/// `epoch.position`, the epoch in hexadecimal digits. Without an epoch the second number is always there, otherwise only if it
/// is not 0.
impl fmt::Display for Cursor {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cursor { epoch, position: (major, minor) } = *self;
        if epoch != 0 {
            write!(f, "{epoch:x}.")?;
        }
        write!(f, "{major}")?;
        if epoch == 0 || minor != 0 {
            write!(f, "-{minor}")?;
        }
        Ok(())
    }
}

/// Takes what `Display` writes. Numbers beyond 64 bits, signs and anything else are errors.
impl FromStr for Cursor {
    type Err = ParseCursorError;

    /// One pass: each poll brings one.
    #[inline]
    fn from_str(text: &str) -> Result<Cursor, ParseCursorError> {
        let mut rest = text.as_bytes();
        let epoch = match rest.contains(&b'.') {
            true => {
                let epoch = number(&mut rest, 16)?;
                skip(&mut rest, b'.')?;
                epoch
            }
            false => 0,
        };
        let major = number(&mut rest, 10)?;
        let minor = match rest {
            [] => 0,
            _ => {
                skip(&mut rest, b'-')?;
                number(&mut rest, 10)?
            }
        };
        if rest.is_empty() { Ok(Cursor { epoch, position: (major, minor) }) } else { Err(ParseCursorError) }
    }
}

/// Takes the digits that `text` begins with, of which there is one at least.
#[inline]
fn number(text: &mut &[u8], radix: u32) -> Result<u64, ParseCursorError> {
    let mut value = 0_u64;
    let mut count = 0;
    while let Some(digit) = text.get(count).and_then(|&byte| char::from(byte).to_digit(radix)) {
        let shifted = value.checked_mul(radix.into()).ok_or(ParseCursorError)?;
        value = shifted.checked_add(digit.into()).ok_or(ParseCursorError)?;
        count += 1;
    }
    *text = &text[count..];
    if count > 0 { Ok(value) } else { Err(ParseCursorError) }
}

#[inline]
fn skip(text: &mut &[u8], byte: u8) -> Result<(), ParseCursorError> {
    let (&first, behind) = text.split_first().ok_or(ParseCursorError)?;
    *text = behind;
    if first == byte { Ok(()) } else { Err(ParseCursorError) }
}

/// A text that is no [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseCursorError;

impl fmt::Display for ParseCursorError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is no cursor")
    }
}

impl std::error::Error for ParseCursorError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By the library's parser, piece by piece.
    fn model(text: &str) -> Option<Cursor> {
        let number = |text: &str, radix| {
            let parsed = u64::from_str_radix(text, radix).ok();
            // It takes a sign, which `Display` does not write.
            parsed.filter(|_| !text.starts_with('+'))
        };
        let (epoch, position) = match text.split_once('.') {
            Some((epoch, position)) => (number(epoch, 16)?, position),
            None => (0, text),
        };
        let (major, minor) = position.split_once('-').unwrap_or((position, "0"));
        Some(Cursor::new(epoch, (number(major, 10)?, number(minor, 10)?)))
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(epoch: u64, major: u64, minor: u64, is_short: bool) {
            let cursor = Cursor::new(epoch, (major, if is_short { 0 } else { minor }));
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn any_text_is_taken_as_the_library_takes_its_numbers(
            text in prop_oneof!["[0-9a-fA-F.+ -]{0,12}", "[0-9a-f]{15,18}\\.[0-9]{18,21}(-[0-9]{18,21})?", "[0-9a-f.-]{0,30}é?"],
        ) {
            prop_assert_eq!(text.parse().ok(), model(&text));
        }
    }
}
