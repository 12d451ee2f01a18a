//! The table: one row per thing measured, one column per program.

use std::fmt;

use super::{limits::Limits, subject::Subject};

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    what: String,
    unit: Unit,
    limits: Limits,
    enforced: bool,
    figures: Vec<(Subject, Figure)>,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A whole number of instructions, bytes or allocations.
    Count,
    /// A small number with two decimals.
    Average,
    /// A multiple of the yardstick's.
    Ratio,
}

#[derive(Clone, Debug)]
struct Figure {
    value: f64,
    /// Said in brackets behind the value, may be empty.
    note: String,
}

impl Row {
    pub(super) fn new(what: impl Into<String>, unit: Unit, limits: Limits) -> Row {
        Row { what: what.into(), unit, limits, enforced: false, figures: Vec::new() }
    }

    /// Makes exceeding the budget a failure of the check.
    pub(super) fn enforced(mut self) -> Row {
        self.enforced = true;
        self
    }

    pub(super) fn put(&mut self, subject: Subject, value: f64) {
        self.put_with_note(subject, value, String::new());
    }

    pub(super) fn put_with_note(&mut self, subject: Subject, value: f64, note: String) {
        self.figures.push((subject, Figure { value, note }));
    }

    fn limit(&self, subject: Subject) -> Option<f64> {
        match subject {
            Subject::Raw => None,
            Subject::Http => self.limits.http,
            Subject::Web => self.limits.web,
        }
    }

    fn is_over(&self, subject: Subject, value: f64) -> bool {
        // Compared as it is printed: a ratio of 1.104 keeps a budget of 1.10.
        let scale = if self.unit == Unit::Count { 1.0 } else { 100.0 };
        self.limit(subject).is_some_and(|limit| (value * scale).round() > limit * scale)
    }

    fn over_budget(&self) -> Vec<String> {
        let over = self.figures.iter().filter(|(subject, figure)| self.is_over(*subject, figure.value));
        over.map(|(subject, _)| format!("{}, {}: {}", self.what, subject.title(), self.cell(*subject))).collect()
    }

    fn budget(&self) -> String {
        let parts: Vec<String> = [Subject::Http, Subject::Web]
            .into_iter()
            .filter_map(|subject| {
                let limit = self.unit.format(self.limit(subject)?);
                Some(format!("{} ≤ {limit}", subject.title()))
            })
            .collect();
        if parts.is_empty() { "–".to_owned() } else { parts.join(", ") }
    }

    fn cell(&self, subject: Subject) -> String {
        let Some((_, figure)) = self.figures.iter().find(|(of, _)| *of == subject) else {
            return "–".to_owned();
        };
        let mut text = self.unit.format(figure.value);
        if !figure.note.is_empty() {
            text += &format!(" ({})", figure.note);
        }
        if self.is_over(subject, figure.value) {
            text = format!("**{text}**");
        }
        text
    }
}

impl Unit {
    fn format(self, value: f64) -> String {
        match self {
            Unit::Count => group_thousands(value.round() as i64),
            Unit::Average => format!("{value:.2}"),
            Unit::Ratio => format!("{value:.2}"),
        }
    }
}

/// All rows; prints itself as a Markdown table in which what is over its budget is bold.
#[derive(Clone, Debug)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn new(rows: Vec<Row>) -> Report {
        Report { rows }
    }

    /// The figures that are over a budget, a line each.
    pub fn over_budget(&self) -> Vec<String> {
        self.rows.iter().flat_map(Row::over_budget).collect()
    }

    /// Whether one of them is over a budget that has to be kept, and not only aimed at.
    pub fn is_broken(&self) -> bool {
        self.rows.iter().any(|row| row.enforced && !row.over_budget().is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | budget | raw | httpserver | web |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for row in &self.rows {
            let cells = Subject::ALL.map(|subject| row.cell(subject));
            writeln!(f, "| {} | {} | {} |", row.what, row.budget(), cells.join(" | "))?;
        }
        Ok(())
    }
}

fn group_thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("−{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::limits;
    use super::*;

    #[test]
    fn row_over_its_budget_is_bold_and_reported() {
        let mut row = Row::new("instructions", Unit::Count, limits::INSTRUCTIONS);
        row.put(Subject::Raw, 99_999.0);
        row.put(Subject::Http, 3_500.4);
        row.put(Subject::Web, 4_501.0);
        let report = Report::new(vec![row]);
        let table = report.to_string();
        let expected = "| instructions | httpserver ≤ 3,500, web ≤ 4,500 | 99,999 | 3,500 | **4,501** |";
        assert_eq!(table.lines().last(), Some(expected));
        assert_eq!(report.over_budget(), ["instructions, web: **4,501**"]);
        assert!(!report.is_broken(), "only aimed at");
    }

    #[test]
    fn enforced_budget_breaks_the_check() {
        let mut row = Row::new("instructions", Unit::Count, limits::INSTRUCTIONS).enforced();
        row.put(Subject::Http, 3_500.0);
        assert!(!Report::new(vec![row.clone()]).is_broken());
        row.put(Subject::Web, 4_501.0);
        assert!(Report::new(vec![row]).is_broken());
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        let row = Row::new("syscalls", Unit::Average, limits::NONE);
        let table = Report::new(vec![row]).to_string();
        assert_eq!(table.lines().last(), Some("| syscalls | – | – | – | – |"));
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(group_thousands(0), "0");
        assert_eq!(group_thousands(-1_234_567), "−1,234,567");
        assert_eq!(group_thousands(123), "123");
    }
}
