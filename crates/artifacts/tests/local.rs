//! A local directory as a store: whole files, nothing beyond the root, nothing left behind.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mlrs_artifacts::{ArtifactPath, ArtifactStore as _, Content, LocalStore, StoreError};
use tempfile::TempDir;

const UPLOADS: &str = ".mlrs-uploads";

fn path(text: &str) -> ArtifactPath {
    ArtifactPath::parse(text).unwrap()
}

fn content(pieces: &[Result<&'static str, &'static str>]) -> Content<'static> {
    let pieces: Vec<_> = pieces
        .iter()
        .map(|piece| match piece {
            Ok(text) => Ok(Bytes::from_static(text.as_bytes())),
            Err(text) => Err((*text).into()),
        })
        .collect();
    stream::iter(pieces).boxed()
}

async fn names(store: &LocalStore, directory: &str) -> Vec<String> {
    let entries = store.list(&path(directory)).await.unwrap();
    entries.iter().map(|entry| entry.path.to_string()).collect()
}

async fn read(store: &LocalStore, file: &str, offset: u64) -> Result<Vec<u8>, StoreError> {
    let opened = store.open(&path(file), offset).await?;
    let pieces: Vec<Bytes> = opened.stream.try_collect().await?;
    assert!(pieces.iter().all(|piece| piece.len() <= 64 << 10));
    Ok(pieces.concat())
}

#[tokio::test]
async fn files_are_written_whole_read_replaced_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::new(directory.path().join("made on the way"));
    let file = path("a/b/c.txt");
    let written = store.create(&file, content(&[Ok("12"), Ok("3")])).await;
    assert_eq!(written.unwrap(), 3);
    let first = store.stat(&file).await.unwrap();
    assert_eq!((first.size, first.is_directory), (3, false));
    store.create(&file, content(&[Ok("longer")])).await.unwrap();
    let second = store.stat(&file).await.unwrap();
    assert_ne!(second.entity_tag, first.entity_tag);
    assert_eq!(read(&store, "a/b/c.txt", 2).await.unwrap(), b"nger");
    assert_eq!(read(&store, "a/b/c.txt", 9).await.unwrap(), b"");
    assert_eq!(names(&store, "").await, ["a"]);
    store.delete(&path("a")).await.unwrap();
    store.delete(&path("a")).await.unwrap();
    let gone = store.stat(&file).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })));
    store.delete(&ArtifactPath::root()).await.unwrap();
    assert!(!directory.path().join("made on the way").exists());
}

#[tokio::test]
async fn long_files_come_in_small_pieces() {
    let directory = tempfile::tempdir().unwrap();
    let long: Vec<u8> = (0..300_000_u32).map(|index| index as u8).collect();
    fs::write(directory.path().join("long"), &long).unwrap();
    let store = LocalStore::new(directory.path());
    assert_eq!(read(&store, "long", 7).await.unwrap(), long[7..]);
}

#[tokio::test]
async fn content_that_breaks_off_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::new(directory.path());
    let broken = store
        .create(&path("x"), content(&[Ok("12"), Err("gone")]))
        .await;
    assert!(matches!(broken, Err(StoreError::Content { .. })));
    assert_eq!(names(&store, "").await, [""; 0]);
    let left = fs::read_dir(directory.path().join(UPLOADS)).unwrap();
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn a_file_does_not_take_the_place_of_a_directory_nor_go_below_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::new(directory.path());
    store.create(&path("a/b"), content(&[])).await.unwrap();
    // Other programs list this directory.
    assert!(!directory.path().join(UPLOADS).exists());
    for (taken, directory) in [
        ("a", true),
        ("", true),
        ("a/b/c", false),
        ("a/b/c/d", false),
    ] {
        let refused = store.create(&path(taken), content(&[])).await;
        let Err(StoreError::WrongKind { is_directory, .. }) = refused else {
            panic!("{taken}: {refused:?}");
        };
        assert_eq!(is_directory, directory, "{taken}");
    }
    let below = store.open(&path("a/b/c"), 0).await.map(|_| ());
    assert!(matches!(below, Err(StoreError::NotFound { .. })));
}

