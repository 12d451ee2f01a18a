//! Who may do what: offers, answers, and what comes of them (RFC 7692 5 and 7.1).

use std::{error::Error, fmt, fmt::Write};

use super::{
    DeflateOptions, MAX_WINDOW_BITS, MIN_COMPRESSOR_BITS,
    parameters::{Parameters, Unusable},
};

/// What client and server have agreed on, from the view of one of them.
///
/// # Examples
///
/// The handshake, both sides of it:
///
/// ```
/// use web::websocket::codec::{Deflate, DeflateOptions};
///
/// let options = DeflateOptions::new();
/// let offer = Deflate::offer(&options);
///
/// let (at_the_server, answer) = Deflate::accept([&offer], &options).expect("an offer of our own is acceptable");
/// assert_eq!(answer, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
///
/// let at_the_client = Deflate::agreed([&answer], &options)?.expect("the server has accepted");
/// # let _ = (at_the_server, at_the_client);
/// # Ok::<(), web::websocket::codec::ExtensionError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    pub(super) level: u8,
    pub(super) threshold: u32,
    /// What this end sends.
    pub(super) sending: Direction,
    /// What this end receives.
    pub(super) receiving: Direction,
}

/// How the messages in one direction are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Direction {
    pub(super) has_context: bool,
    /// How far back the compressor may look, as a power of two.
    pub(super) window_bits: u8,
}

impl Deflate {
    /// Accepts the first acceptable offer, for a server. `offers` are the members of the client's
    /// `Sec-WebSocket-Extensions`, as `headers().list("sec-websocket-extensions")` returns them. Returns the member for the
    /// answer, or `None` if the connection goes on without compression.
    ///
    /// Other extensions are passed over. An offer with a parameter that is unknown, repeated or out of range is declined, as
    /// is a window of 256 bytes for what the server sends, because zlib cannot compress with it.
    #[inline]
    pub fn accept<T: AsRef<[u8]>>(
        offers: impl IntoIterator<Item = T>,
        options: &DeflateOptions,
    ) -> Option<(Deflate, String)> {
        let mut offers = offers.into_iter().filter_map(|offer| Parameters::parse(offer.as_ref()).ok());
        let answer = offers.find_map(|offer| answer_to(&offer, options))?;
        let agreed = Deflate::new(options, direction_of_server(&answer), direction_of_client(&answer));
        Some((agreed, written(&answer)))
    }

    /// The offer of a client, a member for its `Sec-WebSocket-Extensions`.
    #[inline]
    pub fn offer(options: &DeflateOptions) -> String {
        written(&offered(options))
    }

    /// Checks the answer of a server to [`offer`](Deflate::offer), for a client. `None` if the server declined.
    ///
    /// # Errors
    ///
    /// [`ExtensionError`] for an answer that the offer does not allow, with which the connection has to end.
    #[inline]
    pub fn agreed<T: AsRef<[u8]>>(
        answer: impl IntoIterator<Item = T>,
        options: &DeflateOptions,
    ) -> Result<Option<Deflate>, ExtensionError> {
        let mut members = answer.into_iter();
        let Some(member) = members.next() else { return Ok(None) };
        if members.next().is_some() {
            return Err(ExtensionError("the server accepted more than one extension"));
        }
        let answer = Parameters::parse(member.as_ref()).map_err(|unusable| match unusable {
            Unusable::Other => ExtensionError("the server accepted an extension that was not offered"),
            Unusable::Malformed => ExtensionError("the server's answer about compression is malformed"),
        })?;
        check_answer(&answer, &offered(options))?;
        Ok(Some(Deflate::new(options, direction_of_client(&answer), direction_of_server(&answer))))
    }

    #[inline]
    fn new(options: &DeflateOptions, sending: Direction, receiving: Direction) -> Deflate {
        let window_bits = sending.window_bits.min(options.max_window_bits);
        let has_context = sending.has_context && options.context_takeover;
        // There is no use in compressing nothing.
        let threshold = options.threshold.max(1);
        Deflate { level: options.level, threshold, sending: Direction { has_context, window_bits }, receiving }
    }
}

