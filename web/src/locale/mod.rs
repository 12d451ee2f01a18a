//! Languages: which one a client wants, and texts, dates and numbers in it. Feature `locales`.
//!
//! [`Locales`] holds the translations of an application. [`Exchange::locale`](crate::Exchange::locale) finds the [`Locale`] of
//! a request, and templates have it as `_("…")` and `locale`. As in Tornado, the texts in the program are the keys: what has no
//! translation stays as it is.
//!
//! # Examples
//!
//! ```
//! use web::{Application, Exchange, locale::Locales};
//!
//! async fn index(exchange: &mut Exchange) -> web::Result<()> {
//!     let locale = exchange.locale();
//!     exchange.write_text(locale.translate("Good morning"));
//!     Ok(())
//! }
//!
//! // The texts in the program are English.
//! let locales = Locales::new("en").csv("es", "\"Good morning\",\"Buenos días\"\n")?;
//! let application = Application::new().get("/", index).locales(locales);
//! # use web::testing::{self, TestClient};
//! # testing::run(async {
//! #     let client = TestClient::new(application);
//! #     client.get("/").header("Accept-Language", "es-MX, en;q=0.5").send().await.assert_text("Buenos días");
//! #     client.get("/").send().await.assert_text("Good morning");
//! # });
//! # Ok::<_, web::Error>(())
//! ```

mod accept_language;
mod catalog;
mod code;
mod date;
mod fill;
mod format_date;
mod gettext;
mod locales;
mod plural_rule;
mod translations;

pub(crate) use self::locales::Origins;
pub use self::{fill::fill, format_date::DateFormat, locales::Locales, translations::Locale};
