//! Packages that nobody made by accident: what our reader takes must be what dpkg installs, and what was signed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use debian_formats::deb::{Deb, Harvest, SignatureRole, TarEntry, Uncompressed};
use debian_formats::limits::Limits;
use debian_formats::openpgp::SigningKey;
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use liblzma::write::XzEncoder;
use std::io::Write;

const CONTROL: &str = "Package: hi\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: hi\n";
/// The two blocks that end a tar.
const END: [u8; 1024] = [0; 1024];

/// One header, then the content.
fn entry(name: &str, kind: u8, link: &str, size: usize, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    let fields = header.as_old_mut();
    fields.name[..name.len()].copy_from_slice(name.as_bytes());
    fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size as u64);
    header.set_cksum();
    [header.as_bytes(), content, &vec![0; content.len().next_multiple_of(512) - content.len()]].concat()
}

fn root() -> Vec<u8> {
    entry("./", b'5', "", 0, b"")
}

fn file(name: &str) -> Vec<u8> {
    entry(name, b'0', "", 2, b"x\n")
}

fn control_tar() -> Vec<u8> {
    let control = entry("./control", b'0', "", CONTROL.len(), CONTROL.as_bytes());
    [root(), control, file("./postinst"), END.to_vec()].concat()
}

fn data_tar() -> Vec<u8> {
    [root(), file("./a"), file("./b"), END.to_vec()].concat()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = XzEncoder::new(Vec::new(), 0);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One zstd frame whose blocks are not compressed (RFC 8878 §3.1.1).
fn zst(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x58];
    for block in bytes.chunks(512) {
        frame.extend_from_slice(&u32::to_le_bytes(u32::try_from(block.len()).unwrap() << 3)[..3]);
        frame.extend_from_slice(block);
    }
    frame.extend_from_slice(&[1, 0, 0]);
    frame
}

fn key() -> SigningKey {
    SigningKey::generate("test <t@example.org>", Timestamp::from_second(1_700_000_000).unwrap()).unwrap()
}

fn archive(control: (&str, &[u8]), data: (&str, &[u8]), signature: Option<&[u8]>) -> Vec<u8> {
    let mut archive = ar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        archive.append(&ar::Header::new(name.as_bytes().to_vec(), content.len() as u64), content).unwrap();
    };
    add("debian-binary", b"2.0\n");
    add(control.0, control.1);
    add(data.0, data.1);
    if let Some(signature) = signature {
        add("_gpgorigin", signature);
    }
    archive.into_inner().unwrap()
}

fn open(bytes: &[u8], limits: Limits) -> Result<Deb, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    Deb::open(file.path(), limits).map_err(|error| error.problem.to_string())
}

fn open_data(name: &str, data: &[u8]) -> Result<Deb, String> {
    open(&archive(("control.tar.xz", &xz(&control_tar())), (name, data), None), Limits::DEFAULT)
}

/// What a package would install: its control files, and its entries with their contents.
type Meaning = (String, Vec<(TarEntry, Vec<u8>)>);

/// None when the package is refused.
fn meaning(bytes: &[u8], key: &SigningKey) -> Option<Meaning> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let deb = Deb::open(file.path(), Limits::DEFAULT).ok()?;
    let deb = deb.verify(&key.public_keyring(), &[SignatureRole::origin()]).ok()?;
    let mut entries = Vec::new();
    deb.for_each_entry(|entry, content| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        entries.push((entry.clone(), bytes));
        Ok(())
    })
    .ok()?;
    Some((format!("{:?} {:?}", deb.control(), deb.control_file("postinst")), entries))
}

/// A signed package, each member packed by its function, and its signature.
fn signed(key: &SigningKey, control: &[u8], data: &[u8]) -> Vec<u8> {
    let payload = [b"2.0\n", control, data].concat();
    key.sign_detached(payload.as_slice(), Timestamp::from_second(1_700_000_001).unwrap()).unwrap()
}

