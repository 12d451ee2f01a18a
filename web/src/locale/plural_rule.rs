//! Which form of a text goes with a number: the `Plural-Forms` of a gettext catalogue, an expression of C.

/// `nplurals=3; plural=n==1 ? 0 : n%10>=2 && n%10<=4 ? 1 : 2;`
#[derive(Debug)]
pub(super) struct PluralRule {
    forms: usize,
    /// In the order in which a stack machine runs it.
    program: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Number(u64),
    N,
    Not,
    Binary(Operator),
    /// Of the three values on top: the second if the first is true, otherwise the third. Nothing here has effects, so that
    /// all of them can be computed.
    Choose,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    LessEqual,
    GreaterEqual,
    Less,
    Greater,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// By how tightly they bind, loosest first. Longer signs go before those they begin with.
const OPERATORS: &[&[(&str, Operator)]] = &[
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[("==", Operator::Equal), ("!=", Operator::NotEqual)],
    &[("<=", Operator::LessEqual), (">=", Operator::GreaterEqual), ("<", Operator::Less), (">", Operator::Greater)],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];

impl PluralRule {
    /// Two forms, the first for one thing: what English has, and what a catalogue without a rule is taken to mean.
    #[inline]
    pub(super) fn english() -> PluralRule {
        PluralRule { forms: 2, program: vec![Step::N, Step::Number(1), Step::Binary(Operator::NotEqual)] }
    }

    /// Reads the value of a `Plural-Forms` line.
    #[inline]
    pub(super) fn parse(text: &str) -> Option<PluralRule> {
        let (mut forms, mut program) = (None, None);
        for part in text.split(';') {
            match part.split_once('=').map(|(name, value)| (name.trim(), value)) {
                Some(("nplurals", value)) => {
                    forms = value.trim().parse().ok().filter(|forms| (1..=MOST).contains(forms))
                }
                Some(("plural", value)) => program = Parser::new(value).whole(),
                _ => {}
            }
        }
        Some(PluralRule { forms: forms?, program: program? })
    }

    /// The number of the form for `n` things.
    #[inline]
    pub(super) fn form(&self, n: u64) -> usize {
        let mut stack: Vec<u64> = Vec::with_capacity(8);
        for step in &self.program {
            // The parser makes no program that takes more than it has put there.
            let mut pop = || stack.pop().unwrap_or_default();
            let value = match *step {
                Step::Number(number) => number,
                Step::N => n,
                Step::Not => u64::from(pop() == 0),
                Step::Binary(operator) => {
                    let right = pop();
                    operator.apply(pop(), right)
                }
                Step::Choose => {
                    let (no, yes) = (pop(), pop());
                    if pop() != 0 { yes } else { no }
                }
            };
            stack.push(value);
        }
        let form = stack.pop().unwrap_or_default();
        // What a rule says of a form that is not there counts as the first, as in GNU's gettext.
        usize::try_from(form).ok().filter(|form| *form < self.forms).unwrap_or_default()
    }
}

/// No language has more than six.
const MOST: usize = 100;

/// Deeper nesting is no rule of a language.
const DEEPEST: usize = 64;

impl Operator {
    /// As C's `unsigned long`, but that a division by zero is zero.
    #[inline]
    fn apply(self, left: u64, right: u64) -> u64 {
        match self {
            Operator::Or => u64::from(left != 0 || right != 0),
            Operator::And => u64::from(left != 0 && right != 0),
            Operator::Equal => u64::from(left == right),
            Operator::NotEqual => u64::from(left != right),
            Operator::LessEqual => u64::from(left <= right),
            Operator::GreaterEqual => u64::from(left >= right),
            Operator::Less => u64::from(left < right),
            Operator::Greater => u64::from(left > right),
            Operator::Add => left.wrapping_add(right),
            Operator::Subtract => left.wrapping_sub(right),
            Operator::Multiply => left.wrapping_mul(right),
            Operator::Divide => left.checked_div(right).unwrap_or_default(),
            Operator::Remainder => left.checked_rem(right).unwrap_or_default(),
        }
    }
}

struct Parser<'t> {
    rest: &'t str,
    program: Vec<Step>,
    depth: usize,
}

impl<'t> Parser<'t> {
    #[inline]
    fn new(text: &'t str) -> Parser<'t> {
        Parser { rest: text, program: Vec::new(), depth: 0 }
    }

    #[inline]
    fn whole(mut self) -> Option<Vec<Step>> {
        self.choice()?;
        self.rest.trim().is_empty().then_some(self.program)
    }

    /// `condition ? value : value`, or what a condition is.
    fn choice(&mut self) -> Option<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        self.binary(0)?;
        if self.take("?") {
            self.choice()?;
            self.take(":").then_some(())?;
            self.choice()?;
            self.program.push(Step::Choose);
        }
        self.depth -= 1;
        Some(())
    }

