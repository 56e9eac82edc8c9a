//! Importing many packages at once: what costs a flush or a transaction for each package of an upload costs one for all.

use super::Repository;
use super::change::{Change, Placed};
use super::error::PublishError;
use super::incoming::{Pieces, Received, Receiving, Rules, Waiting, next_piece};
use super::store::{PoolNames, PoolWrite};
use bytes::{Buf as _, Bytes};
use debian_formats::names::{ComponentName, SuiteName};
use durable_files::Unplaced;
use fleet_protocol::publishing::{Imported, RefusedPackage};
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Packages of one import.
const MOST: usize = 200_000;
/// Refusals that are told one by one.
const MOST_TOLD: usize = 1000;
/// Packages that wait to be checked.
const QUEUED: usize = 64;
/// Two cores check; more would only wait for the disk.
const CHECKERS: usize = 2;

impl Repository {
    /// Takes in a tar of .debs and publishes the suite with all that are good; the others are told with the reason. It
    /// runs to its end even when the caller goes away.
    pub(crate) async fn import(
        self: &Arc<Self>,
        suite: &SuiteName,
        component: &ComponentName,
        takes_unsigned: bool,
        pieces: Pieces,
    ) -> Result<Imported, PublishError> {
        let (repository, suite) = (self.clone(), suite.clone());
        let rules = self.rules(component, takes_unsigned);
        tokio::spawn(async move { repository.import_all(&suite, rules, pieces).await }).await?
    }

    async fn import_all(
        self: &Arc<Self>,
        suite: &SuiteName,
        rules: Rules,
        pieces: Pieces,
    ) -> Result<Imported, PublishError> {
        if self.suite(suite).is_none() {
            return Err(PublishError::UnknownSuite(suite.clone()));
        }
        let (incoming, component) = (self.dir.incoming(), rules.component.clone());
        let arrived = tokio::task::spawn_blocking(move || check_all(&incoming, &rules, pieces));
        let Arrived { checked, refused } = arrived.await??;
        let mut imported = Imported { suite: suite.to_string(), added: 0, held: 0, refused: 0, refusals: Vec::new() };
        let mut refuse = |name: String, reason: String| {
            imported.refused += 1;
            if imported.refusals.len() < MOST_TOLD {
                imported.refusals.push(RefusedPackage { name, reason });
            }
        };
        refused.into_iter().for_each(|(name, reason)| refuse(name, reason));

        let mut pool = self.store.pool_names().await?;
        let held = self.store.suite_hashes(suite).await?;
        let (mut new, mut known) = (Vec::new(), BTreeSet::new());
        for checked in checked {
            match decide(&mut pool, &checked) {
                Decision::New => new.push(checked),
                Decision::Known => {
                    known.insert(checked.package.sha256.clone());
                }
                Decision::Conflict => refuse(
                    checked.package.filename.clone(),
                    "the repository holds this version with other content".to_owned(),
                ),
            }
        }
        drop(pool);
        // A package that came twice is new once.
        let arrived: BTreeSet<&str> = new.iter().map(|checked| checked.package.sha256.as_str()).collect();
        known.retain(|sha256| !arrived.contains(sha256.as_str()));
        let missing: BTreeSet<String> = known.difference(&held).cloned().collect();
        imported.held = known.len() - missing.len();
        imported.added = new.len() + missing.len();

        let writes = self.note_all(&new).await?;
        let place = |package| Placed { package, component: component.clone(), phased: None };
        let (files, mut changes): (Vec<_>, Vec<Change>) = new
            .into_iter()
            .zip(&writes)
            .map(|(waiting, write)| ((write, waiting.file), Change::AddNew(place(waiting.package), write.clone())))
            .unzip();
        let missing = self.store.packages(&missing).await?;
        changes.extend(missing.into_iter().map(|package| Change::Add(place(Arc::new(package)))));
        let published = match self.put_all(files).await {
            Ok(()) if changes.is_empty() => Ok(()),
            Ok(()) => self.submit(suite, changes).await,
            Err(error) => Err(error),
        };
        if let Err(error) = published {
            for write in writes {
                if let Err(error) = self.remove_abandoned_pool_file(write).await {
                    tracing::warn!(%error, "could not remove a pool file that was not published");
                }
            }
            return Err(error);
        }
        tracing::info!(%suite, added = imported.added, held = imported.held, refused = imported.refused, "imported");
        Ok(imported)
    }

    /// Notes that all are put into the pool.
    async fn note_all(&self, new: &[Waiting]) -> Result<Vec<PoolWrite>, PublishError> {
        let filenames: Vec<&str> = new.iter().map(|waiting| waiting.package.filename.as_str()).collect();
        let busy = || PublishError::Busy { filename: "one of the packages".to_owned() };
        self.store.begin_pool_writes(&filenames, &self.name, (self.clock)()).await?.ok_or_else(busy)
    }

