//! How a package is compressed and written: the same bytes on any number of threads, in little memory, whole or not
//! at all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Outcome, Scratch, debfleet, run, tool};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

const COMPRESSIONS: [(&str, &str); 2] = [("xz", "xz"), ("zstd", "zst")];
const MIB: usize = 1 << 20;

/// A manifest with one file of this many bytes, every `every`th kilobyte of which is noise.
fn source(scratch: &Scratch, bytes: usize, every: usize) -> String {
    scratch.write(
        "src/debfleet.toml",
        "[package]\nname = \"big\"\nversion = \"1.0.0\"\nmaintainer = \"A <a@example.org>\"\ndescription = \"big\"\n\
         [[files]]\nsource = \"big\"\ndestination = \"/opt/big/big\"\n",
    );
    let mut file = BufWriter::new(File::create(scratch.path("src/big")).unwrap());
    let mut state = 1_u64;
    for kilobyte in 0..bytes / 1024 {
        let mut noise = [0; 1024];
        if kilobyte % every == 0 {
            for word in noise.chunks_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes());
            }
        }
        file.write_all(&noise).unwrap();
    }
    file.flush().unwrap();
    scratch.text("src")
}

fn build(scratch: &Scratch, source: &str, out: &str, more: &[&str]) -> Outcome {
    let out = scratch.text(out);
    run(debfleet(&["build", source, "--out", &out]).args(more).env("SOURCE_DATE_EPOCH", "1700000000"))
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let scratch = Scratch::new();
    // Three of dpkg-deb's blocks, so that there is work for more than one thread.
    let source = source(&scratch, 60 * MIB, 40);
    for (compression, _) in COMPRESSIONS {
        let debs = ["1", "2", "3", "8"].map(|threads| {
            let out = format!("{compression}-{threads}");
            let printed = build(&scratch, &source, &out, &["--compression", compression, "--threads", threads]).ok();
            printed.trim_end().to_owned()
        });
        let unspecified = build(&scratch, &source, compression, &["--compression", compression]).ok();
        for other in debs[1..].iter().map(String::as_str).chain([unspecified.trim_end()]) {
            let difference = tool("cmp", &[&debs[0], other]);
            assert_eq!(difference.code, 0, "{compression}: {}", difference.stdout);
        }
        let unpacked = scratch.text(&format!("unpacked-{compression}"));
        tool("dpkg-deb", &["-x", &debs[0], &unpacked]).ok();
        tool("cmp", &[&format!("{unpacked}/opt/big/big"), &scratch.text("src/big")]).ok();
    }
}

#[test]
fn the_command_line_comes_before_the_manifest() {
    let scratch = Scratch::new();
    let source = source(&scratch, 1024, 1);
    let members = |more: &[&str]| tool("ar", &["t", build(&scratch, &source, "out", more).ok().trim_end()]).ok();
    assert_eq!(members(&[]), "debian-binary\ncontrol.tar.xz\ndata.tar.xz\n");
    let manifest = scratch.read("src/debfleet.toml") + "[build]\ncompression = \"zstd\"\n";
    scratch.write("src/debfleet.toml", &manifest);
    assert_eq!(members(&[]), "debian-binary\ncontrol.tar.zst\ndata.tar.zst\n");
    assert_eq!(members(&["--compression", "xz"]), "debian-binary\ncontrol.tar.xz\ndata.tar.xz\n");
    build(&scratch, &source, "other", &["--compression", "gzip"])
        .fails(2, &["\"gzip\" is no compression: use xz or zstd"]);
    build(&scratch, &source, "other", &["--threads", "0"]).fails(2, &["--threads <N>"]);
}

#[test]
fn memory_does_not_grow_with_the_payload() {
    let scratch = Scratch::new();
    let source = source(&scratch, 300 * MIB, 400);
    // xz on two threads takes about 2 × (94 + 3 × 24) MiB at level 6, whatever there is to compress.
    for (compression, megabytes) in [("zstd", 64), ("xz", 350)] {
        let command = debfleet(&["build", &source, "--out", &scratch.text(compression), "--compression", compression]);
        let mut timed = Command::new("time");
        timed.args(["--quiet", "--format=%M", "--output", &scratch.text("peak")]);
        timed.arg(command.get_program()).args(command.get_args()).args(["--threads", "2"]);
        run(&mut timed).ok();
        let kibibytes: usize = scratch.read("peak").trim().parse().unwrap();
        assert!(kibibytes * 1024 < megabytes * 1_000_000, "{compression} took {kibibytes} KiB");
    }
}

/// A file system of one megabyte, until it is dropped.
struct SmallDisk(String);

impl SmallDisk {
    fn new(scratch: &Scratch) -> Self {
        let folder = scratch.text("disk");
        std::fs::create_dir(&folder).unwrap();
        tool("mount", &["-t", "tmpfs", "-o", "size=1m", "none", &folder]).ok();
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        tool("umount", &[&self.0]);
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_is_left() {
    let scratch = Scratch::new();
    // The first does not fit as a nameless data.tar, the second not a second time, as the package.
    for bytes in [4 * MIB, 700 * 1024] {
        let source = source(&scratch, bytes, 1);
        let disk = SmallDisk::new(&scratch);
        for (compression, _) in COMPRESSIONS {
            build(&scratch, &source, "disk", &["--compression", compression])
                .fails(1, &["the disk that holds ", "/disk is full; nothing was left there"]);
            assert_eq!(std::fs::read_dir(&disk.0).unwrap().count(), 0, "{compression}: something was left");
        }
        drop(disk);
        std::fs::remove_dir(scratch.path("disk")).unwrap();
    }
}

#[test]
fn killed_in_mid_write_it_leaves_nothing() {
    let scratch = Scratch::new();
    let source = source(&scratch, MIB, 1);
    for (compression, extension) in COMPRESSIONS {
        let whole = build(&scratch, &source, "whole", &["--compression", compression]).ok();
        let whole = whole.trim_end();
        let package = std::fs::metadata(whole).unwrap().len();
        let data = run(Command::new("sh")
            .args(["-c", "ar p \"$0\" \"$1\" | wc -c", whole])
            .arg(format!("data.tar.{extension}")));
        let data: u64 = data.ok().trim().parse().unwrap();
        assert!(data < package - 1, "the second limit is met by the package alone");
        // The kernel kills a process that makes a file too long: in data.tar, and at the end of the package.
        for limit in [data / 2, package - 1] {
            let out = scratch.text(&format!("out-{compression}-{limit}"));
            let command = debfleet(&["build", &source, "--out", &out, "--compression", compression]);
            let mut limited = Command::new("prlimit");
            limited.args([format!("--fsize={limit}"), "--core=0".into(), "--".into()]);
            limited.arg(command.get_program()).args(command.get_args());
            let ended = limited.output().unwrap();
            assert_eq!(ended.status.signal(), Some(25), "SIGXFSZ at {limit}: {ended:?}");
            assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0, "{compression}, killed at {limit}");
        }
    }
}
