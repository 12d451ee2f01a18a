//! The value of a Cookie line, and arguments of a query or form.

use httpserver::httputil::{Arguments, encode_arguments, parse_cookie, parse_range, parse_timestamp};

/// The bytes as each of these.
pub fn run(input: &[u8]) {
    let most = input.iter().filter(|&&b| b == b';').count() + 1;
    assert!(parse_cookie(input).count() <= most);
    for (name, value) in parse_cookie(input) {
        assert!(!name.contains(';') && name.len() + value.len() <= input.len());
    }
    if let Ok(arguments) = Arguments::parse(input) {
        let decoded: Vec<_> =
            arguments.decoded().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        // What is encoded again is decoded to the same.
        let encoded = encode_arguments(decoded.iter().map(|(name, value)| (name, value)));
        if let Ok(again) = Arguments::parse(encoded.as_bytes()) {
            assert!(again.decoded().map(|(name, value)| (name.into_owned(), value.into_owned())).eq(decoded));
        }
    }
    let _ = (parse_range(input, 1_000), parse_timestamp(input));
}
