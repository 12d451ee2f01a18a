//! The table: one row per thing measured, one column per program.

use std::fmt;

use super::{
    limits::{Limits, NONE},
    subject::Subject,
};

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    what: String,
    unit: Unit,
    limits: Limits,
    /// What the check does not let pass.
    gate: Limits,
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
        Row { what: what.into(), unit, limits, gate: NONE, figures: Vec::new() }
    }

    /// Sets the budget.
    pub(super) fn within(mut self, limits: Limits) -> Row {
        self.limits = limits;
        self
    }

    /// Makes exceeding `gate` a failure of the check, whatever the budget.
    pub(super) fn gated(mut self, gate: Limits) -> Row {
        self.gate = gate;
        self
    }

    pub(super) fn put(&mut self, subject: Subject, value: f64) {
        self.put_with_note(subject, value, String::new());
    }

    pub(super) fn put_with_note(&mut self, subject: Subject, value: f64, note: String) {
        self.figures.push((subject, Figure { value, note }));
    }

    fn is_over(&self, limits: Limits, subject: Subject, value: f64) -> bool {
        // Compared as it is printed: a ratio of 1.104 keeps a budget of 1.10.
        let scale = if self.unit == Unit::Count { 1.0 } else { 100.0 };
        limits.of(subject).is_some_and(|limit| (value * scale).round() > limit * scale)
    }

    fn over_budget(&self) -> Vec<String> {
        let over = self.figures.iter().filter(|(subject, figure)| self.is_over(self.limits, *subject, figure.value));
        over.map(|(subject, _)| format!("{}, {}: {}", self.what, subject.title(), self.cell(*subject))).collect()
    }

    fn broken_gates(&self) -> Vec<String> {
        let broken = self.figures.iter().filter(|(subject, figure)| self.is_over(self.gate, *subject, figure.value));
        let said = broken.filter_map(|(subject, figure)| {
            let (value, gate) = (self.unit.format(figure.value), self.unit.format(self.gate.of(*subject)?));
            Some(format!("{}, {}: {value}, and the check lets {gate} pass", self.what, subject.title()))
        });
        said.collect()
    }

    fn budget(&self) -> String {
        let parts: Vec<String> = [Subject::Http, Subject::Web]
            .into_iter()
            .filter_map(|subject| {
                let limit = self.unit.format(self.limits.of(subject)?);
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
        if self.is_over(self.limits, subject, figure.value) {
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

    /// The figures that the check does not let pass, a line each. A budget is aimed at; the gate is a little above what has
    /// been reached.
    pub fn broken_gates(&self) -> Vec<String> {
        self.rows.iter().flat_map(Row::broken_gates).collect()
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

    fn limits(http: f64, web: f64) -> Limits {
        Limits { http: Some(http), web: Some(web) }
    }

    #[test]
    fn row_over_its_budget_is_bold_and_reported() {
        let mut row = Row::new("instructions", Unit::Count, limits(3_500.0, 4_500.0));
        row.put(Subject::Raw, 99_999.0);
        row.put(Subject::Http, 3_500.4);
        row.put(Subject::Web, 4_501.0);
        let report = Report::new(vec![row]);
        let table = report.to_string();
        let expected = "| instructions | httpserver ≤ 3,500, web ≤ 4,500 | 99,999 | 3,500 | **4,501** |";
        assert_eq!(table.lines().last(), Some(expected));
        assert_eq!(report.over_budget(), ["instructions, web: **4,501**"]);
        assert!(report.broken_gates().is_empty(), "only aimed at");
    }

    #[test]
    fn a_gate_breaks_the_check_whatever_the_budget() {
        let mut row = Row::new("instructions", Unit::Count, limits(1_000.0, 1_000.0)).gated(limits(3_500.0, 4_500.0));
        row.put(Subject::Http, 3_500.0);
        assert!(Report::new(vec![row.clone()]).broken_gates().is_empty());
        row.put(Subject::Web, 4_501.0);
        let broken = Report::new(vec![row]).broken_gates();
        assert_eq!(broken, ["instructions, web: 4,501, and the check lets 4,500 pass"]);
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
