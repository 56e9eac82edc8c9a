//! Importing many packages at once: what costs a flush or a transaction for each package of an upload costs one for all.

use super::Repository;
use super::error::PublishError;
use super::incoming::{Pieces, Received, Receiving, Rules, Waiting, next_piece};
use super::intake::OnConflict;
use bytes::{Buf as _, Bytes};
use debian_formats::names::{ComponentName, SuiteName};
use fleet_protocol::publishing::{Imported, RefusedPackage};
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

        let taken = self.take_in(suite, &component, checked, OnConflict::LeaveOut).await?;
        taken.conflicts.into_iter().for_each(|(filename, conflict)| refuse(filename, conflict.to_string()));
        (imported.added, imported.held) = (taken.added.len(), taken.held);
        tracing::info!(%suite, added = imported.added, held = imported.held, refused = imported.refused, "imported");
        Ok(imported)
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
    for entry in archive.entries().map_err(PublishError::ImportTar)?.raw(true) {
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
