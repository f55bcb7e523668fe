//! What is unfinished when a process is about to end. The one test of its process, since it ends what
//! others have begun.

use std::fs;

use mlrs_mlmodel::staging::{Partial, discard_unfinished};

#[test]
fn what_is_unfinished_goes_and_what_is_finished_stays() {
    let folder = tempfile::tempdir().unwrap();
    let destination = |name: &str| folder.path().join(name);
    let (done, _) = Partial::file_beside(&destination("done")).unwrap();
    done.finish(&destination("done")).unwrap();
    let (file, _) = Partial::file_beside(&destination("file")).unwrap();
    let filled = Partial::beside(&destination("folder")).unwrap();
    fs::write(filled.path.join("part"), "").unwrap();
    drop(discard_unfinished());
    let left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["done"]);
    // It has gone: that is an error, and nothing else happens.
    file.finish(&destination("file")).unwrap_err();
    drop(filled);
    // The next one can be begun.
    drop(Partial::beside(&destination("next")).unwrap());
}
