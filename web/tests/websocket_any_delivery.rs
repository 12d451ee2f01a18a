//! Any message comes out as it went in: through any fragments, masks, pieces and parameters.

mod targets;

use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;
use targets::{
    reference::Item,
    websocket::{check, decode, decoder},
};
use web::websocket::{
    CloseCode, CloseFrame, Message,
    codec::{Decoder, Deflate, DeflateOptions, Encoder, Role},
};

/// What a peer sends, as a whole.
#[derive(Debug, Clone)]
struct Sent {
    item: Item,
    is_compressed: bool,
    /// Where it is cut, in parts of 256 of its length.
    cuts: Vec<u8>,
    /// Between the fragments.
    pings: Vec<Vec<u8>>,
    key: [u8; 4],
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => ".{0,40}",
        1 => "[a-c]{0,600}",
        // Characters of all lengths, in longer text.
        1 => prop::collection::vec(prop::sample::select(vec!["a", "é", "€", "😀", "\u{7ff}", "\u{ffff}"]), 0..700)
            .prop_map(|parts| parts.concat()),
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..300), prop::collection::vec(0..4u8, 0..2_500)]
}

fn item() -> impl Strategy<Value = Item> {
    let payload = || prop::collection::vec(any::<u8>(), 0..=125);
    prop_oneof![
        4 => text().prop_map(Item::Text),
        4 => bytes().prop_map(Item::Binary),
        1 => payload().prop_map(Item::Ping),
        1 => payload().prop_map(Item::Pong),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let pings = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..3);
    (item(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..4), pings, any::<[u8; 4]>()).prop_map(
        |(item, is_compressed, mut cuts, pings, key)| {
            cuts.sort_unstable();
            Sent { item, is_compressed, cuts, pings, key }
        },
    )
}

/// Writes frames as no encoder of ours does: in fragments, with pings between them.
struct Peer {
    is_client: bool,
    /// Whether messages share a context.
    deflate: Option<bool>,
    compress: Compress,
    bytes: Vec<u8>,
    items: Vec<Item>,
}

impl Peer {
    fn send(&mut self, sent: &Sent) {
        match &sent.item {
            Item::Text(text) => self.message(1, text.as_bytes(), sent),
            Item::Binary(bytes) => self.message(2, bytes, sent),
            Item::Ping(payload) => self.frame(0x89, payload, sent.key),
            Item::Pong(payload) => self.frame(0x8a, payload, sent.key),
            Item::Close(_) => unreachable!("none is made"),
        }
        self.items.push(sent.item.clone());
    }

    fn message(&mut self, opcode: u8, content: &[u8], sent: &Sent) {
        let is_compressed = sent.is_compressed && self.deflate.is_some();
        let content = if is_compressed { self.compressed(content) } else { content.to_vec() };
        let ends = sent.cuts.iter().map(|&cut| content.len() * usize::from(cut) / 256);
        let mut start = 0;
        let mut first = if is_compressed { 0x40 | opcode } else { opcode };
        for (i, end) in ends.enumerate() {
            self.frame(first, &content[start..end], sent.key);
            if let Some(payload) = sent.pings.get(i) {
                self.frame(0x89, payload, sent.key);
                self.items.push(Item::Ping(payload.clone()));
            }
            (start, first) = (end, 0);
        }
        self.frame(0x80 | first, &content[start..], sent.key);
    }

    fn compressed(&mut self, content: &[u8]) -> Vec<u8> {
        if content.is_empty() {
            return vec![0];
        }
        if self.deflate == Some(false) {
            self.compress.reset();
        }
        let mut out = Vec::with_capacity(content.len() + 1000);
        self.compress.compress_vec(content, &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        out
    }

    fn frame(&mut self, first: u8, payload: &[u8], key: [u8; 4]) {
        self.bytes.push(first);
        let mask = if self.is_client { 0x80 } else { 0 };
        match payload.len() {
            0..126 => self.bytes.push(mask | payload.len() as u8),
            length => {
                self.bytes.push(mask | 126);
                self.bytes.extend((length as u16).to_be_bytes());
            }
        }
        if self.is_client {
            self.bytes.extend(key);
            self.bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        } else {
            self.bytes.extend(payload);
        }
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Server, Role::Client])
}

/// All that two ends can agree on with these options.
fn options() -> impl Strategy<Value = DeflateOptions> {
    (1..=9u8, 0..200usize, any::<bool>(), 9..=15u8).prop_map(|(level, threshold, keeps, bits)| {
        DeflateOptions::new().level(level).threshold(threshold).context_takeover(keeps).max_window_bits(bits)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_peer_sends_comes_out_the_same(
        all in prop::collection::vec(sent(), 0..6),
        role in role(),
        deflate in prop::sample::select(vec![None, Some(false), Some(true)]),
        step in 1..400usize,
        cut in 0..2_000usize,
    ) {
        let compress = Compress::new(Compression::default(), false);
        let is_client = role == Role::Server;
        let mut peer = Peer { is_client, deflate, compress, bytes: Vec::new(), items: Vec::new() };
        for sent in &all {
            peer.send(sent);
        }
        for step in [usize::MAX, 1, step] {
            let (items, result) = decode(&peer.bytes, decoder(role, deflate), step);
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(&items, &peer.items);
        }
        // And so does what is cut off anywhere, or broken, compared with the reference.
        check(&peer.bytes, role, deflate, step);
        check(&peer.bytes[..cut.min(peer.bytes.len())], role, deflate, step);
        if let Some(byte) = peer.bytes.get_mut(cut) {
            *byte ^= 1 << (cut % 8);
            check(&peer.bytes, role, deflate, step);
        }
    }

    #[test]
    fn what_an_encoder_makes_a_decoder_reads(
        messages in prop::collection::vec(prop_oneof![text().prop_map(Message::from), bytes().prop_map(Message::from)], 0..6),
        sender in role(),
        deflate in any::<bool>(),
        server in options(),
        client in options(),
        step in 1..400usize,
    ) {
        let receiver = if sender == Role::Server { Role::Client } else { Role::Server };
        let (mut encoder, mut decoder) = (Encoder::new(sender), Decoder::new(receiver));
        if deflate && let Some((at_the_server, answer)) = Deflate::accept([Deflate::offer(&client)], &server) {
            let at_the_client = Deflate::agreed([answer], &client).unwrap().unwrap();
            let (sending, receiving) = match sender {
                Role::Server => (at_the_server, at_the_client),
                Role::Client => (at_the_client, at_the_server),
            };
            (encoder, decoder) = (encoder.deflate(&sending), decoder.deflate(&receiving));
        }
        let mut bytes = Vec::new();
        for (i, message) in messages.iter().enumerate() {
            match i % 2 {
                0 => encoder.append(message, &mut bytes),
                _ => bytes.extend(encoder.message(message)),
            }
        }
        let close = CloseFrame { code: CloseCode::NORMAL, reason: "bye".into() };
        bytes.extend(encoder.close(Some(&close)).unwrap());
        let (items, result) = decode(&bytes, decoder, step);
        prop_assert_eq!(result, Ok(()));
        let expected = messages.into_iter().map(|message| match message {
            Message::Text(text) => Item::Text(text),
            Message::Binary(bytes) => Item::Binary(bytes.to_vec()),
        });
        prop_assert_eq!(items, expected.chain([Item::Close(Some((1000, "bye".into())))]).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_come_to_what_the_reference_says(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        role in role(),
        deflate in prop::sample::select(vec![None, Some(false), Some(true)]),
        step in 1..20usize,
    ) {
        check(&bytes, role, deflate, step);
    }
}
