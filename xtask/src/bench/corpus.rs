//! Many small packages whose control fields look like those of Debian: made from their numbers alone, so that every
//! run measures the same.

use super::fixture::write;
use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::path::Path;

/// One of each is made of every piece of software.
const KINDS: [(&str, &str, &str); 4] =
    [("", "amd64", "utils"), ("-dev", "amd64", "libdevel"), ("-common", "all", "misc"), ("-doc", "all", "doc")];

const WORDS: &str = "account adapter address agent alarm analysis anchor animation archive array article assembly asset \
    atlas audio backend backup balance banner barrier basic battery beacon binary bitmap block bluetooth board boot \
    border bridge browser buffer builder bundle button cable cache calendar camera canvas capture carrier catalog \
    channel chart check circuit client clock cluster codec collection color command compiler compression config \
    connection console container control converter cookie counter crypto cursor database daemon debug decoder desktop \
    device dialog dictionary digital directory disk display document domain download driver editor element emulator \
    encoder engine event exchange export extension fabric factory feature filter firewall firmware folder font format \
    forum frame gallery game gateway generator geometry graph grid group handler hardware history hosting icon image \
    import index input inspector installer interface internet iterator journal kernel keyboard language launcher layer \
    layout ledger library linker listener loader locale logger machine mail manager map matrix media memory message \
    meter mirror mixer mobile model module monitor mouse network node notebook number object office outline output \
    package painter panel parser password patch pattern picture pixel planner player plugin pointer policy portal \
    printer process profile project protocol proxy query queue radio reader record recovery region registry remote \
    render report router runtime sample scanner scheduler schema screen script search secure sensor sequence server \
    session shader shell signal simulator sketch socket sound speech sprite stack statistics storage stream string \
    style switch symbol system table tablet terminal test text theme thread ticket timer token tool trace tracker \
    transport tree tunnel type unit update upload usage user utility validator value vector vehicle version video view \
    virtual voice volume wallet watch weather web widget window wizard worker wrapper writer zone";

const SMALL_WORDS: &str = "the of and to a in for is it with can be as that or by on are from which this an all you \
    its also not has other more used using many such these";

/// What everybody depends on.
const COMMON: [&str; 12] = [
    "libc6 (>= 2.34)",
    "libgcc-s1 (>= 3.0)",
    "libstdc++6 (>= 11)",
    "python3:any",
    "libglib2.0-0 (>= 2.37.3)",
    "perl:any",
    "zlib1g (>= 1:1.1.4)",
    "libqt5core5a (>= 5.15.1)",
    "adduser",
    "default-jre-headless | java8-runtime-headless",
    "libx11-6",
    "libssl3 (>= 3.0.0)",
];

/// Writes so many packages into a folder, on two cores.
pub(super) fn make(folder: &Path, packages: usize) -> Result<()> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    if packages > KINDS.len() * words.len() * words.len() {
        bail!("there are not enough names for {packages} packages");
    }
    let words = &words;
    let half = |parity: usize| {
        (0..packages).filter(|number| number % 2 == parity).try_for_each(|number| {
            let package = Package::new(words, number);
            write(&folder.join(package.file_name()), package.deb(words)?)
        })
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        half(0)?;
        other.join().map_err(|_| anyhow::anyhow!("the thread that made packages stopped"))?
    })
    .context("could not make the packages")
}

/// The name of one of the packages.
pub(super) fn name(number: usize) -> String {
    Package::new(&WORDS.split_whitespace().collect::<Vec<_>>(), number).name
}

struct Package {
    number: usize,
    name: String,
    version: String,
    architecture: &'static str,
    section: &'static str,
}

impl Package {
    fn new(words: &[&str], number: usize) -> Self {
        let (kind, architecture, section) = KINDS[number % KINDS.len()];
        let software = number / KINDS.len();
        let mut random = Random::new(software);
        let name = format!("{}{kind}", stem(words, software));
        let mut version = format!("{}.{}", random.below(12), random.below(40));
        if random.below(3) > 0 {
            let _ = write!(version, ".{}", random.below(20));
        }
        let _ = write!(version, "-{}", 1 + random.below(6));
        Self { number, name, version, architecture, section }
    }

    fn file_name(&self) -> String {
        format!("{}_{}_{}.deb", self.name, self.version, self.architecture)
    }

