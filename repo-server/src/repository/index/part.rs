//! A part of an index: the entries of one component and architecture, in blocks. Parts are values; a change gives a
//! new one that shares the blocks which stay.

use super::Kind;
use super::block::{Block, Effort, IndexEntry};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// A block that is compressed for good holds about so much. One of twice the size compresses better by a percent or two,
/// and costs twice the time and the memory to take one package out of.
const SETTLED: usize = 4 << 20;
/// New entries join the last block while it is smaller than this: compressing it again costs hundredths of a second.
const OPEN: usize = 128 << 10;
/// Up to here even full effort takes only tenths of a second.
const SMALL: usize = 256 << 10;
/// So many blocks that are not settled wait for compaction.
const MANY: usize = 8;

/// See the module's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::repository) struct Part {
    pub(in crate::repository) blocks: Vec<Arc<Block>>,
}

impl Part {
    /// Without the packages that go, and with new entries. What is compressed is only what changed, and quickly.
    pub(in crate::repository) fn changed(
        &self,
        kind: Kind,
        gone: &BTreeSet<Arc<str>>,
        new: impl IntoIterator<Item = IndexEntry>,
    ) -> io::Result<Self> {
        let mut blocks = Vec::with_capacity(self.blocks.len() + 1);
        for block in &self.blocks {
            if gone.is_empty() || !block.entries.iter().any(|(package, _)| gone.contains(package)) {
                blocks.push(Arc::clone(block));
                continue;
            }
            let kept: Vec<IndexEntry> = block.entries().filter(|entry| !gone.contains(&entry.package)).collect();
            if !kept.is_empty() {
                blocks.push(pack(kind, &kept, effort_for(&kept))?);
            }
        }
        let mut new = new.into_iter().peekable();
        if new.peek().is_none() {
            return Ok(Self { blocks });
        }
        let (mut waiting, mut size) = (Vec::new(), 0);
        if let Some(open) = blocks.pop_if(|last| last.size() < OPEN) {
            size = open.size();
            waiting.extend(open.entries());
        }
        for entry in new {
            size += entry.text.len();
            waiting.push(entry);
            if size >= SETTLED {
                blocks.push(pack(kind, &waiting, effort_for(&waiting))?);
                (waiting, size) = (Vec::new(), 0);
            }
        }
        if !waiting.is_empty() {
            blocks.push(pack(kind, &waiting, effort_for(&waiting))?);
        }
        Ok(Self { blocks })
    }

    /// What compressing for good would replace, if that is worth its time. The last block is left alone while it is
    /// still growing.
    pub(in crate::repository) fn compaction(&self) -> Option<&[Arc<Block>]> {
        let is_open = self.blocks.last().is_some_and(|last| last.size() < OPEN);
        let blocks = &self.blocks[..self.blocks.len() - usize::from(is_open)];
        let rest: Vec<_> = blocks.iter().filter(|block| !is_final(block)).collect();
        (rest.len() > MANY || rest.iter().any(|block| !block.is_settled)).then_some(blocks)
    }

    /// Whether so much of it was compressed quickly that its files are notably larger than they need be.
    pub(in crate::repository) fn is_loose(&self) -> bool {
        let size = |blocks: &mut dyn Iterator<Item = &Arc<Block>>| blocks.map(|block| block.size()).sum::<usize>();
        let quick = size(&mut self.blocks.iter().filter(|block| !block.is_settled));
        quick > SMALL && quick > size(&mut self.blocks.iter()) / 20
    }

    /// The same with the compacted form of its first blocks, if these are still there.
    pub(in crate::repository) fn with(&self, compacted: &Compacted) -> Option<Self> {
        let rest = self.blocks.strip_prefix(compacted.from.as_slice())?;
        Some(Self { blocks: compacted.to.iter().chain(rest).cloned().collect() })
    }
}

/// Blocks, and others with the same entries that are compressed for good.
#[derive(Debug, Clone)]
pub(in crate::repository) struct Compacted {
    from: Vec<Arc<Block>>,
    pub(in crate::repository) to: Vec<Arc<Block>>,
}

impl Compacted {
    /// Whether it is made of these.
    pub(in crate::repository) fn is_of(&self, blocks: &[Arc<Block>]) -> bool {
        self.from == blocks
    }

    /// Neighbours are joined, and what is final stays. Takes seconds for megabytes.
    pub(in crate::repository) fn of(kind: Kind, blocks: &[Arc<Block>]) -> io::Result<Self> {
        let (mut to, mut waiting) = (Vec::new(), Vec::new());
        for block in blocks {
            match block {
                block if is_final(block) => to.push(Arc::clone(block)),
                block if is_large(block) => to.push(Arc::new(block.settled(kind)?)),
                block => waiting.extend(block.entries()),
            }
        }
        for group in groups(waiting, SETTLED) {
            to.push(pack(kind, &group, Effort::Full)?);
        }
        Ok(Self { from: blocks.to_vec(), to })
    }
}

/// Joining it with another would make neither smaller.
fn is_final(block: &Block) -> bool {
    block.is_settled && is_large(block)
}

fn is_large(block: &Block) -> bool {
    block.size() >= SETTLED / 2
}

fn effort_for(entries: &[IndexEntry]) -> Effort {
    let size: usize = entries.iter().map(|entry| entry.text.len()).sum();
    if size <= SMALL { Effort::Full } else { Effort::Quick }
}

fn pack(kind: Kind, entries: &[IndexEntry], effort: Effort) -> io::Result<Arc<Block>> {
    Block::new(kind, entries, effort).map(Arc::new)
}

/// Cut into groups of even size, each at most about `most` bytes.
fn groups(entries: Vec<IndexEntry>, most: usize) -> Vec<Vec<IndexEntry>> {
    let total: usize = entries.iter().map(|entry| entry.text.len()).sum();
    let each = total / total.div_ceil(most).max(1);
    let (mut groups, mut size) = (vec![Vec::new()], 0);
    for entry in entries {
        if size > each {
            groups.push(Vec::new());
            size = 0;
        }
        size += entry.text.len();
        if let Some(last) = groups.last_mut() {
            last.push(entry);
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}
