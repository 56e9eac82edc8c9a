//! Reading an upstream archive's indexes: the signed Release first, and nothing that it does not vouch for.

use super::source::{Found, Source};
use crate::report;
use anyhow::{Context as _, Result, anyhow, bail};
use debian_formats::Architecture;
use debian_formats::checksums::Sha256Hasher;
use debian_formats::control::Stanza;
use debian_formats::limits::Limits;
use debian_formats::names::ComponentName;
use debian_formats::openpgp::ArchiveKeyring;
use debian_formats::packed::unpacked;
use debian_formats::upstream::{Packages, Stanzas, UpstreamRelease};
use jiff::Timestamp;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, Write as _};
use std::path::PathBuf;

/// No keyring is longer.
const MAX_KEYRING_BYTES: u64 = 1 << 20;

/// Reads the keys that an archive is trusted by.
pub(crate) fn read_keyrings(paths: &[PathBuf]) -> Result<ArchiveKeyring> {
    let read = |path: &PathBuf| -> Result<ArchiveKeyring> {
        let failed = || format!("could not use the keyring {}", path.display());
        let mut bytes = Vec::new();
        File::open(path)
            .with_context(failed)?
            .take(MAX_KEYRING_BYTES + 1)
            .read_to_end(&mut bytes)
            .with_context(failed)?;
        if bytes.len() as u64 > MAX_KEYRING_BYTES {
            bail!("{} is too large for a keyring", path.display());
        }
        ArchiveKeyring::from_bytes(&bytes).with_context(failed)
    };
    let rings = paths.iter().map(read).collect::<Result<Vec<_>>>()?;
    rings.into_iter().reduce(ArchiveKeyring::merged).context(
        "no key says what to trust; give the archive's keyring with --keyring, such as \
         /usr/share/keyrings/debian-archive-keyring.gpg",
    )
}

/// Fetches a suite's Release and verifies it.
pub(crate) fn read_release(
    source: &Source,
    suite: &str,
    trusted: &ArchiveKeyring,
    now: Timestamp,
) -> Result<UpstreamRelease> {
    let limit = Limits::DEFAULT.release_bytes;
    let path = |name: &str| format!("dists/{suite}/{name}");
    let text = |bytes, name: &str| String::from_utf8(bytes).map_err(|_| anyhow!("refused {name}: it is not text"));
    if let Some(inrelease) = source.read(&path("InRelease"), limit)? {
        let name = source.name_of(&path("InRelease"));
        let inrelease = text(inrelease, &name)?;
        return UpstreamRelease::from_inrelease(&inrelease, trusted, suite, now)
            .with_context(|| format!("refused {name}"));
    }
    let Some(release) = source.read(&path("Release"), limit)? else {
        bail!(
            "{} is not there, nor a Release beside it; check the archive's address and --from-suite",
            source.name_of(&path("InRelease"))
        );
    };
    let name = source.name_of(&path("Release"));
    let signature = source.read(&path("Release.gpg"), limit)?;
    let signature = signature.with_context(|| format!("refused {name}: it is not signed, there is no Release.gpg"))?;
    UpstreamRelease::from_release(&text(release, &name)?, &signature, trusted, suite, now)
        .with_context(|| format!("refused {name}"))
}

/// Which indexes to read.
pub(crate) struct Wanted<'a> {
    pub(crate) suite: &'a str,
    /// None: all that there are.
    pub(crate) components: &'a [ComponentName],
    /// None: all that there are. Packages of `all` belong to each.
    pub(crate) architectures: &'a [Architecture],
}