    fn control(&self, words: &[&str]) -> String {
        let software = self.number / KINDS.len();
        // What the packages of one software have in common, and what is this one's own.
        let (mut source, mut own) = (Random::new(software), Random::new(1_000_000 + self.number));
        let stem = stem(words, software);
        let mut person = |count| source.below(count);
        let (first, last, team) = (words[person(90)], words[person(90)], words[person(60)]);
        let mut text = format!("Package: {}\nSource: {stem}\nVersion: {}\n", self.name, self.version);
        let _ = writeln!(text, "Architecture: {}\nInstalled-Size: {}", self.architecture, own.below(9000));
        let _ = match software % 3 {
            0 => writeln!(text, "Maintainer: Debian {team} team <pkg-{team}-maintainers@lists.example.org>"),
            _ => writeln!(text, "Maintainer: {first} {last} <{first}.{last}@example.org>"),
        };
        let _ = writeln!(text, "Section: {}\nPriority: optional", self.section);
        if !software.is_multiple_of(4) {
            let _ = writeln!(text, "Homepage: https://www.example.org/{stem}");
        }
        let mut depends: Vec<String> =
            COMMON.iter().filter(|_| own.below(6) == 0).map(|&common| common.to_owned()).collect();
        for _ in 0..own.below(4) {
            depends.push(self::stem(words, own.below(software + 1)));
        }
        if !depends.is_empty() {
            let _ = writeln!(text, "Depends: {}", depends.join(", "));
        }
        let _ = writeln!(text, "Description: {}", sentence(words, &mut own, 45));
        // The packages of one software are described alike.
        for _ in 0..1 + source.below(2) {
            let _ = writeln!(text, " {}", sentence(words, &mut source, 72));
        }
        text.push_str(" .\n");
        let _ = writeln!(text, " {}", sentence(words, &mut own, 72));
        text
    }

    fn deb(&self, words: &[&str]) -> Result<Vec<u8>> {
        let control = compressed_tar("./control", self.control(words).as_bytes())?;
        let document = format!("./usr/share/doc/{}/copyright", self.name);
        let data = compressed_tar(&document, format!("number {}\n", self.number).as_bytes())?;
        let mut archive = ar::Builder::new(Vec::new());
        for (name, content) in
            [("debian-binary", b"2.0\n".as_slice()), ("control.tar.gz", &control), ("data.tar.gz", &data)]
        {
            let mut header = ar::Header::new(name.as_bytes().to_vec(), content.len() as u64);
            header.set_mode(0o100_644);
            archive.append(&header, content)?;
        }
        Ok(archive.into_inner()?)
    }
}

/// The name of a software; no two have the same.
fn stem(words: &[&str], software: usize) -> String {
    let (first, second) = (words[software % words.len()], words[software / words.len() % words.len()]);
    format!("{first}-{second}")
}

fn sentence(words: &[&str], random: &mut Random, least: usize) -> String {
    let small: Vec<&str> = SMALL_WORDS.split_whitespace().collect();
    let mut text = String::new();
    while text.len() < least {
        if !text.is_empty() {
            text.push(' ');
        }
        // In real text few words make up most of it.
        let from = if random.below(5) < 2 { small.as_slice() } else { words };
        let place = random.below(from.len()).min(random.below(from.len())).min(random.below(from.len()));
        text.push_str(from[place]);
    }
    text
}

/// A tar of one file and its folders, with gzip.
fn compressed_tar(path: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let header = |kind: tar::EntryType, size: usize, mode: u32| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(mode);
        header.set_mtime(0);
        header
    };
    let folders = path.match_indices('/').map(|(end, _)| &path[..=end]);
    for folder in folders {
        archive.append_data(&mut header(tar::EntryType::Directory, 0, 0o755), folder, std::io::empty())?;
    }
    archive.append_data(&mut header(tar::EntryType::Regular, content.len(), 0o644), path, content)?;
    Ok(archive.into_inner()?.finish()?)
}

/// splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
struct Random(u64);

impl Random {
    fn new(seed: usize) -> Self {
        Self(seed as u64)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let mixed = mixed ^ (mixed >> 31);
        // The remainder of a usize fits in one.
        usize::try_from(mixed % bound.max(1) as u64).unwrap_or_default()
    }
}
