//! Which templates were rendered, and with what.

use std::{
    borrow::Cow,
    cell::{OnceCell, RefCell},
    fmt,
    rc::Rc,
};

use minijinja::{
    Value,
    value::{Serde, ValueKind},
};
use serde_core::{Serialize, de::DeserializeOwned};

#[cfg(feature = "websocket")]
use super::TestWebSocket;
use super::{TestResponse, notes::Notes};
use crate::exchange::Exchange;

/// A template that was rendered for a request: its name, what it was given, what became of it.
/// [`TestResponse::templates`] has them. A handle: clones are the same one.
///
/// Rendered are what [`Exchange::render`](crate::Exchange::render) and
/// [`render_string`](crate::Exchange::render_string) were called for, error pages and mails included. Templates that it
/// extends or includes are [parts](RenderedTemplate::parts) of it.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, templates::{Templates, context}, testing::{self, TestClient}};
///
/// async fn basket(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.render("basket.html", context! { items => ["tea", "milk"], total => 7 })
/// }
///
/// let templates = Templates::embedded([
///     ("base.html", "<title>Shop</title>{% block body %}{% endblock %}"),
///     ("basket.html", "{% extends 'base.html' %}{% block body %}{{ total }} €{% endblock %}"),
/// ])?;
/// # testing::run(async move {
/// let client = TestClient::new(Application::new().get("/basket", basket).templates(templates));
/// let response = client.get("/basket").send().await;
/// response.assert_template("basket.html").assert_template("base.html");
///
/// let basket = response.template("basket.html");
/// assert_eq!(basket.get::<Vec<String>>("items"), ["tea", "milk"]);
/// basket.assert_value("total", 7);
/// # });
/// # Ok::<_, web::Error>(())
/// ```
#[derive(Clone)]
pub struct RenderedTemplate(Rc<Rendering>);

struct Rendering {
    name: String,
    context: Value,
    /// What the request had, and what of it the template has asked for. The last one of a name counts.
    values: RefCell<Vec<(String, Value)>>,
    parts: RefCell<Vec<String>>,
    text: OnceCell<String>,
}

impl RenderedTemplate {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The templates that it has extended, included or imported, and these in turn, in the order in which they were used.
    pub fn parts(&self) -> Vec<String> {
        self.0.parts.borrow().clone()
    }

    /// The context that it was given, as a whole.
    pub fn context(&self) -> &Value {
        &self.0.context
    }

    /// What it found under a name: in its context; or among what
    /// [`set_template_value`](crate::Exchange::set_template_value) has set; or, once the template has asked for it,
    /// what [`Templates::value`](crate::templates::Templates::value) has computed, such as `current_user`. `None` if there
    /// is none. Of what is the same for all requests nothing is known here.
    pub fn value(&self, name: &str) -> Option<Value> {
        let own = self.0.context.get_attr(name).ok().filter(|value| !value.is_undefined());
        own.or_else(|| {
            let values = self.0.values.borrow();
            values.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        })
    }

    /// What it found under a name, as a value of Rust's.
    ///
    /// # Panics
    ///
    /// When there is none, or it is no `T`.
    #[track_caller]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> T {
        let value = self.expect(name);
        match T::deserialize(value.clone()) {
            Ok(value) => value,
            Err(error) => panic!("{name:?} of the template {:?} is {value:?}: {error}", self.name()),
        }
    }

    /// Asserts what it found under a name: anything that serde can serialise. Arrays and tuples are lists here, as in a
    /// template.
    ///
    /// # Panics
    ///
    /// When it is another value, or there is none.
    #[track_caller]
    pub fn assert_value<T: Serialize>(&self, name: &str, expected: T) -> &RenderedTemplate {
        let (value, expected) = (self.expect(name), Value::from(Serde(expected)));
        assert!(
            is_same(&value, &expected),
            "expected {name:?} of the template {:?} to be {expected:?}, got {value:?}",
            self.name()
        );
        self
    }

    /// What became of it. `None` when it could not be rendered.
    pub fn text(&self) -> Option<&str> {
        self.0.text.get().map(String::as_str)
    }

    #[track_caller]
    fn expect(&self, name: &str) -> Value {
        match self.value(name) {
            Some(value) => value,
            None => panic!("the template {:?} was given no {name:?}, but {:?}", self.name(), self.context()),
        }
    }

    fn has_part(&self, name: &str) -> bool {
        self.0.parts.borrow().iter().any(|part| part == name)
    }
}

/// Whether a template would see no difference. The engine tells tuples, which arrays of Rust are to serde, from lists.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one.kind(), other.kind()) {
        (ValueKind::Seq, ValueKind::Seq) => {
            let (Ok(ones), Ok(others)) = (one.try_iter(), other.try_iter()) else { return false };
            one.len() == other.len() && ones.zip(others).all(|(one, other)| is_same(&one, &other))
        }
        (ValueKind::Map, ValueKind::Map) => {
            let is_in = |key: Value| {
                let values = (one.get_item(&key), other.get_item(&key));
                matches!(values, (Ok(one), Ok(other)) if is_same(&one, &other))
            };
            one.len() == other.len() && one.try_iter().is_ok_and(|mut keys| keys.all(is_in))
        }
        _ => one == other,
    }
}

impl fmt::Debug for RenderedTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderedTemplate")
            .field("name", &self.0.name)
            .field("context", &self.0.context)
            .field("parts", &self.0.parts.borrow())
            .finish_non_exhaustive()
    }
}

impl TestResponse {
    /// The templates that were rendered for this request so far, in their order. An answer that is still being streamed may
    /// get more.
    pub fn templates(&self) -> Vec<RenderedTemplate> {
        self.notes.templates()
    }