/// A root with links in it, and what is outside of it.
fn linked() -> (TempDir, LocalStore) {
    let around = tempfile::tempdir().unwrap();
    let (root, outside) = (around.path().join("root"), around.path().join("outside"));
    fs::create_dir_all(root.join("real/inner")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "geheim").unwrap();
    fs::write(root.join("real/file"), "within").unwrap();
    symlink(&outside, root.join("absolute")).unwrap();
    symlink("../outside", root.join("relative")).unwrap();
    symlink("../outside/secret", root.join("file")).unwrap();
    symlink("../../outside", root.join("real/deep")).unwrap();
    symlink("circle", root.join("circle")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("real", root.join("within")).unwrap();
    symlink("../real/file", root.join("real/inner-link")).unwrap();
    (around, LocalStore::new(root))
}

#[tokio::test]
async fn no_operation_follows_a_link_out_of_the_root() {
    let (around, store) = linked();
    let is_outside = |outcome: Result<(), StoreError>, what: &str| {
        assert!(
            matches!(outcome, Err(StoreError::Outside { .. })),
            "{what}: {outcome:?}"
        );
    };
    for directory in ["absolute", "relative", "real/deep", "circle", "within/deep"] {
        let within = path(directory);
        is_outside(store.list(&within).await.map(|_| ()), directory);
        let secret = within.join(&path("secret")).unwrap();
        is_outside(store.stat(&secret).await.map(|_| ()), directory);
        is_outside(store.open(&secret, 0).await.map(|_| ()), directory);
        is_outside(store.delete(&secret).await, directory);
        for new in ["secret", "new", "new/new"] {
            let new = within.join(&path(new)).unwrap();
            let written = store.create(&new, content(&[Ok("overwritten")])).await;
            is_outside(written.map(|_| ()), new.as_str());
        }
    }
    is_outside(store.open(&path("file"), 0).await.map(|_| ()), "file");
    let written = store.create(&path("file"), content(&[Ok("x")])).await;
    is_outside(written.map(|_| ()), "file");
    let outside = around.path().join("outside");
    assert_eq!(
        fs::read_to_string(outside.join("secret")).unwrap(),
        "geheim"
    );
    assert_eq!(fs::read_dir(outside).unwrap().count(), 1);
}

#[tokio::test]
async fn links_within_the_root_are_followed_and_links_are_deleted_themselves() {
    let (around, store) = linked();
    assert_eq!(read(&store, "within/file", 0).await.unwrap(), b"within");
    assert_eq!(read(&store, "real/inner-link", 0).await.unwrap(), b"within");
    assert_eq!(
        names(&store, "within").await,
        ["within/file", "within/inner", "within/inner-link"]
    );
    store
        .create(&path("within/new"), content(&[Ok("x")]))
        .await
        .unwrap();
    assert!(around.path().join("root/real/new").is_file());
    for link in ["within", "absolute", "file", "dangling"] {
        store.delete(&path(link)).await.unwrap();
    }
    assert!(around.path().join("root/real/file").is_file());
    assert!(around.path().join("outside/secret").is_file());
}

#[tokio::test]
async fn a_listing_leaves_out_what_cannot_be_read() {
    let (around, store) = linked();
    let root = around.path().join("root");
    fs::write(root.join("back\\slash"), "x").unwrap();
    fs::write(root.join("line\nbreak"), "x").unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(root.join("pipe"))
        .status();
    assert!(pipe.unwrap().success());
    assert_eq!(names(&store, "").await, ["real", "within"]);
    // Neither of them is waited for.
    let patience = Duration::from_secs(10);
    let pipe = path("pipe");
    let stat = tokio::time::timeout(patience, store.stat(&pipe)).await;
    assert!(matches!(stat.unwrap(), Err(StoreError::NotFound { .. })));
    let open = tokio::time::timeout(patience, store.open(&pipe, 0)).await;
    assert!(matches!(
        open.unwrap().map(|_| ()),
        Err(StoreError::NotFound { .. })
    ));
}

#[tokio::test]
async fn the_directory_of_uploads_is_nobody_s() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::new(directory.path());
    for place in [UPLOADS, "below/.MLRS-uploads"] {
        let remnant = directory.path().join(place).join("remnant");
        fs::create_dir_all(remnant.parent().unwrap()).unwrap();
        fs::write(&remnant, "half").unwrap();
        let within = path(place).join(&path("remnant")).unwrap();
        assert_eq!(names(&store, place).await, [""; 0]);
        let found = store.stat(&within).await;
        assert!(matches!(found, Err(StoreError::NotFound { .. })));
        let read = store.open(&within, 0).await.map(|_| ());
        assert!(matches!(read, Err(StoreError::NotFound { .. })));
        for path in [&path(place), &within] {
            let deleted = store.delete(path).await;
            assert!(matches!(deleted, Err(StoreError::Reserved { .. })));
            let written = store.create(path, content(&[])).await;
            assert!(matches!(written, Err(StoreError::Reserved { .. })));
        }
        assert!(remnant.is_file());
    }
    assert_eq!(names(&store, "").await, ["below"]);
    assert_eq!(names(&store, "below").await, [""; 0]);
}

fn remnant(root: &Path, name: &str, age: Duration) -> fs::File {
    fs::create_dir_all(root.join(UPLOADS)).unwrap();
    let file = fs::File::create(root.join(UPLOADS).join(name)).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
    file
}

#[tokio::test]
async fn what_a_killed_server_left_is_removed_and_nothing_that_is_written() {
    const AGE: Duration = Duration::from_mins(2);
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let store = LocalStore::new(root);
    assert_eq!(store.remove_remnants(AGE).await.unwrap(), 0);
    drop(remnant(root, "old", 2 * AGE));
    drop(remnant(root, "young", AGE / 2));
    let locked = remnant(root, "locked", 2 * AGE);
    locked.lock().unwrap();
    assert_eq!(store.remove_remnants(AGE).await.unwrap(), 1);
    assert!(!root.join(UPLOADS).join("old").exists());
    drop(locked);
    assert_eq!(store.remove_remnants(Duration::ZERO).await.unwrap(), 2);
    assert!(!root.join(UPLOADS).exists());

    // One that is being written has a lock, however long ago something came.
    let paused = stream::iter([Ok(Bytes::from_static(b"x"))]).chain(stream::pending());
    let writing = store.clone();
    let writing = tokio::spawn(async move { writing.create(&path("new"), paused.boxed()).await });
    while fs::read_dir(root.join(UPLOADS)).map_or(0, Iterator::count) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(store.remove_remnants(Duration::ZERO).await.unwrap(), 0);
    writing.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uploads_into_a_new_directory_do_not_disturb_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalStore::new(directory.path()));
    for round in 0..200 {
        let uploads = (0..8).map(|index| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let place = path(&format!("{round}/new/{index}"));
                store.create(&place, content(&[Ok("x")])).await
            })
        });
        for upload in uploads.collect::<Vec<_>>() {
            upload.await.unwrap().unwrap();
        }
    }
    assert!(!directory.path().join(UPLOADS).exists());
}
