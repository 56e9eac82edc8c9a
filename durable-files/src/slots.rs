//! A record in two slots of a preallocated file: it can be rewritten when the disk is full, and a write that is cut
//! off leaves the record before it.
//!
//! A slot is `magic 8 | sequence 8 | length 8 | SHA-256 32 | content | zeros`, numbers little-endian; the digest
//! covers sequence, length and content. The valid slot with the highest sequence is the record.

use crate::error::DurableError;
use crate::replace::Replacement;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"dfslot1\n";
const HEADER: usize = 8 + 8 + 8 + 32;

/// A durable record of bounded size.
#[derive(Debug)]
pub struct SlotFile {
    path: PathBuf,
    file: File,
    capacity: usize,
    sequence: u64,
}

impl SlotFile {
    /// Opens the file, or makes it with room for two records of `capacity` bytes, and gives the newest record.
    /// A file of another size, or with both slots damaged, gives none.
    pub fn open(path: &Path, capacity: usize) -> Result<(Self, Option<Vec<u8>>), DurableError> {
        if !path.exists() {
            Self::allocate(path, capacity)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(DurableError::io("open", path))?;
        let read = |index| read_slot(&file, index, capacity).map_err(DurableError::io("read", path));
        let newest = [read(0)?, read(1)?].into_iter().flatten().max_by_key(|(sequence, _)| *sequence);
        let (sequence, record) = newest.map_or((0, None), |(sequence, record)| (sequence, Some(record)));
        Ok((Self { path: path.to_owned(), file, capacity, sequence }, record))
    }

    /// Writes a record over the older one. When this returns, a power cut cannot undo it.
    pub fn write(&mut self, record: &[u8]) -> Result<(), DurableError> {
        if record.len() > self.capacity {
            let (size, capacity) = (record.len(), self.capacity);
            return Err(DurableError::TooLarge { path: self.path.clone(), size, capacity });
        }
        let sequence = self.sequence + 1;
        let mut slot = vec![0; HEADER + self.capacity];
        slot[..8].copy_from_slice(MAGIC);
        slot[8..16].copy_from_slice(&sequence.to_le_bytes());
        slot[16..24].copy_from_slice(&(record.len() as u64).to_le_bytes());
        let digest = digest(&slot[8..24], record);
        slot[24..HEADER].copy_from_slice(&digest);
        slot[HEADER..HEADER + record.len()].copy_from_slice(record);
        self.file
            .write_all_at(&slot, slot_offset(sequence % 2, self.capacity))
            .and_then(|()| self.file.sync_data())
            .map_err(DurableError::io("write", &self.path))?;
        self.sequence = sequence;
        Ok(())
    }

    fn allocate(path: &Path, capacity: usize) -> Result<(), DurableError> {
        let mut file = Replacement::new(path)?;
        file.write_all(&vec![0; 2 * (HEADER + capacity)]).map_err(DurableError::io("write", path))?;
        file.commit(0o600)
    }
}

fn slot_offset(index: u64, capacity: usize) -> u64 {
    index * (HEADER + capacity) as u64
}

fn digest(numbers: &[u8], record: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(numbers).chain_update(record).finalize().into()
}

fn read_slot(file: &File, index: u64, capacity: usize) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut slot = vec![0; HEADER + capacity];
    match file.read_exact_at(&mut slot, slot_offset(index, capacity)) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let (header, content) = slot.split_at(HEADER);
    let number = |at: usize| header[at..at + 8].try_into().map(u64::from_le_bytes).unwrap_or(u64::MAX);
    let record = usize::try_from(number(16)).ok().and_then(|length| content.get(..length));
    let valid = record.filter(|record| header[..8] == *MAGIC && digest(&header[8..24], record) == header[24..]);
    Ok(valid.map(|record| (number(8), record.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reopen(path: &Path) -> Option<Vec<u8>> {
        SlotFile::open(path, 64).unwrap().1
    }

    #[test]
    fn the_newest_record_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut slots, none) = SlotFile::open(&path, 64).unwrap();
        assert_eq!(none, None);
        for record in ["one", "two", "three"] {
            slots.write(record.as_bytes()).unwrap();
            assert_eq!(reopen(&path).unwrap(), record.as_bytes());
        }
    }

    #[test]
    fn a_write_cut_off_at_any_byte_leaves_the_record_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut slots, _) = SlotFile::open(&path, 64).unwrap();
        slots.write(b"one").unwrap();
        slots.write(b"two").unwrap();
        let before = std::fs::read(&path).unwrap();
        slots.write(b"three").unwrap();
        let after = std::fs::read(&path).unwrap();
        for cut in 0..=before.len() {
            let torn = [&after[..cut], &before[cut..]].concat();
            crate::replace(&path, &torn, 0o600).unwrap();
            let record = reopen(&path).unwrap();
            assert!(record == b"two" || record == b"three", "cut at {cut}: {record:?}");
        }
    }

    #[test]
    fn a_record_that_does_not_fit_is_refused_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut slots, _) = SlotFile::open(&path, 64).unwrap();
        slots.write(b"one").unwrap();
        assert!(matches!(slots.write(&[0; 65]), Err(DurableError::TooLarge { .. })));
        assert_eq!(reopen(&path).unwrap(), b"one");
    }
}
