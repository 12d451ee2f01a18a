//! Answers that pages of other origins may read.

use std::{fmt, rc::Rc, time::Duration};

use httpserver::{Method, Response, StatusCode};

use crate::{
    error::Result,
    exchange::Exchange,
    origin::Origins,
    wrap::{Next, Wrap},
};

/// A [`Wrap`](crate::Wrap) that lets pages of other origins read the answers: cross-origin resource sharing, as browsers ask
/// for it.
///
/// Which origins, is said one by one or by a function; none are by default. Requests are answered in any case: what the rules
/// of browsers keep from a page is the answer, and permission to send anything that a form could not. A request that must not be
/// obeyed is the matter of [`CrossOriginProtection`](super::CrossOriginProtection).
///
/// Preflights, OPTIONS requests with `Access-Control-Request-Method`, are answered with 204 before any handler, for paths
/// that no route has too. All other answers get the headers, errors and streams included: without them a page could not even read
/// what went wrong. `Vary: Origin` is added unless all origins are the same, also to answers without permission, because a
/// cache must not hand those to a page that has it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use web::{Application, Exchange, Method, security::Cors};
///
/// async fn data(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.write_text("data");
///     Ok(())
/// }
///
/// let cors = Cors::new()
///     .origin("https://app.example.com")
///     .methods([Method::GET, Method::PUT])
///     .headers(["Content-Type"])
///     .max_age(Duration::from_secs(3600));
/// let application = Application::new().get("/data", data).wrap(cors);
/// # use web::testing::{self, TestClient};
/// # testing::run(async {
/// #     let client = TestClient::new(application);
/// #     let response = client.get("/data").header("Origin", "https://app.example.com").send().await;
/// #     response.assert_header("access-control-allow-origin", "https://app.example.com").assert_text("data");
/// #     let response = client.get("/data").header("Origin", "https://evil.example").send().await;
/// #     response.assert_no_header("access-control-allow-origin");
/// # });
/// ```
#[derive(Clone)]
pub struct Cors {
    rules: Rc<Rules>,
}

/// Says whether an origin is let in.
type Matches = dyn Fn(&str) -> bool;

#[derive(Clone)]
struct Rules {
    origins: Origins,
    matches: Option<Rc<Matches>>,
    any_origin: bool,
    credentials: bool,
    /// As it is sent.
    methods: String,
    /// As it is sent; `None` for whatever is asked for.
    headers: Option<String>,
    exposed: String,
    max_age: Option<u64>,
}

impl Cors {
    /// Permits nothing yet but GET, HEAD, POST, PUT, PATCH and DELETE, to whoever is let in.
    #[inline]
    pub fn new() -> Cors {
        let rules = Rules {
            origins: Origins::default(),
            matches: None,
            any_origin: false,
            credentials: false,
            methods: "GET, HEAD, POST, PUT, PATCH, DELETE".to_owned(),
            headers: Some(String::new()),
            exposed: String::new(),
            max_age: None,
        };
        Cors { rules: Rc::new(rules) }
    }

    /// Lets in pages of one more origin, such as `https://app.example.com`, with the port if it is not the usual one.
    ///
    /// # Panics
    ///
    /// When it is no origin: without a scheme, with a path, or `*`.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn origin(mut self, origin: &str) -> Cors {
        self.rules_mut().origins.allow(origin);
        self
    }

    /// Lets in pages of each origin for which `matches` returns true. It is given the text that the browser has sent, in lower
    /// case, `https://app.example.com` or `null` for instance; compare all of it, or its end with the dot in front.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::security::Cors;
    ///
    /// let cors = Cors::new().origins_if(|origin| origin.starts_with("https://") && origin.ends_with(".example.com"));
    /// ```
    #[must_use]
    #[inline]
    pub fn origins_if(mut self, matches: impl Fn(&str) -> bool + 'static) -> Cors {
        self.rules_mut().matches = Some(Rc::new(matches));
        self
    }

    /// Lets in all pages, by the answer `*`: for what anybody may read anyway.
    ///
    /// # Panics
    ///
    /// With [`credentials`](Cors::credentials): every page of the web could act in the name of the user.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn any_origin(mut self) -> Cors {
        self.rules_mut().any_origin = true;
        self.check()
    }

    /// Has browsers send cookies along, and pages see the answers to that.
    ///
    /// # Panics
    ///
    /// With [`any_origin`](Cors::any_origin).
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn credentials(mut self) -> Cors {
        self.rules_mut().credentials = true;
        self.check()
    }

    /// Sets the methods that pages may use, in place of those above.
    #[must_use]
    #[inline]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Cors {
        let methods: Vec<String> = methods.into_iter().map(|method| method.to_string()).collect();
        self.rules_mut().methods = methods.join(", ");
        self
    }

    /// Sets the headers that pages may send, beside those that they may always send. `Content-Type` is needed for JSON.
    ///
    /// # Panics
    ///
    /// When one is no name of a header.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn headers<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Cors {
        self.rules_mut().headers = Some(list(names));
        self
    }

    /// Lets pages send whatever headers they ask for.
    #[must_use]
    #[inline]
    pub fn any_header(mut self) -> Cors {
        self.rules_mut().headers = None;
        self
    }

    /// Sets the headers of answers that pages may read, beside those that they may always read.
    ///
    /// # Panics
    ///
    /// When one is no name of a header.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn expose<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Cors {
        self.rules_mut().exposed = list(names);
        self
    }

    /// Sets for how long a browser may keep the answer to a preflight; it asks again after 5 s otherwise.
    #[must_use]
    #[inline]
    pub fn max_age(mut self, age: Duration) -> Cors {
        self.rules_mut().max_age = Some(age.as_secs());
        self
    }

    #[inline]
    fn rules_mut(&mut self) -> &mut Rules {
        Rc::make_mut(&mut self.rules)
    }

    #[track_caller]
    #[inline]
    fn check(self) -> Cors {
        let is_open = self.rules.any_origin && self.rules.credentials;
        assert!(!is_open, "credentials for any origin: every page of the web could act in the name of the user");
        self
    }
}