    /// Puts all into the pool, durably.
    async fn put_all(&self, files: Vec<(&PoolWrite, Unplaced)>) -> Result<(), PublishError> {
        let keyed = files.into_iter().map(|(write, file)| Ok((write.filename.parse()?, file)));
        let files = keyed.collect::<Result<Vec<_>, PublishError>>()?;
        Ok(self.storage.put_files(files).await?)
    }
}

enum Decision {
    New,
    Known,
    Conflict,
}

fn decide(pool: &mut PoolNames, checked: &Waiting) -> Decision {
    let package = &checked.package;
    match pool.rival(package) {
        Some(sha256) if *sha256 == package.sha256 => Decision::Known,
        Some(_) => Decision::Conflict,
        None => {
            let (name, architecture) = (package.name.clone(), package.architecture.clone());
            let (version, filename) = (package.version.clone(), package.filename.clone());
            pool.add(name, architecture, version, package.sha256.clone(), filename);
            Decision::New
        }
    }
}

/// The packages of an import, each good or with what is wrong with it.
#[derive(Default)]
struct Arrived {
    checked: Vec<Waiting>,
    refused: Vec<(String, String)>,
}

/// Writes all packages of a tar to `folder`, and checks them on other threads meanwhile. Blocks.
fn check_all(folder: &Path, rules: &Rules, pieces: Pieces) -> Result<Arrived, PublishError> {
    let (sender, receiver) = sync_channel::<(String, Received)>(QUEUED);
    let receiver = Mutex::new(receiver);
    std::thread::scope(|scope| {
        let checkers: Vec<_> = (0..CHECKERS).map(|_| scope.spawn(|| check_each(&receiver, rules))).collect();
        let received = receive_all(folder, rules, pieces, sender);
        let mut all = Arrived::default();
        for checker in checkers {
            let stopped = || PublishError::Indexes(io::Error::other("a thread that checks packages stopped"));
            let Arrived { checked, refused } = checker.join().map_err(|_| stopped())??;
            all.checked.extend(checked);
            all.refused.extend(refused);
        }
        received?;
        all.checked.sort_by(|a, b| a.package.filename.cmp(&b.package.filename));
        all.refused.sort();
        Ok(all)
    })
}

fn check_each(waiting: &Mutex<Receiver<(String, Received)>>, rules: &Rules) -> Result<Arrived, PublishError> {
    let mut arrived = Arrived::default();
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((name, received)) = next else { return Ok(arrived) };
        match received.check(rules) {
            Ok(checked) => arrived.checked.push(checked.close()),
            Err(error @ (PublishError::Refused(_) | PublishError::SourceName(_))) => {
                arrived.refused.push((name, error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
}

fn receive_all(
    folder: &Path,
    rules: &Rules,
    pieces: Pieces,
    sender: SyncSender<(String, Received)>,
) -> Result<(), PublishError> {
    let mut stream = Stream { pieces, piece: Bytes::new(), error: None };
    let outcome = read_tar(&mut stream, folder, rules, &sender);
    // What broke the stream off says more than that the tar is short.
    match stream.error {
        Some(error) => Err(error),
        None => outcome,
    }
}

fn read_tar(
    stream: &mut Stream,
    folder: &Path,
    rules: &Rules,
    sender: &SyncSender<(String, Received)>,
) -> Result<(), PublishError> {
    let mut archive = tar::Archive::new(stream);
    let mut count = 0;
    for entry in archive.entries().map_err(PublishError::ImportTar)? {
        let mut entry = entry.map_err(PublishError::ImportTar)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        count += 1;
        if count > MOST {
            return Err(PublishError::TooManyPackages { limit: MOST });
        }
        let name: String = String::from_utf8_lossy(&entry.path_bytes()).chars().take(200).collect();
        let mut receiving = Receiving::new(folder, rules.limits.deb_bytes)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let got = entry.read(&mut buffer).map_err(PublishError::ImportTar)?;
            if got == 0 {
                break;
            }
            receiving.write(&buffer[..got])?;
        }
        if sender.send((name, receiving.finish())).is_err() {
            // The checkers have failed, and tell why.
            return Ok(());
        }
    }
    Ok(())
}

/// An upload as a reader.
struct Stream {
    pieces: Pieces,
    piece: Bytes,
    error: Option<PublishError>,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match next_piece(&mut self.pieces) {
                Ok(Some(piece)) => self.piece = piece,
                Ok(None) => return Ok(0),
                Err(error) => {
                    let told = io::Error::other(error.to_string());
                    self.error = Some(error);
                    return Err(told);
                }
            }
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