#[test]
fn members_cut_anew_under_an_old_signature() {
    let key = key();
    type Pack = (&'static str, fn(&[u8]) -> Vec<u8>);
    let packs: [Pack; 4] = [("", <[u8]>::to_vec), (".gz", gz), (".xz", xz), (".zst", zst)];
    for (control_suffix, pack_control) in packs {
        for (data_suffix, pack_data) in packs {
            let (control, data) = (pack_control(&control_tar()), pack_data(&data_tar()));
            let signature = signed(&key, &control, &data);
            let both = [control.as_slice(), &data].concat();
            let cut = |at: usize| {
                let (control, data) = both.split_at(at);
                let names = (format!("control.tar{control_suffix}"), format!("data.tar{data_suffix}"));
                meaning(&archive((&names.0, control), (&names.1, data), Some(&signature)), &key)
            };
            assert_eq!(cut(control.len()).expect("the honest package").1.len(), 3);
            // Every place between blocks, and those around the honest one.
            let places = (0..both.len()).step_by(512).chain(control.len() - 20..control.len() + 20);
            for at in places.filter(|at| *at < both.len() && *at != control.len()) {
                assert!(cut(at).is_none(), "control.tar{control_suffix}, data.tar{data_suffix} cut at {at}");
            }
        }
    }
}

#[test]
fn every_flipped_bit_is_refused_or_means_nothing() {
    let key = key();
    let (control, data) = (xz(&control_tar()), xz(&data_tar()));
    let signature = signed(&key, &control, &data);
    let bytes = archive(("control.tar.xz", &control), ("data.tar.xz", &data), Some(&signature));
    let honest = meaning(&bytes, &key).expect("the honest package");
    let mut harmless = 0;
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Some(found) = meaning(&flipped, &key) {
            assert_eq!(found, honest, "bit {bit}");
            harmless += 1;
        }
    }
    // Times, owners and modes of four ar headers, and bytes of the signature packet that are not hashed.
    assert!(harmless < 4 * 32 * 8 + 200, "{harmless}");
}

#[test]
fn every_cut_is_refused() {
    let key = key();
    let (control, data) = (xz(&control_tar()), xz(&data_tar()));
    let signature = signed(&key, &control, &data);
    let bytes = archive(("control.tar.xz", &control), ("data.tar.xz", &data), Some(&signature));
    let padding = signature.len() % 2;
    for length in 0..bytes.len() - padding {
        assert!(meaning(&bytes[..length], &key).is_none(), "cut at {length}");
    }
}

