//! A form as multipart/form-data, as a whole and in pieces.

use httpserver::{
    Bytes,
    multipart::{Event, FormLimits, Parser},
};

/// A byte that says how large the pieces are, and then a form whose boundary is `b`.
pub fn run(input: &[u8]) {
    let Some((&step, form)) = input.split_first() else { return };
    let whole = read(form, usize::MAX);
    for step in [1, 1 + usize::from(step)] {
        // Which of several faults is named first is open.
        assert_eq!(read(form, step).ok(), whole.as_ref().ok().cloned(), "{}", form.escape_ascii());
    }
    let _ = Parser::boundary_of(form);
}

/// Name, name of the file, content.
type Part = (String, Option<String>, Vec<u8>);

/// The parts of a form that comes in pieces of `step` bytes.
fn read(form: &[u8], step: usize) -> httpserver::Result<Vec<Part>> {
    let mut parser = Parser::new("b", FormLimits::default())?;
    let (mut parts, mut is_open) = (Vec::<Part>::new(), false);
    for piece in form.chunks(step.min(form.len().max(1))) {
        parser.push(Bytes::copy_from_slice(piece))?;
        while let Some(event) = parser.next()? {
            match event {
                Event::Part(head) => {
                    assert!(!is_open);
                    parts.push((head.name().to_owned(), head.file_name().map(str::to_owned), Vec::new()));
                    is_open = true;
                }
                Event::Data(data) => {
                    assert!(is_open && !data.is_empty());
                    parts.last_mut().expect("a part").2.extend_from_slice(&data);
                }
                Event::PartEnd => {
                    assert!(is_open);
                    is_open = false;
                }
            }
        }
    }
    parser.finish()?;
    assert!(!is_open);
    Ok(parts)
}