impl Default for Cors {
    #[inline]
    fn default() -> Cors {
        Cors::new()
    }
}

impl Wrap for Cors {
    #[inline]
    async fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> Result<()> {
        let permitted = self.rules.permitted(exchange);
        let is_preflight = *exchange.method() == Method::OPTIONS
            && exchange.headers().contains("origin")
            && exchange.headers().contains("access-control-request-method");
        let asked = is_preflight.then(|| exchange.header("access-control-request-headers").map(str::to_owned));
        let rules = Rc::clone(&self.rules);
        exchange.on_response(move |response| {
            // What is sent was checked before.
            let _ = match asked {
                Some(asked) => rules.answer_preflight(permitted, asked.as_deref(), response),
                None => rules.answer(permitted, response),
            };
        });
        if is_preflight {
            exchange.set_status(StatusCode::NO_CONTENT);
            return Ok(());
        }
        next.run(exchange).await
    }
}

impl Rules {
    /// The `Access-Control-Allow-Origin` for this request, if there is to be one.
    #[inline]
    fn permitted(&self, exchange: &Exchange) -> Option<String> {
        if self.any_origin {
            return Some("*".to_owned());
        }
        let mut lines = exchange.headers().get_all("origin");
        // Of several nobody knows which one counts.
        let (Some(origin), None) = (lines.next(), lines.next()) else { return None };
        let origin = std::str::from_utf8(origin).ok()?;
        let matches = |matches: &Rc<Matches>| matches(&origin.to_ascii_lowercase());
        let is_in = self.origins.lists(origin) || self.matches.as_ref().is_some_and(matches);
        is_in.then(|| origin.to_owned())
    }

    #[inline]
    fn answer(&self, permitted: Option<String>, response: &mut Response) -> httpserver::Result<()> {
        if !self.any_origin {
            response.append_header("Vary", "Origin")?;
        }
        if self.permit(permitted, response)? && !self.exposed.is_empty() {
            response.set_header("Access-Control-Expose-Headers", &self.exposed)?;
        }
        Ok(())
    }

    #[inline]
    fn answer_preflight(
        &self,
        permitted: Option<String>,
        asked: Option<&str>,
        response: &mut Response,
    ) -> httpserver::Result<()> {
        response.append_header("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")?;
        if !self.permit(permitted, response)? {
            return Ok(());
        }
        response.set_header("Access-Control-Allow-Methods", &self.methods)?;
        let headers = self.headers.as_deref().or(asked).unwrap_or_default();
        if !headers.is_empty() && headers.bytes().all(is_in_list) {
            response.set_header("Access-Control-Allow-Headers", headers)?;
        }
        if let Some(age) = self.max_age {
            response.set_header("Access-Control-Max-Age", age.to_string())?;
        }
        Ok(())
    }

    /// Whether it is permitted; then the answer says so, in place of what the handler may have said.
    #[inline]
    fn permit(&self, permitted: Option<String>, response: &mut Response) -> httpserver::Result<bool> {
        let Some(permitted) = permitted else { return Ok(false) };
        response.set_header("Access-Control-Allow-Origin", permitted)?;
        if self.credentials {
            response.set_header("Access-Control-Allow-Credentials", "true")?;
        }
        Ok(true)
    }
}

/// Names of headers as a list.
#[track_caller]
#[inline]
fn list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    for name in &names {
        let is_name = !name.is_empty() && name.bytes().all(is_token);
        assert!(is_name, "{name:?} is no name of a header");
    }
    names.join(", ")
}

/// A `tchar` of RFC 9110, section 5.6.2.
#[inline]
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[inline]
fn is_in_list(byte: u8) -> bool {
    is_token(byte) || matches!(byte, b',' | b' ')
}

impl fmt::Debug for Cors {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cors")
            .field("any_origin", &self.rules.any_origin)
            .field("origins", &self.rules.origins)
            .field("credentials", &self.rules.credentials)
            .finish_non_exhaustive()
    }
}