    /// What operators of this level and of tighter ones join, from left to right.
    fn binary(&mut self, level: usize) -> Option<()> {
        let Some(operators) = OPERATORS.get(level) else { return self.unary() };
        self.binary(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.take(sign)) {
            self.binary(level + 1)?;
            self.program.push(Step::Binary(*operator));
        }
        Some(())
    }

    fn unary(&mut self) -> Option<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        // `!=` is no beginning of an operand.
        if self.take("!") {
            self.unary()?;
            self.program.push(Step::Not);
        } else if self.take("(") {
            self.choice()?;
            self.take(")").then_some(())?;
        } else if self.take("n") {
            self.program.push(Step::N);
        } else {
            let number = self.number()?;
            self.program.push(Step::Number(number));
        }
        self.depth -= 1;
        Some(())
    }

    #[inline]
    fn number(&mut self) -> Option<u64> {
        let digits = self.rest.len() - self.rest.trim_start_matches(|char: char| char.is_ascii_digit()).len();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        number.parse().ok()
    }

    /// Passes a sign, and the space in front of it.
    #[inline]
    fn take(&mut self, sign: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 0 to 30, and of a few more.
    fn forms(rule: &str) -> String {
        let rule = PluralRule::parse(rule).unwrap();
        (0..31).chain([100, 101, 102, 103, 111, 121, 122, 1_000_001]).map(|n| rule.form(n).to_string()).collect()
    }

    /// The rules that catalogues have. The forms are those of Python's `gettext`.
    #[test]
    fn rules_of_real_languages_choose_as_pythons_do() {
        for (rule, expected) in [
            ("nplurals=2; plural=n != 1;", "101111111111111111111111111111111111111"),
            ("nplurals=2; plural=(n > 1);", "001111111111111111111111111111111111111"),
            ("nplurals=1; plural=0;", "000000000000000000000000000000000000000"),
            (
                "nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);",
                "201112222222222222222211122222222112212",
            ),
            ("nplurals=3; plural=(n==1) ? 0 : (n>=2 && n<=4) ? 1 : 2;", "201112222222222222222222222222222222222"),
            (
                "nplurals=4; plural=(n%100==1 ? 0 : n%100==2 ? 1 : n%100==3 || n%100==4 ? 2 : 3);",
                "301223333333333333333333333333330123330",
            ),
            (
                "nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5);",
                "012333333334444444444444444444455534445",
            ),
            (
                "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n != 0 ? 1 : 2);",
                "201111111111111111111011111111110111010",
            ),
            (
                "nplurals=5; plural=n==1 ? 0 : n==2 ? 1 : (n>2 && n<7) ? 2 :(n>6 && n<11) ? 3 : 4;",
                "401222233334444444444444444444444444444",
            ),
        ] {
            assert_eq!(forms(rule), expected, "{rule}");
        }
        assert_eq!(PluralRule::english().form(1), 0);
        assert_eq!(PluralRule::english().form(0), 1);
    }

    /// The value of an expression of C, in a language of a hundred forms.
    fn value(expression: &str, n: u64) -> usize {
        PluralRule::parse(&format!("nplurals=100;plural={expression}")).unwrap().form(n)
    }

    #[test]
    fn operators_bind_as_in_c() {
        assert_eq!(value("1+2*3", 0), 7);
        assert_eq!(value("(1+2)*3", 0), 9);
        assert_eq!(value("20-3-2", 0), 15);
        assert_eq!(value("n%7*2", 12), 10);
        assert_eq!(value("1||0&&0", 0), 1);
        assert_eq!(value("!n+4", 0), 5);
        assert_eq!(value("!!n", 9), 1);
        assert_eq!(value("!n==0", 9), 1);
        assert_eq!(value("1<2==1", 0), 1);
        assert_eq!(value("n<=3", 3) + value("n>=3", 3) + value("n<3", 3) + value("n>3", 3), 2);
        assert_eq!(value("0?1:0?2:3", 0), 3);
        assert_eq!(value("n/0 + n%0", 7), 0);
        assert_eq!(value("n*n", u64::MAX), 1);
        // There is no such form.
        assert_eq!(value("n", 100), 0);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in
            ["", "nplurals=2", "plural=n", "nplurals=0;plural=0", "nplurals=x;plural=0", "nplurals=1000;plural=0"]
        {
            assert!(PluralRule::parse(text).is_none(), "{text}");
        }
        let deep = format!("{}n{}", "(".repeat(100_000), ")".repeat(100_000));
        let (nots, choices) = ("!".repeat(100_000) + "n", "n?1:".repeat(100_000) + "0");
        for expression in [
            "",
            "n n",
            "n+",
            "(n",
            "n)",
            "x",
            "n?1",
            "n?1:",
            "=n",
            "n=1",
            "1n",
            "99999999999999999999",
            "é",
            "-1",
            &deep,
            &nots,
            &choices,
        ] {
            assert!(PluralRule::parse(&format!("nplurals=2;plural={expression}")).is_none(), "{expression:.20}");
        }
    }
}
