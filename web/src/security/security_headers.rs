//! Headers by which browsers are told to be careful.

use std::{borrow::Cow, rc::Rc, time::Duration};

use httpserver::{Protocol, Response};

use crate::{
    error::Result,
    exchange::Exchange,
    wrap::{Next, Wrap},
};

/// A [`Wrap`](crate::Wrap) that adds headers by which browsers are told to be careful, to all answers, errors and streams
/// included. What a handler sets itself stays.
///
/// | header | default | setter |
/// |---|---|---|
/// | `X-Content-Type-Options` | `nosniff`: a file is what its type says | |
/// | `Referrer-Policy` | `strict-origin-when-cross-origin`: other sites do not learn paths | [`referrer_policy`](Self::referrer_policy) |
/// | `X-Frame-Options` and `frame-ancestors` | `SAMEORIGIN`, `'self'`: no other site puts a page into a frame | [`frames`](Self::frames) |
/// | `Cross-Origin-Opener-Policy` | `same-origin`: other sites' windows have no hold of this one | [`opener_policy`](Self::opener_policy) |
/// | `Strict-Transport-Security`, over HTTPS alone | `max-age=31536000`: the browser uses nothing but HTTPS for a year | [`hsts`](Self::hsts) |
/// | `Content-Security-Policy` | `frame-ancestors` alone | [`content_security_policy`](Self::content_security_policy) |
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, security::{Frames, SecurityHeaders}};
///
/// async fn page(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.write("<h1>Hello</h1>");
///     Ok(())
/// }
///
/// let headers = SecurityHeaders::new().frames(Frames::Deny).content_security_policy("default-src 'self'");
/// let application = Application::new().get("/", page).wrap(headers);
/// # use web::testing::{self, TestClient};
/// # testing::run(async {
/// #     let response = TestClient::new(application).get("/").send().await;
/// #     response.assert_header("x-content-type-options", "nosniff").assert_header("x-frame-options", "DENY");
/// #     response.assert_header("content-security-policy", "default-src 'self'; frame-ancestors 'none'");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct SecurityHeaders {
    settings: Rc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    referrer_policy: Option<Cow<'static, str>>,
    frames: Frames,
    opener_policy: Option<Cow<'static, str>>,
    hsts: Option<String>,
    policy: Cow<'static, str>,
    /// The policy with the directive for frames, as it is sent.
    full_policy: String,
}

/// Which sites may show a page in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frames {
    /// None.
    Deny,
    /// Pages of the same origin.
    SameOrigin,
    /// Those of a list as `frame-ancestors` has it: `'self' https://partner.example.com`.
    From(Cow<'static, str>),
    /// All: nothing is said.
    Anywhere,
}

impl SecurityHeaders {
    /// With the defaults above.
    #[inline]
    pub fn new() -> SecurityHeaders {
        let settings = Settings {
            referrer_policy: Some("strict-origin-when-cross-origin".into()),
            frames: Frames::SameOrigin,
            opener_policy: Some("same-origin".into()),
            hsts: Some("max-age=31536000".to_owned()),
            policy: "".into(),
            full_policy: String::new(),
        };
        SecurityHeaders { settings: Rc::new(settings) }.rebuild()
    }

