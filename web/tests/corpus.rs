//! The inputs that fuzzing found worth keeping go through its targets.

mod targets;

use std::{fs, path::Path};

#[test]
fn the_corpus_breaks_no_promise() {
    for (name, run) in targets::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
        let inputs = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for input in inputs {
            let path = input.unwrap().path();
            println!("{}", path.display());
            run(&fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name} has no inputs");
        run(b"");
    }
}
