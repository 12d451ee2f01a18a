//! The translations of one language, from a file of one kind or the other.

use std::collections::HashMap;

use super::gettext::Messages;

#[derive(Debug)]
pub(super) enum Catalog {
    Csv(Rows),
    Gettext(Messages),
}

impl Catalog {
    /// A translation, of the plural if there is one with its count.
    #[inline]
    pub(super) fn get(&self, context: Option<&str>, message: &str, plural: Option<(&str, u64)>) -> Option<&str> {
        match self {
            Catalog::Csv(rows) => rows.get(message, plural),
            Catalog::Gettext(messages) => messages.get(context, message, plural.map(|(_, count)| count)),
        }
    }
}

/// The rows of a file of Tornado's: a text, its translation, and for which number that is.
#[derive(Debug, Default)]
pub(super) struct Rows {
    any: HashMap<String, String>,
    singular: HashMap<String, String>,
    plural: HashMap<String, String>,
}

impl Rows {
    /// Reads a file. Rows of fewer than two columns are overlooked, as by Tornado.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and on which line.
    #[inline]
    pub(super) fn parse(text: &str) -> Result<Rows, String> {
        // The mark in front of UTF-8 without which some programs do not know it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rows = Rows::default();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        for record in reader.records() {
            let record = record.map_err(|error| error.to_string())?;
            let (Some(message), Some(translation)) = (record.get(0), record.get(1)) else { continue };
            let table = match record.get(2).unwrap_or_default() {
                "" | "unknown" => &mut rows.any,
                "singular" => &mut rows.singular,
                "plural" => &mut rows.plural,
                other => {
                    let line = record.position().map_or(0, csv::Position::line);
                    return Err(format!("line {line}: {other:?} is neither \"singular\" nor \"plural\""));
                }
            };
            table.insert(message.to_owned(), translation.to_owned());
        }
        Ok(rows)
    }

    #[inline]
    fn get(&self, message: &str, plural: Option<(&str, u64)>) -> Option<&str> {
        let found = match plural {
            None => self.any.get(message),
            Some((_, 1)) => self.singular.get(message),
            Some((plural, _)) => self.plural.get(plural),
        };
        found.map(String::as_str)
    }
}
