//! Applications for hosts.

use httpserver::Request;

use crate::router::Router;

/// Applications that answer requests for certain hosts alone.
#[derive(Default)]
pub(crate) struct Hosts {
    /// In the order in which they are tried.
    list: Vec<Host>,
}

/// An application for hosts of a pattern.
pub(crate) struct Host {
    pattern: HostPattern,
    pub(crate) router: Router,
}

impl Hosts {
    /// Adds an application.
    ///
    /// # Panics
    ///
    /// If there is one for the same hosts.
    #[track_caller]
    #[inline]
    pub(crate) fn add(&mut self, pattern: HostPattern, router: Router) {
        let same = self.list.iter().find(|known| known.pattern.has_shape_of(&pattern));
        if let Some(known) = same {
            panic!("the hosts {:?} and {:?} are the same", known.pattern.text, pattern.text);
        }
        self.list.push(Host { pattern, router });
        // Stable: of two that are equally exact, the one added first is tried first.
        self.list.sort_by_key(|host| host.pattern.rank());
    }

    /// The application for the host that `request` names.
    #[inline]
    pub(crate) fn find(&self, request: &Request) -> Option<&Host> {
        let name = request.host_name()?;
        self.list.iter().find(|host| host.pattern.has(name))
    }

    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Host> {
        self.list.iter()
    }

    #[inline]
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Host> {
        self.list.iter_mut()
    }
}

/// Which hosts: `example.org`, `{tenant}.example.org`, `*.example.org`.
#[derive(Clone, Debug)]
pub(crate) struct HostPattern {
    text: String,
    /// Whether there is `*.` in front: one label or several.
    is_open: bool,
    labels: Vec<Label>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Label {
    /// In lower case.
    Fixed(String),
    Parameter(String),
}

impl HostPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    #[inline]
    pub(crate) fn parse(text: &str) -> Result<HostPattern, &'static str> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let (is_open, name) = name.strip_prefix("*.").map_or((false, name), |rest| (true, rest));
        if name.starts_with('[') && name.ends_with(']') {
            // An IPv6 address is one label, and so is nothing else with colons.
            let labels = vec![Label::Fixed(name.to_ascii_lowercase())];
            return Ok(HostPattern { text: text.to_owned(), is_open, labels });
        }
        if name.as_bytes().contains(&b':') {
            return Err("has a port: hosts are compared without it");
        }
        let labels: Vec<Label> = name.split('.').map(Label::parse).collect::<Result<_, _>>()?;
        for (at, label) in labels.iter().enumerate() {
            if matches!(label, Label::Parameter(_)) && labels[..at].contains(label) {
                return Err("has two parameters of one name");
            }
        }
        Ok(HostPattern { text: text.to_owned(), is_open, labels })
    }

    /// Whether the pattern has the host. Its case and a dot at its end do not matter; it has no port.
    #[inline]
    pub(crate) fn has(&self, host: &str) -> bool {
        self.labels_of(host).is_some()
    }

    /// The value of a parameter for a host that the pattern has, in lower case.
    #[inline]
    pub(crate) fn value(&self, name: &str, host: &str) -> Option<String> {
        let at = self.labels.iter().position(|label| matches!(label, Label::Parameter(known) if known == name))?;
        let labels = self.labels_of(host)?;
        labels.get(at).map(|label| label.to_ascii_lowercase())
    }

    /// The labels of a host that the pattern has, without those that stand for `*`.
    #[inline]
    fn labels_of<'h>(&self, host: &'h str) -> Option<Vec<&'h str>> {
        let name = host.strip_suffix('.').unwrap_or(host);
        let mut labels: Vec<&str> = if name.starts_with('[') { vec![name] } else { name.split('.').collect() };
        let more = labels.len().checked_sub(self.labels.len())?;
        if (more > 0) != self.is_open {
            return None;
        }
        // The client has written this: what is no name of DNS is nobody's tenant.
        let open: Vec<&str> = labels.drain(..more).collect();
        let fits = open.into_iter().all(is_dns_label)
            && self.labels.iter().zip(&labels).all(|(label, text)| match label {
                Label::Fixed(fixed) => fixed.eq_ignore_ascii_case(text),
                Label::Parameter(_) => is_dns_label(text),
            });
        fits.then_some(labels)
    }

    /// Exact names first, then those with parameters, then those with `*`, and of these the longer ones.
    #[inline]
    fn rank(&self) -> (bool, usize, std::cmp::Reverse<usize>) {
        let parameters = self.labels.iter().filter(|label| matches!(label, Label::Parameter(_))).count();
        (self.is_open, parameters, std::cmp::Reverse(self.labels.len()))
    }

    /// Whether both have the same hosts.
    #[inline]
    fn has_shape_of(&self, other: &HostPattern) -> bool {
        let is_alike = |(one, two): (&Label, &Label)| match (one, two) {
            (Label::Parameter(_), Label::Parameter(_)) => true,
            _ => one == two,
        };
        self.is_open == other.is_open
            && self.labels.len() == other.labels.len()
            && self.labels.iter().zip(&other.labels).all(is_alike)
    }
}

impl Label {
    #[inline]
    fn parse(text: &str) -> Result<Label, &'static str> {
        match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if !name.is_empty() && !name.contains(['{', '}']) => Ok(Label::Parameter(name.to_owned())),
            None if is_dns_label(text) => Ok(Label::Fixed(text.to_ascii_lowercase())),
            _ => Err("is no name of a host; a `*` stands in front, and a parameter is a whole label, as in \
                      \"{tenant}.example.org\""),
        }
    }
}

/// Letters, digits, hyphens and underscores.
#[inline]
fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).expect(text)
    }

    #[test]
    fn hosts_are_compared_without_case_and_with_or_without_a_dot_at_the_end() {
        for (text, host, has) in [
            ("example.org", "Example.ORG", true),
            ("Example.org.", "example.org", true),
            ("example.org", "example.org.", true),
            ("example.org", "example.org..", false),
            ("example.org", "www.example.org", false),
            ("example.org", "example.org.evil", false),
            ("example.org", "", false),
            ("localhost", "localhost", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("[::1]", "[::1]", true),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
            ("*.example.org", "a..example.org", false),
            ("*.example.org", "a%2e.example.org", false),
            ("*.example.org", "evilexample.org", false),
            ("{t}.example.org", "acme.example.org", true),
            ("{t}.example.org", "a.b.example.org", false),
            ("{t}.example.org", "example.org", false),
            ("{t}.example.org", "a'b.example.org", false),
            ("*.{t}.example.org", "a.acme.example.org", true),
            ("*.{t}.example.org", "acme.example.org", false),
        ] {
            assert_eq!(pattern(text).has(host), has, "{text} {host}");
        }
    }

    #[test]
    fn parameters_are_whole_labels_in_lower_case() {
        let two = pattern("{tenant}.{region}.example.org");
        assert_eq!(two.value("tenant", "Acme.EU.example.org").as_deref(), Some("acme"));
        assert_eq!(two.value("region", "Acme.EU.example.org.").as_deref(), Some("eu"));
        assert_eq!(two.value("other", "acme.eu.example.org"), None);
        assert_eq!(pattern("*.{tenant}.org").value("tenant", "a.b.acme.org").as_deref(), Some("acme"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", ".", "a..b", "a:80", "a/b", "*", "a.*.b", "*a.b", "{}.a", "{x", "x{y}.a", "{x}.{x}.a", "a b"] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