/// Gives every stanza of the wanted indexes to `take`, each index checked as a whole before.
pub(crate) fn read_packages(
    source: &Source,
    release: &UpstreamRelease,
    wanted: &Wanted<'_>,
    mut take: impl FnMut(&ComponentName, &Stanza) -> Result<()>,
) -> Result<()> {
    let components = if wanted.components.is_empty() {
        let parse =
            |name: &String| name.parse().with_context(|| "the archive has a component that no suite here can have");
        release.components().iter().map(parse).collect::<Result<_>>()?
    } else {
        wanted.components.to_vec()
    };
    let is_chosen = !wanted.architectures.is_empty();
    let mut architectures = if is_chosen {
        wanted.architectures.iter().map(ToString::to_string).collect()
    } else {
        release.architectures().to_vec()
    };
    // Where each index has them anyway, the one that holds nothing else need not be read.
    if release.parts_all() || architectures == ["all"] {
        architectures.push("all".to_owned());
    } else {
        architectures.retain(|architecture| architecture != "all");
    }
    architectures.sort();
    architectures.dedup();
    for component in &components {
        let mut is_there = false;
        for architecture in &architectures {
            let Some(packages) = release.packages(component.as_str(), architecture) else {
                if is_chosen && architecture != "all" {
                    bail!(
                        "{} has no packages in {component} for {architecture}; it names the components {} and the \
                         architectures {}",
                        source.name_of(&format!("dists/{}", wanted.suite)),
                        report::printable(&release.components().join(", ")),
                        report::printable(&release.architectures().join(", "))
                    );
                }
                continue;
            };
            is_there = true;
            read_index(source, wanted.suite, &packages, |stanza| take(component, stanza))?;
        }
        if !is_there {
            bail!(
                "{} has no packages in the component {component}; it names {}",
                source.name_of(&format!("dists/{}", wanted.suite)),
                report::printable(&release.components().join(", "))
            );
        }
    }
    Ok(())
}

fn read_index(
    source: &Source,
    suite: &str,
    packages: &Packages<'_>,
    mut take: impl FnMut(&Stanza) -> Result<()>,
) -> Result<()> {
    let limits = Limits::DEFAULT;
    let file = packages.file;
    let path = format!("dists/{suite}/{}", packages.path);
    let name = source.name_of(&format!("dists/{suite}/{}", file.path));
    let largest = packages.plain_size.unwrap_or(limits.packages_index_bytes);
    if file.size.max(largest) > limits.packages_index_bytes {
        bail!("refused {name}: it is larger than {}", report::size(limits.packages_index_bytes));
    }
    eprintln!("reading {name}, {}", report::size(file.size));
    // By its hash first: the plain name may already be that of the next publication.
    let content = match source.open(&path, file.size)? {
        Found::Content(content) => content,
        Found::Nothing => match source.open(&format!("dists/{suite}/{}", file.path), file.size)? {
            Found::Content(content) => content,
            Found::Nothing => bail!("{name} is not there, though the Release names it; try again in a while"),
        },
    };
    let mut packed = tempfile::tempfile().context("could not make a temporary file for an index")?;
    let mut hasher = Sha256Hasher::default();
    let copied = copy(content.take(file.size + 1), &mut packed, &mut hasher)
        .with_context(|| format!("could not fetch {name}"))?;
    if copied != file.size || hasher.finish() != file.sha256 {
        bail!(
            "refused {name}: its size or SHA-256 is not what the signed Release says; the archive may be publishing \
             right now: try again in a while"
        );
    }
    packed.rewind().with_context(|| format!("could not read {name}"))?;
    let plain = unpacked(&file.path, BufReader::new(packed)).with_context(|| format!("could not unpack {name}"))?;
    // One byte more than promised, so that too much is noticed.
    let mut plain = plain.take(largest + 1);
    for stanza in Stanzas::new(BufReader::new(&mut plain), limits.control_bytes) {
        take(&stanza.with_context(|| format!("refused {name}"))?)?;
    }
    if plain.limit() == 0 {
        bail!("refused {name}: unpacked it is longer than {}", report::size(largest));
    }
    Ok(())
}

fn copy(mut from: impl std::io::Read, to: &mut File, hasher: &mut Sha256Hasher) -> std::io::Result<u64> {
    let mut buffer = vec![0; 1 << 16];
    let mut copied = 0;
    loop {
        let got = from.read(&mut buffer)?;
        if got == 0 {
            return Ok(copied);
        }
        hasher.update(&buffer[..got]);
        to.write_all(&buffer[..got])?;
        copied += got as u64;
    }
}
