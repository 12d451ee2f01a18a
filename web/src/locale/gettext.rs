//! Catalogues of gettext, as `msgfmt` makes them: `.mo` files.

use std::collections::HashMap;

use super::plural_rule::PluralRule;

/// The texts of one `.mo` file.
#[derive(Debug)]
pub(super) struct Messages {
    /// The forms of each text, by its context and itself.
    forms: HashMap<String, Vec<String>>,
    rule: PluralRule,
}

/// Between a context and a text.
const CONTEXT_END: char = '\u{4}';

/// The files say in which order their bytes are.
const MAGIC: u32 = 0x9504_12de;

impl Messages {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    #[inline]
    pub(super) fn parse(file: &[u8]) -> Result<Messages, &'static str> {
        let words = Words::of(file).ok_or("it is no .mo file")?;
        // Of revision 1 the additions, which only some C programs need, can be overlooked.
        if words.at(4).is_none_or(|revision| revision >> 16 > 1) {
            return Err("it is of an unknown revision");
        }
        let mut messages = Messages { forms: HashMap::new(), rule: PluralRule::english() };
        let cut_off = "it is cut off";
        let (count, keys, values) = (words.at(8), words.at(12), words.at(16));
        let (Some(count), Some(keys), Some(values)) = (count, keys, values) else { return Err(cut_off) };
        for number in 0..count {
            let key = words.text(keys, number).ok_or(cut_off)?;
            let value = words.text(values, number).ok_or(cut_off)?;
            messages.add(key, value)?;
        }
        Ok(messages)
    }

    /// The form of a text for `count` things, or the only one.
    #[inline]
    pub(super) fn get(&self, context: Option<&str>, message: &str, count: Option<u64>) -> Option<&str> {
        let forms = match context {
            Some(context) => self.forms.get(&format!("{context}{CONTEXT_END}{message}")),
            None => self.forms.get(message),
        };
        let form = forms?.get(count.map_or(0, |count| self.rule.form(count)))?;
        (!form.is_empty()).then_some(form)
    }

    #[inline]
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let not_utf8 = "it is not in UTF-8";
        // The form for several things follows behind a zero, and is not looked up.
        let key = key.split(|byte| *byte == 0).next().unwrap_or_default();
        let key = str::from_utf8(key).map_err(|_| not_utf8)?;
        let value = str::from_utf8(value).map_err(|_| not_utf8)?;
        if key.is_empty() {
            return self.set_header(value);
        }
        self.forms.insert(key.to_owned(), value.split('\0').map(str::to_owned).collect());
        Ok(())
    }

    #[inline]
    fn set_header(&mut self, header: &str) -> Result<(), &'static str> {
        let line = |name: &str| header.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let charset =
            line("Content-Type").and_then(|value| value.split_once("charset=")).map(|(_, charset)| charset.trim());
        let is_utf8 = |charset: &str| {
            ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name))
        };
        if !charset.is_none_or(is_utf8) {
            return Err("it is not in UTF-8");
        }
        if let Some(rule) = line("Plural-Forms") {
            self.rule = PluralRule::parse(rule).ok_or("its Plural-Forms are malformed")?;
        }
        Ok(())
    }
}

/// A file of numbers of four bytes, and of texts that they point to.
struct Words<'f> {
    file: &'f [u8],
    is_big_endian: bool,
}

impl<'f> Words<'f> {
    #[inline]
    fn of(file: &'f [u8]) -> Option<Words<'f>> {
        let little = Words { file, is_big_endian: false };
        match little.at(0)? {
            MAGIC => Some(little),
            magic if magic.swap_bytes() == MAGIC => Some(Words { file, is_big_endian: true }),
            _ => None,
        }
    }

    #[inline]
    fn at(&self, offset: usize) -> Option<u32> {
        let bytes = self.file.get(offset..offset.checked_add(4)?)?.try_into().ok()?;
        Some(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// The text that an entry of a table points to, by its length and its place.
    #[inline]
    fn text(&self, table: u32, number: u32) -> Option<&'f [u8]> {
        let entry = usize::try_from(table).ok()?.checked_add(usize::try_from(number).ok()?.checked_mul(8)?)?;
        let length = usize::try_from(self.at(entry)?).ok()?;
        let start = usize::try_from(self.at(entry.checked_add(4)?)?).ok()?;
        self.file.get(start..start.checked_add(length)?)
    }
}
