//! `debfleet suite import`: many packages at once.

use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::Args;
use debian_formats::names::{ComponentName, SuiteName};
use fleet_protocol::publishing::{Imported, import_path};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::SendBody;
use walkdir::WalkDir;

/// For a hundred thousand packages over a slow line.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Puts all packages of a folder into a suite, in one publication.
///
/// The server checks each as if it were published alone; those that it refuses are told with the reason, and the others
/// are published. It is safe to run twice.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet suite import /var/www/debian/pool --suite stable\n  \
                  debfleet suite import pool --suite upstream --unsigned      (a token of the role admin)")]
pub(crate) struct Arguments {
    /// The folder; all .debs in it and below
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The suite
    #[arg(long, value_name = "NAME")]
    suite: SuiteName,
    /// The component
    #[arg(long, value_name = "NAME", default_value = "main")]
    component: ComponentName,
    /// Also packages that no package key has signed; plain apt installs them, debfleet-updater refuses them
    #[arg(long)]
    unsigned: bool,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let packages = packages(&arguments.folder)?;
    let server = arguments.server.connect()?;
    let (suite, component) = (&arguments.suite, &arguments.component);
    let path = format!("{}?component={component}&unsigned={}", import_path(suite.as_str()), arguments.unsigned);
    let failed = || format!("could not import {} into {suite} at {}", arguments.folder.display(), server.address());
    let progress = progress(packages.len() as u64);
    let request = server.prepare(server.agent().post(server.url(&path)));
    let request = request.config().timeout_send_body(Some(LONGEST)).timeout_recv_response(Some(LONGEST)).build();
    let request = request.header("content-type", "application/x-tar").header("expect", "100-continue");
    let mut tar = TarStream { waiting: packages.into_iter(), current: None, end: END, progress: &progress };
    let answer = request.send(SendBody::from_reader(&mut tar));
    progress.finish_and_clear();
    let imported: Imported = server.answer(answer).with_context(failed)?;
    tell(&imported, arguments.json)
}

fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let entry = entry.with_context(|| format!("could not look for packages in {}", folder.display()))?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|extension| extension == "deb") {
            found.push(entry.into_path());
        }
    }
    if found.is_empty() {
        bail!("{} holds no .deb", folder.display());
    }
    Ok(found)
}

fn progress(packages: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        eprintln!("importing {packages} packages");
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("importing [{bar:30}] {pos}/{len} packages, {eta} left");
    ProgressBar::new(packages).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

const BLOCK: u64 = 512;
/// The two blocks of zeros that end a tar.
const END: u64 = 2 * BLOCK;

/// A tar of files that is made while it is read.
struct TarStream<'a> {
    waiting: std::vec::IntoIter<PathBuf>,
    current: Option<Packing>,
    /// Zeros that are still to come at its end.
    end: u64,
    progress: &'a ProgressBar,
}

/// A file on its way.
struct Packing {
    path: PathBuf,
    header: io::Cursor<Vec<u8>>,
    file: File,
    left: u64,
    padding: io::Take<io::Repeat>,
}

impl Packing {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        let size = file.metadata()?.len();
        let mut header = tar::Header::new_gnu();
        // A name that is too long is none of the package's: the server takes it from the control file.
        let name = path.file_name().unwrap_or_default();
        header.set_path(name).or_else(|_| header.set_path("package.deb"))?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        let header = io::Cursor::new(header.as_bytes().to_vec());
        let padding = io::repeat(0).take(size.next_multiple_of(BLOCK) - size);
        Ok(Self { path, header, file, left: size, padding })
    }

    /// No bytes: it is at its end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.header.read(buffer)?;
        if got > 0 {
            return Ok(got);
        }
        if self.left == 0 {
            return self.padding.read(buffer);
        }
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.file.read(&mut buffer[..want])?;
        if got == 0 {
            return Err(io::Error::other("it became shorter while it was sent"));
        }
        self.left -= got as u64;
        Ok(got)
    }
}

impl Read for TarStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(packing) = &mut self.current {
                let got = packing.read(buffer);
                let of_file = |cause| io::Error::other(format!("could not read {}: {cause}", packing.path.display()));
                let got = got.map_err(of_file)?;
                if got > 0 {
                    return Ok(got);
                }
                self.progress.inc(1);
                self.current = None;
            }
            let Some(next) = self.waiting.next() else {
                let got = io::repeat(0).take(self.end).read(buffer)?;
                self.end -= got as u64;
                return Ok(got);
            };
            let of_file = format!("could not read {}", next.display());
            self.current = Some(Packing::open(next).map_err(|cause| io::Error::other(format!("{of_file}: {cause}")))?);
        }
    }
}

fn tell(imported: &Imported, json: bool) -> Result<()> {
    let Imported { suite, added, held, refused, refusals } = imported;
    if json {
        report::result(&serde_json::to_string(imported)?)?;
    } else {
        for refusal in refusals {
            eprintln!("refused {}: {}", report::printable(&refusal.name), report::printable(&refusal.reason));
        }
        report::result(&format!("{added} packages added to {suite}, {held} were there, {refused} refused"))?;
    }
    if *refused > 0 {
        bail!("the server refused {refused} packages; the others are published");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_a_tar_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        for size in [0usize, 1, 511, 512, 513, 70_000] {
            let (name, content) = (format!("{size:06}.deb"), vec![b'x'; size]);
            durable_files::replace(&folder.path().join(&name), &content, 0o644).unwrap();
            expected.push((name, content));
        }
        let progress = ProgressBar::hidden();
        let waiting = packages(folder.path()).unwrap().into_iter();
        let mut stream = TarStream { waiting, current: None, end: END, progress: &progress };
        let mut tar = Vec::new();
        stream.read_to_end(&mut tar).unwrap();
        assert!(tar.ends_with(&[0; 1024]) && tar.len() % 512 == 0);
        let mut archive = tar::Archive::new(tar.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), content)
        });
        assert!(entries.collect::<Vec<_>>() == expected);
    }
}
