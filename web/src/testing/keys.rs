//! What a client knows of its application beside what it is answered.

#[cfg(feature = "signed-cookies")]
use std::rc::Rc;

use crate::Application;
#[cfg(feature = "signed-cookies")]
use crate::security::CookieSecret;
#[cfg(feature = "sessions")]
use crate::security::Sessions;

/// The application's keys, its sessions, and the name of a cookie.
#[derive(Clone, Default)]
pub(super) struct Keys {
    #[cfg(feature = "signed-cookies")]
    pub(super) secret: Option<Rc<CookieSecret>>,
    /// Each once.
    #[cfg(feature = "sessions")]
    pub(super) sessions: Vec<Sessions>,
    /// Empty for the usual one.
    #[cfg(feature = "xsrf")]
    pub(super) xsrf_cookie: String,
}

impl Keys {
    pub(super) fn of(application: &Application) -> Keys {
        let _ = application;
        Keys {
            #[cfg(feature = "signed-cookies")]
            secret: application.router.home().state().ok(),
            #[cfg(feature = "sessions")]
            sessions: sessions(application),
            #[cfg(feature = "xsrf")]
            xsrf_cookie: String::new(),
        }
    }
}

/// Those around any part of the application.
#[cfg(feature = "sessions")]
fn sessions(application: &Application) -> Vec<Sessions> {
    let mut found: Vec<Sessions> = Vec::new();
    application.each_wrap(&mut |wrap| {
        if let Some(sessions) = wrap.as_any().downcast_ref::<Sessions>()
            && !found.iter().any(|known| known.is_same(sessions))
        {
            found.push(sessions.clone());
        }
    });
    found
}
