//! Arguments as structs, through serde.

use std::borrow::Cow;

use serde_core::de::DeserializeOwned;

use super::Exchange;
use crate::{
    error::{Error, Result},
    input::{Fields, Source},
};

impl Exchange {
    /// Returns the arguments of the query string as a struct: `let search: Search = exchange.query_as()?;`
    ///
    /// A field is read as [`query`](Exchange::query) reads an argument, by the type that it has:
    ///
    /// | type | arguments |
    /// |---|---|
    /// | numbers, `String`, `char` | the last argument of that name |
    /// | `bool` | `true` or `on`, `false` or `off`; with `#[serde(default)]`, a checkbox |
    /// | `Option<T>` | `None` when it is missing, or left blank where `T` cannot be |
    /// | `Vec<T>` and other lists | all arguments of that name; with `#[serde(default)]`, none as well |
    /// | an enum without data | the name of a variant |
    /// | a struct, with `#[serde(flatten)]` | its fields, beside the others |
    /// | an enum with `#[serde(tag = "...")]` | the tag, and the fields of the variant |
    ///
    /// Arguments that the struct does not have are ignored, unless it says `#[serde(deny_unknown_fields)]`. A map takes all
    /// there are.
    ///
    /// # Errors
    ///
    /// 400 when an argument is missing or does not parse, and when one is not UTF-8; the message names it. What the type says
    /// by itself is part of the message, unless it repeats what was sent. A type that no arguments can be is a mistake in the
    /// program: 500, and a log line.
    ///
    /// # Cost
    ///
    /// The arguments are decoded and sorted, in one allocation for all. The fields of a flattened struct, or of an enum with
    /// a tag, are texts first. For each that has to be something else, and for each blank one, the struct is read once more.
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::Deserialize;
    /// use web::Exchange;
    ///
    /// #[derive(Deserialize)]
    /// struct Search {
    ///     q: String,
    ///     #[serde(default)]
    ///     tag: Vec<String>,
    ///     #[serde(default)]
    ///     order: Order,
    ///     #[serde(flatten)]
    ///     paging: Paging,
    /// }
    ///
    /// #[derive(Deserialize, Default, Debug)]
    /// #[serde(rename_all = "lowercase")]
    /// enum Order {
    ///     #[default]
    ///     Newest,
    ///     Best,
    /// }
    ///
    /// #[derive(Deserialize)]
    /// struct Paging {
    ///     page: Option<u32>,
    /// }
    ///
    /// // GET /search?q=boats&tag=red&tag=wood&order=best&page=2
    /// async fn search(exchange: &mut Exchange) -> web::Result<()> {
    ///     let Search { q, tag, order, paging } = exchange.query_as()?;
    ///     exchange.write_text(format!("{q} {tag:?} {order:?} {:?}", paging.page));
    ///     Ok(())
    /// }
    /// # use web::{Application, testing::{self, TestClient}};
    /// # testing::run(async {
    /// #     let client = TestClient::new(Application::new().get("/search", search));
    /// #     let found = client.get("/search?q=boats&tag=red&tag=wood&order=best&page=2").send().await;
    /// #     found.assert_text(r#"boats ["red", "wood"] Best Some(2)"#);
    /// # });
    /// ```
    #[inline]
    pub fn query_as<T: DeserializeOwned>(&self) -> Result<T> {
        let arguments = self.query_arguments()?;
        Fields::new(Source::Argument, arguments.iter().map(|pair| Ok(pair?)))?.read()
    }

    /// Returns the arguments of the urlencoded form in the body as a struct, as [`query_as`](Exchange::query_as) does:
    /// `let order: Order = exchange.form_as().await?;`
    ///
    /// # Errors
    ///
    /// 415 when the body is something else, and as [`query_as`](Exchange::query_as) and
    /// [`form_arguments`](Exchange::form_arguments).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    #[inline]
    pub async fn form_as<T: DeserializeOwned>(&mut self) -> Result<T> {
        if !self.request.is_form()? {
            return Err(Error::UnsupportedMediaType { expected: "application/x-www-form-urlencoded" });
        }
        let arguments = self.form_arguments().await?;
        Fields::new(Source::Argument, arguments.iter().map(|pair| Ok(pair?)))?.read()
    }

    /// Returns the parameters of the route's path as a struct, as [`query_as`](Exchange::query_as) does:
    /// `let Place { year, month } = exchange.path_as()?;`
    ///
    /// # Errors
    ///
    /// 400 when one does not parse. A field that the route's pattern does not have is a mistake in the program: 500, and a
    /// log line.
    #[inline]
    pub fn path_as<T: DeserializeOwned>(&self) -> Result<T> {
        let names = self.info().names().iter().map(String::as_str);
        let parameters = names.map(|name| Ok((Cow::Borrowed(name), self.path_param(name)?)));
        Fields::new(Source::Path, parameters)?.read()
    }
}
