//! The language of a request.

use super::Exchange;
use crate::locale::{Locale, Locales, Origins};

/// What was found out, kept with the request.
struct Found {
    locale: Locale,
    origins: Origins,
}

impl Exchange {
    /// The language of the request, among those of the application's [`Locales`]: the user's choice, or what the browser asks
    /// for, or the default. Without any it is English without translations. It is found out once.
    ///
    /// The answer gets `Vary: Accept-Language` if it depends on the browser, and `Vary: Cookie` if it depends on
    /// [`Locales::cookie`], so that caches keep languages apart.
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
        self.extensions().set(Found { locale: locale.clone(), origins: Origins::default() });
        locale
    }

    #[inline]
    pub(crate) fn find_locale(&self) -> Locale {
        if let Some(found) = self.extensions().get::<Found>() {
            return found.locale.clone();
        }
        let found = self.state::<Locales>().map(|locales| locales.of_request(self));
        let (locale, origins) = found.unwrap_or_else(|_| (Locale::english(), Origins::default()));
        self.extensions().set(Found { locale: locale.clone(), origins });
        locale
    }

    /// Says what of the request the answer's language depends on, if it was asked for and that can still be said.
    #[inline]
    pub(crate) fn vary_by_language(&mut self) {
        let Some(Origins { cookie, browser }) = self.extensions().get::<Found>().map(|found| found.origins) else {
            return;
        };
        // Both fail once the head has been sent: then it is too late.
        if browser {
            let _ = self.vary_by("Accept-Language");
        }
        if cookie {
            let _ = self.vary_by("Cookie");
        }
    }
}
