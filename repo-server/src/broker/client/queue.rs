//! What waits to be sent over a connection, in its order.

use crate::broker::message::{Message, OVERHEAD};
use crate::broker::store::Copy;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Messages that are read from the disk at a time.
const PAGE: usize = 32;
/// Room that an empty queue keeps.
const ROOM: usize = 16;

/// A message for one client.
#[derive(Debug, Clone)]
pub(in crate::broker) struct Item {
    pub(in crate::broker) body: Body,
    pub(in crate::broker) at_least_once: bool,
    pub(in crate::broker) retain: bool,
    pub(in crate::broker) identifiers: Vec<NonZeroU32>,
    /// It waits for as long as the server keeps it anyway.
    pub(in crate::broker) costs_nothing: bool,
}

#[derive(Debug, Clone)]
pub(in crate::broker) enum Body {
    Here(Arc<Message>),
    /// Its number; it is read when its turn comes.
    OnDisk(i64),
}

impl Item {
    pub(super) fn on_disk(message: i64) -> Self {
        Self {
            body: Body::OnDisk(message),
            at_least_once: true,
            retain: false,
            identifiers: Vec::new(),
            costs_nothing: false,
        }
    }

    fn size(&self) -> usize {
        match &self.body {
            Body::Here(message) if !self.costs_nothing => message.size(),
            _ => OVERHEAD / 4,
        }
    }
}

/// What a connection sends next.
#[derive(Debug)]
pub(in crate::broker) enum Next {
    Nothing,
    Message(Arc<Message>, Item),
    /// Messages between these numbers are to be read first.
    OnDisk {
        first: i64,
        last: i64,
    },
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    backlog: usize,
}

impl Queue {
    /// The bytes that wait.
    pub(super) fn backlog(&self) -> usize {
        self.backlog
    }

    pub(super) fn push(&mut self, item: Item) {
        self.backlog += item.size();
        self.items.push_back(item);
    }

    pub(super) fn has_next(&self, is_full: bool) -> bool {
        self.items.front().is_some_and(|first| !(first.at_least_once && is_full))
    }

    /// `is_full`: nothing may be sent now that wants to be acknowledged, nor what comes behind it.
    pub(super) fn next(&mut self, is_full: bool) -> Next {
        let Some(first) = self.items.front().filter(|_| self.has_next(is_full)) else { return Next::Nothing };
        if let Body::OnDisk(first) = first.body {
            let numbers = self.items.iter().take(PAGE).map_while(|item| match item.body {
                Body::OnDisk(number) => Some(number),
                Body::Here(_) => None,
            });
            return Next::OnDisk { first, last: numbers.last().unwrap_or(first) };
        }
        let Some(item) = self.items.pop_front() else { return Next::Nothing };
        self.backlog -= item.size();
        if self.items.is_empty() && self.items.capacity() > ROOM {
            self.items = VecDeque::new();
        }
        match &item.body {
            Body::Here(message) => Next::Message(message.clone(), item),
            Body::OnDisk(_) => Next::Nothing,
        }
    }

    /// Puts what was read in the place of the numbers up to `last`, and gives those that were not found.
    pub(super) fn fill(&mut self, last: i64, found: Vec<(Arc<Message>, Copy)>) -> Vec<i64> {
        let (mut missing, mut filled) = (Vec::new(), Vec::new());
        let mut found = found.into_iter().peekable();
        while let Some(Body::OnDisk(number)) = self.items.front().map(|item| &item.body) {
            let number = *number;
            if number > last {
                break;
            }
            let Some(item) = self.items.pop_front() else { break };
            self.backlog -= item.size();
            // Both are in the order of the numbers.
            while found.next_if(|(message, _)| message.id < number).is_some() {}
            match found.next_if(|(message, _)| message.id == number) {
                Some((message, Copy { retain, identifiers, .. })) => {
                    filled.push(Item { body: Body::Here(message), retain, identifiers, ..item });
                }
                None => missing.push(number),
            }
        }
        for item in filled.into_iter().rev() {
            self.backlog += item.size();
            self.items.push_front(item);
        }
        missing
    }
}
