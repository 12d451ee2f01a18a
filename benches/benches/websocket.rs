//! The codec of WebSockets: masks against plain copies, framing and reading, and compression against the bare calls of zlib-rs.
//!
//! Run with `cargo bench -p benches --bench websocket`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use web::websocket::{
    Message,
    codec::{Decoder, Deflate, DeflateOptions, Encoder, Role, unmask},
};

criterion_main!(codec);
criterion_group!(codec, masks, messages, deflate);

fn masks(c: &mut Criterion) {
    for size in [4 * 1024, 64 * 1024] {
        let mut group = c.benchmark_group(format!("{} KiB", size / 1024));
        group.throughput(Throughput::Bytes(size as u64));
        let (source, mut bytes) = (vec![7; size], vec![0; size]);
        group.bench_function("copy_from_slice", |b| b.iter(|| black_box(&mut bytes[..]).copy_from_slice(&source)));
        group.bench_function("unmask", |b| b.iter(|| unmask(black_box(&mut bytes), black_box([1, 2, 3, 4]))));
        group.finish();
    }
}

fn messages(c: &mut Criterion) {
    let mut group = c.benchmark_group("a message");
    for size in [32, 4 * 1024] {
        let text = "a".repeat(size);
        let mut server = Encoder::new(Role::Server);
        group.bench_function(format!("of {size} bytes, framed"), |b| b.iter(|| server.text(black_box(&text))));
        let mut client = Encoder::new(Role::Client);
        group.bench_function(format!("of {size} bytes, framed and masked"), |b| {
            b.iter(|| client.text(black_box(&text)))
        });
        for (kind, frame) in [("text", client.text(&text)), ("binary", client.binary(text.as_bytes()))] {
            let mut decoder = Decoder::new(Role::Server);
            group.bench_function(format!("of {size} bytes, {kind}, read"), |b| {
                b.iter(|| decoder.decode(&mut black_box(&frame[..])));
            });
        }
    }
    group.finish();
}

/// The echo of a message: what came is decompressed and compressed again.
fn deflate(c: &mut Criterion) {
    let json = json(4 * 1024);
    let options = DeflateOptions::new();
    let (at_the_server, answer) = Deflate::accept([Deflate::offer(&options)], &options).expect("an offer of our own");
    let at_the_client = Deflate::agreed([answer], &options).expect("a good answer").expect("an agreement");
    let frame = Encoder::new(Role::Client).deflate(&at_the_client).text(&json);

    let mut group = c.benchmark_group("an echo of 4 KiB of JSON, compressed");
    let (mut encoder, mut decoder) =
        (Encoder::new(Role::Server).deflate(&at_the_server), Decoder::new(Role::Server).deflate(&at_the_server));
    group.bench_function("codec", |b| {
        b.iter(|| match decoder.decode(&mut black_box(&frame[..])) {
            Ok(Some(web::websocket::codec::Event::Message(message))) => encoder.message(&message),
            other => panic!("{other:?}"),
        });
    });
    let (mut compress, mut decompress) = (Compress::new(Compression::default(), false), Decompress::new(false));
    let compressed = bare_compress(&mut compress, json.as_bytes());
    group.bench_function("the bare calls", |b| {
        b.iter(|| {
            let mut out = Vec::with_capacity(8 * 1024);
            decompress.reset(false);
            let done = decompress.decompress_vec(black_box(&compressed), &mut out, FlushDecompress::Sync);
            assert!(done.is_ok() && out.len() == json.len());
            bare_compress(&mut compress, &out)
        });
    });
    group.finish();
    assert_eq!(Message::from(json).len(), 4 * 1024);
}

fn bare_compress(compress: &mut Compress, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 * 1024);
    compress.reset();
    compress.compress_vec(bytes, &mut out, FlushCompress::Sync).expect("a compressor takes anything");
    out
}

/// Records with something in common and something that differs.
fn json(size: usize) -> String {
    let mut text = String::from("[");
    for i in 0..size as u32 / 40 {
        let number = i.wrapping_mul(2_654_435_761);
        text += &format!("{{\"id\":{number},\"name\":\"user{}\",\"online\":{}}},", number % 977, number % 3 == 0);
    }
    text.truncate(size);
    text
}