/// What a server with these options answers; `None` if it declines.
#[inline]
fn answer_to(offer: &Parameters, options: &DeflateOptions) -> Option<Parameters> {
    let limit = (options.max_window_bits < MAX_WINDOW_BITS).then_some(options.max_window_bits);
    if offer.server_max_window_bits.is_some_and(|bits| bits < MIN_COMPRESSOR_BITS) {
        return None;
    }
    Some(Parameters {
        server_no_context_takeover: offer.server_no_context_takeover || !options.context_takeover,
        client_no_context_takeover: offer.client_no_context_takeover || !options.context_takeover,
        // Tells the client of a smaller window even if it did not ask: it needs less memory then.
        server_max_window_bits: at_most(offer.server_max_window_bits, limit),
        // May be limited only if the client said that it understands (7.1.2.2).
        client_max_window_bits: offer.client_max_window_bits.and_then(|bits| at_most(bits, limit)).map(Some),
    })
}

#[inline]
fn at_most(bits: Option<u8>, limit: Option<u8>) -> Option<u8> {
    match (bits, limit) {
        (Some(bits), Some(limit)) => Some(bits.min(limit)),
        (bits, limit) => bits.or(limit),
    }
}

#[inline]
fn offered(options: &DeflateOptions) -> Parameters {
    let limit = (options.max_window_bits < MAX_WINDOW_BITS).then_some(options.max_window_bits);
    Parameters {
        server_no_context_takeover: !options.context_takeover,
        client_no_context_takeover: !options.context_takeover,
        server_max_window_bits: limit,
        client_max_window_bits: Some(limit),
    }
}

#[inline]
fn check_answer(answer: &Parameters, offer: &Parameters) -> Result<(), ExtensionError> {
    if offer.server_no_context_takeover && !answer.server_no_context_takeover {
        return Err(ExtensionError("the server would keep its context, which was declined"));
    }
    if let Some(limit) = offer.server_max_window_bits
        && answer.server_max_window_bits.is_none_or(|bits| bits > limit)
    {
        return Err(ExtensionError("the server would use a larger window than was offered"));
    }
    match (answer.client_max_window_bits, offer.client_max_window_bits) {
        (Some(None), _) => Err(ExtensionError("the server set a window without a size")),
        (Some(Some(bits)), Some(Some(limit))) if bits > limit => {
            Err(ExtensionError("the server asked for a larger window than was offered"))
        }
        _ => Ok(()),
    }
}

#[inline]
fn direction_of_server(answer: &Parameters) -> Direction {
    Direction {
        has_context: !answer.server_no_context_takeover,
        window_bits: answer.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS),
    }
}

#[inline]
fn direction_of_client(answer: &Parameters) -> Direction {
    Direction {
        has_context: !answer.client_no_context_takeover,
        window_bits: answer.client_max_window_bits.flatten().unwrap_or(MAX_WINDOW_BITS),
    }
}

/// The parameters as a member of `Sec-WebSocket-Extensions`.
#[inline]
fn written(parameters: &Parameters) -> String {
    let mut text = String::from("permessage-deflate");
    if parameters.server_no_context_takeover {
        text.push_str("; server_no_context_takeover");
    }
    if parameters.client_no_context_takeover {
        text.push_str("; client_no_context_takeover");
    }
    // Writing to a string does not fail.
    if let Some(bits) = parameters.server_max_window_bits {
        let _ = write!(text, "; server_max_window_bits={bits}");
    }
    match parameters.client_max_window_bits {
        Some(Some(bits)) => _ = write!(text, "; client_max_window_bits={bits}"),
        Some(None) => text.push_str("; client_max_window_bits"),
        None => {}
    }
    text
}

/// An answer to a client's offer of extensions that the offer does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionError(&'static str);

impl ExtensionError {
    #[inline]
    pub(in crate::websocket) fn reason(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for ExtensionError {}
