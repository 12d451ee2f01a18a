//! Routes whose only parameter is the last segment, found by hash.

use crate::fixed_paths::{self, FixedPaths};

/// The patterns that are fixed text with one parameter behind it, as in `/user/{id}`, beside the tree that has all of them:
/// most routes with parameters are such, and a look-up here costs a fraction of a walk down the tree.
#[derive(Default)]
pub(super) struct LastParams {
    /// By what stands before the parameter, up to its slash.
    tables: FixedPaths,
}

/// In place of a table, where other patterns of the tree may match the same segment: `/user/{id}` and `/user/x{id}`.
const SEVERAL: usize = usize::MAX;

impl LastParams {
    /// Takes note of a pattern of the tree, and of the place of its table.
    pub(super) fn add(&mut self, pattern: &str, table: usize) {
        let (prefix, last) = pattern.split_at(pattern.rfind('/').map_or(0, |slash| slash + 1));
        if prefix.contains(['{', '}']) || !last.contains(['{', '}']) {
            // Not a fixed prefix, or a fixed path, which is looked up before.
            return;
        }
        let inner = last.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
        let is_parameter = inner.is_some_and(|name| !name.starts_with('*') && !name.contains(['{', '}']));
        let is_only = is_parameter && !self.tables.contains_key(prefix.as_bytes());
        fixed_paths::insert(&mut self.tables, prefix, if is_only { table } else { SEVERAL });
    }

    /// The table for a path that is none of the fixed ones, and where the parameter begins.
    ///
    /// The tree finds the same: at each of its nodes fixed text goes before parameters, so it comes to this prefix, and what it
    /// tries behind it, before the parameter, has a slash more or is a fixed path.
    #[inline]
    pub(super) fn get(&self, path: &[u8]) -> Option<(usize, usize)> {
        let start = path.iter().rposition(|&byte| byte == b'/')? + 1;
        // A parameter is never empty.
        if start == path.len() {
            return None;
        }
        let &table = self.tables.get(&path[..start])?;
        (table != SEVERAL).then_some((table, start))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each pattern with its place, in the tree and here.
    fn both(patterns: &[String]) -> (matchit::Router<usize>, LastParams, Vec<String>) {
        let (mut tree, mut last, mut fixed) = (matchit::Router::new(), LastParams::default(), Vec::new());
        for (at, pattern) in patterns.iter().enumerate() {
            if tree.insert(pattern.as_str(), at).is_ok() {
                last.add(pattern, at);
                fixed.extend((!pattern.contains('{')).then(|| pattern.clone()));
            }
        }
        (tree, last, fixed)
    }

    fn piece() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "/", "/", "/", "/{x}", "/{x}", "/{y}", "/{*z}", "a", "b", "ab", "{x}", "{y}", "/a", "/b", "{{", "}}", ".c",
            "/a/{w}",
        ])
    }

    fn pattern() -> impl Strategy<Value = String> {
        prop::collection::vec(piece(), 1..5).prop_map(|pieces| format!("/{}", pieces.concat()).replacen("//", "/", 1))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_is_found_by_hash_is_what_the_tree_finds(
            patterns in prop::collection::vec(pattern(), 1..12),
            paths in prop::collection::vec("/[ab/.c{]{0,6}", 1..20),
        ) {
            let (tree, last, fixed) = both(&patterns);
            for path in paths {
                if let Some((table, start)) = last.get(path.as_bytes()).filter(|_| !fixed.contains(&path)) {
                    let matched = tree.at(&path);
                    let found = matched.as_ref().map(|matched| (*matched.value, matched.params.iter().next().map(|(_, value)| value)));
                    prop_assert_eq!(found.ok(), Some((table, Some(&path[start..]))), "{} in {:?}", path, patterns);
                }
            }
        }
    }

    #[test]
    fn the_last_segment_alone_is_found() {
        let patterns =
            ["/a/{id}", "/b/{id}.png", "/c/{id}", "/c/x{id}", "/d/{id}/e", "/f/{*rest}", "/g/{id}", "/g/{id}/h"];
        let (.., last, _) = both(&patterns.map(str::to_owned));
        for (path, found) in [
            ("/a/7", Some((0, 3))),
            ("/a/", None),
            ("/a", None),
            ("/a/7/8", None),
            ("/b/7.png", None),
            ("/c/7", None),
            ("/d/7", None),
            ("/f/7", None),
            ("/g/7", Some((6, 3))),
            ("/x/7", None),
            ("", None),
        ] {
            assert_eq!(last.get(path.as_bytes()), found, "{path}");
        }
    }
}
