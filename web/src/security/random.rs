use httpserver::StatusCode;

use crate::error::{HttpError, Result};

/// Random bytes that nobody can predict, from the operating system.
#[inline]
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => {
            let text = format!("no random bytes from the system: {error}");
            Err(HttpError::new(StatusCode::INTERNAL_SERVER_ERROR).log(text).into())
        }
    }
}