#[test]
fn entries_that_dpkg_would_read_differently() {
    let long = |kind| entry("././@LongLink", kind, "", 5, b"./zz\0");
    let mut base_256 = file("./a");
    base_256[124] = 0x80;
    let sum: u32 = base_256[..512]
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    base_256[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let cases: [(&str, Vec<u8>, &str); 18] = [
        // dpkg does not skip the content of a folder or link: the next header is in it.
        ("folder with content", entry("./d/", b'5', "", 512, &file("./hidden")[..512]), "no file and has content"),
        ("link with content", entry("./l", b'2', "a", 512, &file("./hidden")[..512]), "no file and has content"),
        ("file with a folder's name", entry("./d/", b'0', "", 512, &[0; 512]), "name of a folder"),
        ("no name", entry("", b'0', "", 0, b""), "name of a folder"),
        ("contiguous file", entry("./c", b'7', "", 0, b""), "of kind '7'"),
        ("device", entry("./c", b'3', "", 0, b""), "of kind '3'"),
        ("sparse file", entry("./c", b'S', "", 0, b""), "of kind 'S'"),
        ("pax header", entry("./c", b'x', "", 12, b"12 path=./q\n"), "of kind 'x'"),
        ("below a file", [file("./f"), file("./f/x")].concat(), "which is no folder"),
        ("below a symbolic link", [entry("./s", b'2', "/etc", 0, b""), file("./s/x")].concat(), "which is no folder"),
        (
            "below a hard link to a symbolic link",
            [entry("./s", b'2', "/etc", 0, b""), entry("./h", b'1', "./s", 0, b""), file("./h/x")].concat(),
            "which is no folder",
        ),
        ("link over entries", [file("./d/x"), entry("./d", b'2', "/etc", 0, b"")].concat(), "lie below it"),
        (
            "hard link to a folder",
            [entry("./d/", b'5', "", 0, b""), entry("./h", b'1', "./d", 0, b"")].concat(),
            "hard link",
        ),
        ("the same path twice", [file("./f"), file("f")].concat(), "twice"),
        ("absolute path", file("/etc/x"), "is absolute"),
        ("path with ..", file("./../x"), "`..`"),
        ("two long names", [long(b'L'), long(b'L'), file("./f")].concat(), "two long names"),
        ("size in base 256", base_256, "octal"),
    ];
    for (case, entries, word) in cases {
        let error = open_data("data.tar.xz", &xz(&[root(), entries, END.to_vec()].concat())).unwrap_err();
        assert!(error.contains(word), "{case}: {error}");
    }
    for (case, tar, word) in [
        ("nothing", vec![], "truncated"),
        ("only the end", END.to_vec(), "empty"),
        ("no end", [root(), file("./a")].concat(), "truncated"),
        ("half an end", [root(), vec![0; 512]].concat(), "truncated"),
        ("more behind the end", [data_tar(), data_tar()].concat(), "behind its end"),
        (
            "more behind one block of zeros",
            [root(), vec![0; 512], file("./a"), END.to_vec()].concat(),
            "behind its end",
        ),
        ("a long name without entry", [root(), long(b'L'), END.to_vec()].concat(), "belongs to no entry"),
    ] {
        let error = open_data("data.tar.xz", &xz(&tar)).unwrap_err();
        assert!(error.contains(word), "{case}: {error}");
    }
    assert!(open_data("data.tar.xz", &xz(&[root(), long(b'L'), file("./f"), END.to_vec()].concat())).is_ok());
}

#[test]
fn more_or_less_than_one_compressed_stream() {
    let tar = data_tar();
    for (name, packed) in [("data.tar.xz", xz(&tar)), ("data.tar.gz", gz(&tar)), ("data.tar.zst", zst(&tar))] {
        assert!(open_data(name, &packed).is_ok(), "{name}");
        for behind in [&[0; 8][..], b"garbage", &packed] {
            assert!(open_data(name, &[packed.as_slice(), behind].concat()).is_err(), "{name} and {behind:?}");
        }
        for other in ["data.tar", "data.tar.xz", "data.tar.gz", "data.tar.zst"] {
            assert_eq!(open_data(other, &packed).is_ok(), other == name, "{name} called {other}");
        }
    }
    // A tar in two xz streams: dpkg installs the first one alone.
    let halves = [xz(&[root(), file("./a")].concat()), xz(&[file("./b"), END.to_vec()].concat())].concat();
    assert!(open_data("data.tar.xz", &halves).unwrap_err().contains("more than one xz stream"));
    assert!(open_data("data.tar.gz", &tar).is_err(), "gzip readers pass what is not compressed through");
}

#[test]
fn control_tar_with_anything_but_plain_files() {
    for hostile in [entry("./postinst", b'2', "/bin/sh", 0, b""), entry("./sub/", b'5', "", 0, b""), file("./sub/x")] {
        let control = entry("./control", b'0', "", CONTROL.len(), CONTROL.as_bytes());
        let tar = [root(), control, hostile, END.to_vec()].concat();
        let error =
            open(&archive(("control.tar.xz", &xz(&tar)), ("data.tar.xz", &xz(&data_tar())), None), Limits::DEFAULT);
        assert!(error.unwrap_err().contains("not a plain file"));
    }
}

#[test]
fn control_files_that_dpkg_refuses() {
    let open_control = |text: &str| {
        let tar = [root(), entry("./control", b'0', "", text.len(), text.as_bytes()), END.to_vec()].concat();
        open(&archive(("control.tar.xz", &xz(&tar)), ("data.tar.xz", &xz(&data_tar())), None), Limits::DEFAULT)
    };
    assert!(open_control(&CONTROL.replace('\n', "\r\n")).is_ok());
    for (text, word) in [
        (CONTROL.trim_end().to_owned(), "line break"),
        (format!("# hello\n{CONTROL}"), "comment"),
        (format!("{CONTROL} \n"), "only blanks"),
        (format!("{CONTROL}\u{c}\n"), "only blanks"),
        (format!("{CONTROL}\u{85}\n"), "line 6"),
        (format!("{CONTROL}\n{CONTROL}"), "found 2"),
        (format!("{CONTROL}version: 2\n"), "twice"),
        (CONTROL.replace("hi", "h\0i"), "control character"),
        (CONTROL.replace("Version: 1", "Version: 1/../../x"), "version"),
    ] {
        let error = open_control(&text).unwrap_err();
        assert!(error.contains(word), "{text:?}: {error}");
    }
}

#[test]
fn bombs() {
    let limits = Limits {
        control_tar_bytes: 64 << 10,
        data_tar_bytes: 64 << 10,
        tar_entries: 20,
        tar_name_bytes: 40,
        ..Limits::DEFAULT
    };
    let zeros = vec![0; 10 << 20];
    let big_file = [root(), entry("./z", b'0', "", zeros.len(), &zeros), END.to_vec()].concat();
    let big_end = [root(), zeros].concat();
    let entries: Vec<u8> = (0..30).flat_map(|n| file(&format!("./{n}"))).collect();
    let names: Vec<u8> = (0..10).flat_map(|n| file(&format!("./long{n}"))).collect();
    let ended = |entries: Vec<u8>| [root(), entries, END.to_vec()].concat();
    for (tar, word) in [
        (big_file, "larger than 65536 bytes"),
        (big_end, "larger than 65536 bytes"),
        (ended(entries), "more than 20 entries"),
        (ended(names), "list of names"),
    ] {
        let control = xz(&control_tar());
        for (name, packed) in [("data.tar.xz", xz(&tar)), ("data.tar.gz", gz(&tar)), ("data.tar.zst", zst(&tar))] {
            let error = open(&archive(("control.tar.xz", &control), (name, &packed), None), limits).unwrap_err();
            assert!(error.contains(word), "{name}: {error}");
        }
    }
    // A block header that asks for a dictionary of 1.5 GiB: stream header 12, size, flags, LZMA2's id and length.
    let mut packed = xz(&data_tar());
    assert_eq!(packed[14..16], [0x21, 1]);
    packed[16] = 37;
    assert!(open_data("data.tar.xz", &packed).unwrap_err().contains("the dictionary of data.tar.xz is larger than"));
}

/// dpkg installs from such a copy what it would install from the original, and there is never half a copy.
#[test]
fn an_uncompressed_copy_is_the_same_to_dpkg_or_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let (original, copy) = (folder.path().join("a.deb"), folder.path().join("a.uncompressed.deb"));
    let take = |bytes: &[u8], max_bytes: u64| {
        write_file(&original, bytes);
        let uncompressed = Some(Uncompressed { path: &copy, max_bytes });
        let harvest = Harvest { file: Some("b"), uncompressed, memory: 1 << 30 };
        Deb::open_and_take(&original, Limits::DEFAULT, &harvest)
    };
    type Pack = (&'static str, fn(&[u8]) -> Vec<u8>);
    let packs: [Pack; 4] = [("", <[u8]>::to_vec), (".gz", gz), (".xz", xz), (".zst", zst)];
    for (suffix, pack) in packs {
        let control = format!("control.tar{suffix}");
        let data = format!("data.tar{suffix}");
        let bytes = archive((&control, &pack(&control_tar())), (&data, &pack(&data_tar())), Some(b"odd"));
        let deb = take(&bytes, 1 << 20).unwrap();
        assert_eq!(deb.uncompressed(), Some(copy.as_path()));
        assert_eq!(deb.read_file("b").unwrap().unwrap(), b"x\n");
        for member in ["--ctrl-tarfile", "--fsys-tarfile"] {
            let of = |file: &std::path::Path| {
                let ended = std::process::Command::new("dpkg-deb").arg(member).arg(file).output().unwrap();
                assert!(ended.status.success(), "{ended:?}");
                ended.stdout
            };
            assert!(of(&original) == of(&copy), "{member} {suffix}");
        }
        assert_eq!(take(&bytes, data_tar().len() as u64 - 1).unwrap().uncompressed(), None);
        assert!(!copy.exists());
        let cut = archive((&control, &pack(&control_tar())), (&data, &pack(&data_tar()[..2000])), None);
        assert!(take(&cut, 1 << 20).is_err());
        assert!(!copy.exists());
    }
}

fn write_file(path: &std::path::Path, bytes: &[u8]) {
    std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
}
