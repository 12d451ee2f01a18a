//! The language of a request.

use super::Exchange;
use crate::locale::{Locale, Locales};

/// What was found out, kept with the request.
struct Found {
    locale: Locale,
    /// Whether another browser might get another one.
    by_browser: bool,
}

impl Exchange {
    /// The language of the request, among those of the application's [`Locales`]: the user's choice, or what the browser asks
    /// for, or the default. Without any it is English without translations. It is found out once.
    ///
    /// The answer gets `Vary: Accept-Language` if it depends on the browser, so that caches keep languages apart.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Exchange, locale::fill};
    ///
    /// async fn greet(exchange: &mut Exchange) -> web::Result<()> {
    ///     let name: String = exchange.query("name")?;
    ///     let locale = exchange.locale();
    ///     exchange.write_text(fill(locale.translate("Hello, %(name)s"), &[("name", &name)]));
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn locale(&mut self) -> Locale {
        let locale = self.find_locale();
        self.vary_by_language();
        locale
    }

    /// Sets the language for the rest of this request, to the closest one that there is, and returns it.
    #[inline]
    pub fn set_locale(&mut self, code: &str) -> Locale {
        let locale = self.state::<Locales>().map_or_else(|_| Locale::english(), |locales| locales.closest([code]));
        self.extensions().set(Found { locale: locale.clone(), by_browser: false });
        locale
    }

    #[inline]
    pub(crate) fn find_locale(&self) -> Locale {
        if let Some(found) = self.extensions().get::<Found>() {
            return found.locale.clone();
        }
        let found = self.state::<Locales>().map(|locales| locales.of_request(self));
        let (locale, by_browser) = found.unwrap_or_else(|_| (Locale::english(), false));
        self.extensions().set(Found { locale: locale.clone(), by_browser });
        locale
    }

    /// Says that the answer depends on the browser's language, if that was asked for and can still be said.
    #[inline]
    pub(crate) fn vary_by_language(&mut self) {
        let by_browser = self.extensions().get::<Found>().is_some_and(|found| found.by_browser);
        if by_browser {
            // Fails once the head has been sent: then it is too late.
            let _ = self.vary_by("Accept-Language");
        }
    }
}