    /// Sets the `Referrer-Policy`; an empty one is not sent.
    ///
    /// # Panics
    ///
    /// When it cannot stand in a header.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn referrer_policy(self, policy: impl Into<Cow<'static, str>>) -> SecurityHeaders {
        self.with(|settings| settings.referrer_policy = value(policy.into()))
    }

    /// Sets the `Cross-Origin-Opener-Policy`; an empty one is not sent. `same-origin-allow-popups` for pages that open windows
    /// of others, to sign in or to pay.
    ///
    /// # Panics
    ///
    /// When it cannot stand in a header.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn opener_policy(self, policy: impl Into<Cow<'static, str>>) -> SecurityHeaders {
        self.with(|settings| settings.opener_policy = value(policy.into()))
    }

    /// Sets which sites may show a page in a frame, and lead its user to click on something else than what they see.
    ///
    /// # Panics
    ///
    /// When a list cannot stand in a header, or has a semicolon.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn frames(self, frames: Frames) -> SecurityHeaders {
        if let Frames::From(list) = &frames {
            assert!(!list.contains(';') && value(list.clone()).is_some(), "{list:?} is no list for frame-ancestors");
        }
        self.with(|settings| settings.frames = frames).rebuild()
    }

    /// Sets for how long a browser uses nothing but HTTPS for this host once it has seen an answer over it; zero ends that
    /// for those who come back. With `subdomains` this holds for all hosts below, too. Only sent over
    /// [HTTPS](crate::Exchange::protocol), as RFC 6797 wants it. Nothing undoes it in a browser before the time is over.
    #[must_use]
    #[inline]
    pub fn hsts(self, max_age: Duration, subdomains: bool) -> SecurityHeaders {
        let end = if subdomains { "; includeSubDomains" } else { "" };
        self.with(|settings| settings.hsts = Some(format!("max-age={}{end}", max_age.as_secs())))
    }

    /// Says nothing about HTTPS: for a proxy that does.
    #[must_use]
    #[inline]
    pub fn no_hsts(self) -> SecurityHeaders {
        self.with(|settings| settings.hsts = None)
    }

    /// Sets the `Content-Security-Policy`, which says where scripts, styles and the like may come from. `frame-ancestors` is
    /// added by [`frames`](Self::frames), unless it is there.
    ///
    /// # Panics
    ///
    /// When it cannot stand in a header.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn content_security_policy(self, policy: impl Into<Cow<'static, str>>) -> SecurityHeaders {
        let policy = value(policy.into()).unwrap_or_default();
        self.with(|settings| settings.policy = policy).rebuild()
    }

    #[inline]
    fn with(mut self, change: impl FnOnce(&mut Settings)) -> SecurityHeaders {
        change(Rc::make_mut(&mut self.settings));
        self
    }

    /// Makes the policy that is sent.
    #[inline]
    fn rebuild(self) -> SecurityHeaders {
        self.with(|settings| {
            let policy = settings.policy.trim_end_matches([';', ' ']);
            let has_own = policy.to_ascii_lowercase().contains("frame-ancestors");
            settings.full_policy = match settings.frames.ancestors().filter(|_| !has_own) {
                Some(ancestors) if policy.is_empty() => format!("frame-ancestors {ancestors}"),
                Some(ancestors) => format!("{policy}; frame-ancestors {ancestors}"),
                None => policy.to_owned(),
            };
        })
    }
}

impl Frames {
    #[inline]
    fn ancestors(&self) -> Option<&str> {
        match self {
            Frames::Deny => Some("'none'"),
            Frames::SameOrigin => Some("'self'"),
            Frames::From(list) => Some(list),
            Frames::Anywhere => None,
        }
    }

    /// What older browsers understand, which know no lists.
    #[inline]
    fn option(&self) -> Option<&'static str> {
        match self {
            Frames::Deny => Some("DENY"),
            Frames::SameOrigin => Some("SAMEORIGIN"),
            Frames::From(_) | Frames::Anywhere => None,
        }
    }
}

impl Default for SecurityHeaders {
    #[inline]
    fn default() -> SecurityHeaders {
        SecurityHeaders::new()
    }
}

impl Wrap for SecurityHeaders {
    #[inline]
    async fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> Result<()> {
        let settings = Rc::clone(&self.settings);
        let is_https = exchange.protocol() == Protocol::Https;
        exchange.on_response(move |response| settings.add_to(response, is_https));
        next.run(exchange).await
    }
}

impl Settings {
    #[inline]
    fn add_to(&self, response: &mut Response, is_https: bool) {
        let headers = [
            ("X-Content-Type-Options", Some("nosniff")),
            ("Referrer-Policy", self.referrer_policy.as_deref()),
            ("X-Frame-Options", self.frames.option()),
            ("Cross-Origin-Opener-Policy", self.opener_policy.as_deref()),
            ("Strict-Transport-Security", self.hsts.as_deref().filter(|_| is_https)),
            ("Content-Security-Policy", Some(&*self.full_policy).filter(|policy| !policy.is_empty())),
        ];
        for (name, value) in headers {
            if let Some(value) = value
                && response.header_bytes(name).is_none()
            {
                // The values were checked when they were set.
                let _ = response.set_header(name, value);
            }
        }
    }
}

/// A value that can be sent; `None` for an empty one.
#[track_caller]
#[inline]
fn value(text: Cow<'static, str>) -> Option<Cow<'static, str>> {
    let can_be_sent = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    assert!(can_be_sent, "{text:?} cannot stand in a header");
    (!text.trim().is_empty()).then_some(text)
}