    /// The template of this name that was rendered; the last one, if it was rendered several times.
    ///
    /// # Panics
    ///
    /// When it was not.
    #[track_caller]
    pub fn template(&self, name: &str) -> RenderedTemplate {
        match self.notes.template(name) {
            Some(rendered) => rendered,
            None => self.fail(format_args!("expected the template {name} to be rendered, {}", self.notes.rendered())),
        }
    }

    /// Asserts that a template was rendered, by itself or as a part of another one.
    #[track_caller]
    pub fn assert_template(&self, name: &str) -> &TestResponse {
        if !self.notes.has_template(name) {
            self.fail(format_args!("expected the template {name} to be rendered, {}", self.notes.rendered()));
        }
        self
    }

    /// Asserts that a template was not rendered, neither by itself nor as a part of another one.
    #[track_caller]
    pub fn assert_no_template(&self, name: &str) -> &TestResponse {
        if self.notes.has_template(name) {
            self.fail(format_args!("expected the template {name} not to be rendered, {}", self.notes.rendered()));
        }
        self
    }
}

#[cfg(feature = "websocket")]
impl TestWebSocket {
    /// The templates that were rendered for this request so far, in their order: before the handshake and behind it.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, templates::{Templates, context}, testing::{self, TestClient}};
    ///
    /// async fn clock(exchange: &mut Exchange) -> web::Result<()> {
    ///     let mut socket = exchange.websocket().await?;
    ///     while let Some(_) = socket.receive().await? {
    ///         let part = exchange.render_string("time.html", context! { hour => 7 })?;
    ///         socket.send(part).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let templates = Templates::embedded([("time.html", "<b>{{ hour }}:00</b>")])?;
    /// # testing::run(async move {
    /// let client = TestClient::new(Application::new().get("/clock", clock).templates(templates));
    /// let mut socket = client.get("/clock").websocket().await;
    /// socket.send("now").await;
    /// socket.assert_next("<b>7:00</b>").await;
    /// socket.template("time.html").assert_value("hour", 7);
    /// # });
    /// # Ok::<_, web::Error>(())
    /// ```
    pub fn templates(&self) -> Vec<RenderedTemplate> {
        self.notes().templates()
    }

    /// The template of this name that was rendered; the last one, if it was rendered several times.
    ///
    /// # Panics
    ///
    /// When it was not.
    #[track_caller]
    pub fn template(&self, name: &str) -> RenderedTemplate {
        match self.notes().template(name) {
            Some(rendered) => rendered,
            None => self.fail(format_args!("expected the template {name} to be rendered, {}", self.notes().rendered())),
        }
    }
}

impl Notes {
    fn templates(&self) -> Vec<RenderedTemplate> {
        self.templates.borrow().clone()
    }

    fn template(&self, name: &str) -> Option<RenderedTemplate> {
        self.templates().into_iter().rfind(|rendered| rendered.name() == name)
    }

    fn has_template(&self, name: &str) -> bool {
        self.templates().iter().any(|rendered| rendered.name() == name || rendered.has_part(name))
    }

    /// For the texts of failures.
    fn rendered(&self) -> String {
        let templates = self.templates();
        let shown: Vec<String> = templates
            .iter()
            .map(|rendered| match rendered.parts() {
                parts if parts.is_empty() => rendered.name().to_owned(),
                parts => format!("{} (with {})", rendered.name(), parts.join(", ")),
            })
            .collect();
        if shown.is_empty() { "and none was".to_owned() } else { format!("and there were: {}", shown.join("; ")) }
    }
}

thread_local! {
    /// What is being rendered for a test client, innermost last.
    static RENDERING: RefCell<Vec<RenderedTemplate>> = const { RefCell::new(Vec::new()) };
}

/// Renders a template by `render`, and notes it if a test client has sent the request. `is_template` says whether there is
/// one of a name: of several that may be included, one is.
pub(crate) fn noted<E>(
    exchange: &Exchange,
    name: &str,
    context: &Value,
    values: &[(Cow<'static, str>, Value)],
    is_template: impl Fn(&str) -> bool,
    render: impl FnOnce() -> Result<String, E>,
) -> Result<String, E> {
    let Some(notes) = Notes::of(exchange) else { return render() };
    let rendering = RenderedTemplate(Rc::new(Rendering {
        name: name.to_owned(),
        context: context.clone(),
        values: RefCell::new(values.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()),
        parts: RefCell::default(),
        text: OnceCell::new(),
    }));
    notes.templates.borrow_mut().push(rendering.clone());
    RENDERING.with_borrow_mut(|stack| stack.push(rendering.clone()));
    let _entered = Entered;
    let rendered = render();
    let parts = rendering.0.parts.take();
    rendering.0.parts.replace(parts.into_iter().filter(|part| is_template(part)).collect());
    if let Ok(text) = &rendered {
        // It was made above, so nobody has set it.
        let _ = rendering.0.text.set(text.clone());
    }
    rendered
}

struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        RENDERING.with_borrow_mut(Vec::pop);
    }
}

/// Notes that the template which is being rendered has found a value of the request.
pub(crate) fn note_value(name: &str, value: &Value) {
    if let Some(rendering) = RENDERING.with_borrow(|stack| stack.last().cloned()) {
        rendering.0.values.borrow_mut().push((name.to_owned(), value.clone()));
    }
}

/// Notes that the template which is being rendered has named another one.
pub(crate) fn note_part(name: &str) {
    if let Some(rendering) = RENDERING.with_borrow(|stack| stack.last().cloned())
        && !rendering.has_part(name)
    {
        rendering.0.parts.borrow_mut().push(name.to_owned());
    }
}
