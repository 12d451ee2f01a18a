//! A name for each request, by which its traces in several places are found.

use std::{fmt, rc::Rc};

use httpserver::{Request, iostream::netutil::IpNetwork};

use crate::{
    error::Result,
    exchange::Exchange,
    jitter,
    wrap::{Next, Wrap},
};

/// A [`Wrap`](crate::Wrap) that gives each request an id: it stands in the lines that the framework logs about the request, in
/// the answer as `X-Request-Id`, and in [`Exchange::request_id`].
///
/// An id is made of 128 random bits, in hexadecimal digits. It is no secret and protects nothing. One that a request brings
/// along is taken only from [proxies that are trusted](RequestId::trusting), and only if it has 1 to 128 letters, digits, `-`,
/// `_` and `.`: anybody could write into the log otherwise.
///
/// Lines about a request have the id as long as it runs inside this wrap or has done so; so put it outermost.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, security::RequestId};
///
/// async fn hello(exchange: &mut Exchange) -> web::Result<()> {
///     log::info!("[{}] saying hello", exchange.request_id().unwrap_or_default());
///     exchange.write_text("hello");
///     Ok(())
/// }
///
/// let nginx = ["127.0.0.1".parse()?];
/// let application = Application::new().get("/", hello).wrap(RequestId::new().trusting(nginx));
/// # use web::testing::{self, TestClient};
/// # testing::run(async {
/// #     let client = TestClient::new(application);
/// #     client.get("/").header("X-Request-Id", "a1-b2").send().await.assert_header("x-request-id", "a1-b2");
/// # });
/// # Ok::<_, httpserver::iostream::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RequestId {
    header: Rc<str>,
    trusted: Rc<[IpNetwork]>,
}

/// The id, in the extensions of a request.
struct Id(Rc<str>);

const MOST: usize = 128;

impl RequestId {
    /// With the header `X-Request-Id`, and trusting nobody.
    #[inline]
    pub fn new() -> RequestId {
        RequestId { header: "X-Request-Id".into(), trusted: [].into() }
    }

    /// Takes the ids of peers in these networks: of the proxies in front. They have to replace what a client sends, or to
    /// have checked it.
    #[must_use]
    #[inline]
    pub fn trusting(self, networks: impl IntoIterator<Item = IpNetwork>) -> RequestId {
        RequestId { trusted: networks.into_iter().collect(), ..self }
    }

    /// Sets the name of the header, of requests and of answers.
    ///
    /// # Panics
    ///
    /// When it is no name of a header.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn header(self, name: &str) -> RequestId {
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        assert!(is_name, "{name:?} is no name of a header");
        RequestId { header: name.into(), ..self }
    }

    #[inline]
    fn of(&self, request: &Request) -> Option<Rc<str>> {
        // The one at the other end of the connection, whoever it speaks for.
        let peer = request.peer_addr()?.ip().to_canonical();
        let is_trusted = self.trusted.iter().any(|network| network.contains(peer));
        let mut lines = request.headers().get_all(&self.header).filter(|_| is_trusted);
        let (Some(id), None) = (lines.next(), lines.next()) else { return None };
        let is_valid = (1..=MOST).contains(&id.len()) && id.iter().all(|&byte| is_id_byte(byte));
        std::str::from_utf8(id).ok().filter(|_| is_valid).map(Rc::from)
    }
}

impl Default for RequestId {
    #[inline]
    fn default() -> RequestId {
        RequestId::new()
    }
}

impl Wrap for RequestId {
    #[inline]
    async fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> Result<()> {
        let id = self.of(exchange.request());
        let id = id.unwrap_or_else(|| format!("{:016x}{:016x}", jitter::random(), jitter::random()).into());
        exchange.extensions().set(Id(Rc::clone(&id)));
        let header = Rc::clone(&self.header);
        exchange.on_response(move |response| {
            // Both were checked.
            let _ = response.set_header(&header, &*id);
        });
        next.run(exchange).await
    }
}

impl Exchange {
    /// Returns the id that [`RequestId`] has given this request; `None` outside of that wrap.
    #[inline]
    pub fn request_id(&self) -> Option<Rc<str>> {
        id_of(self.request())
    }
}

#[inline]
pub(crate) fn id_of(request: &Request) -> Option<Rc<str>> {
    Some(Rc::clone(&request.extensions().get::<Id>()?.0))
}

#[inline]
fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// The id of a request behind a space and in brackets, for a line of the log; nothing without one.
pub(crate) struct InLog<'r>(pub(crate) &'r Request);

impl fmt::Display for InLog<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match id_of(self.0) {
            Some(id) => write!(f, " [{id}]"),
            None => Ok(()),
        }
    }
}
