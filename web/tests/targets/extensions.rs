//! The header `Sec-WebSocket-Extensions`, from both sides.

use web::websocket::codec::{Deflate, DeflateOptions};

/// A byte that says what the options are, and then a member of the list.
pub fn run(input: &[u8]) {
    let Some((&how, member)) = input.split_first() else { return };
    let options = DeflateOptions::new().context_takeover(how & 1 == 1).max_window_bits(9 + (how >> 1) % 7);
    let _ = Deflate::agreed([member], &options);
    if let Some((_, answer)) = Deflate::accept([member], &options) {
        // A member of the same kind, of parameters that can all be read.
        assert!(answer.starts_with("permessage-deflate"));
        assert!(Deflate::accept([&answer], &options).is_some(), "{answer}");
        // What was asked for and costs nothing is granted.
        for asked in ["server_no_context_takeover", "client_no_context_takeover"] {
            let text = String::from_utf8_lossy(member).to_ascii_lowercase();
            assert!(!text.contains(asked) || answer.contains(asked), "{answer}");
        }
    }
    // An offer of ours, accepted by anybody with any options, is an answer that we take.
    let (_, answer) = Deflate::accept([Deflate::offer(&options)], &options).expect("it can be accepted");
    assert!(Deflate::agreed([answer], &options).is_ok_and(|agreed| agreed.is_some()));
}
