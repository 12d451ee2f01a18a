//! What an answer depends on beside its URL.

use super::Exchange;
use crate::error::Result;

impl Exchange {
    /// Adds a member to `Vary`, unless it is there already. An error page begins with a new head, and has it only if it depends
    /// on the same.
    ///
    /// # Errors
    ///
    /// Once the head has been sent.
    #[inline]
    pub(crate) fn vary_by(&mut self, field: &str) -> Result<()> {
        self.check_open()?;
        if self.varies_by(field) {
            return Ok(());
        }
        self.append_header("Vary", field)
    }

    #[inline]
    fn varies_by(&self, field: &str) -> bool {
        let head = self.head.as_ref();
        head.is_some_and(|head| {
            head.headers().filter(|(name, _)| name.eq_ignore_ascii_case("vary")).any(|(_, value)| {
                let mut fields = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                fields.any(|known| known.eq_ignore_ascii_case(field.as_bytes()) || known == b"*")
            })
        })
    }
}
