//! At which steps of a run a fault is put.

use super::Fault;
use super::trace::{At, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Where the power goes, and where it goes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) first: At,
    pub(super) again: Again,
}

/// What happens during the recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Again {
    /// Nothing.
    No,
    /// It is cut off at this step.
    At(At),
    /// It is cut off at so many steps, one in each run.
    Evenly(usize),
}

impl Place {
    /// As a person wrote it.
    pub(super) fn of(at: &[At]) -> Self {
        let first = at.first().cloned().expect("a place has at least one step");
        Self { first, again: at.get(1).map_or(Again::No, |at| Again::At(at.clone())) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.again {
            Again::At(second) => write!(f, "{}+{second}", self.first),
            _ => write!(f, "{}", self.first),
        }
    }
}

/// The steps of an undisturbed run, and how many of them are chosen.
pub(super) struct Points<'a> {
    steps: &'a [Step],
    /// Each so many-th write of the journal.
    journal_every: usize,
    /// So many of each program's, for cuts.
    cuts: usize,
    /// So many of each program's, for other faults.
    others: usize,
    /// At most so many cuts, and so many of each other fault.
    at_most: (usize, usize),
    /// So many cuts are followed by so many in their recoveries.
    twice: (usize, usize),
}

impl<'a> Points<'a> {
    pub(super) fn full(steps: &'a [Step]) -> Self {
        Self { steps, journal_every: 1, cuts: 60, others: 8, at_most: (usize::MAX, usize::MAX), twice: (6, 8) }
    }

    pub(super) fn sample(steps: &'a [Step]) -> Self {
        Self { steps, journal_every: 5, cuts: 2, others: 2, at_most: (16, 6), twice: (1, 2) }
    }

    /// The steps for one fault, in the order of the run.
    pub(super) fn places(&self, fault: Fault) -> Vec<Place> {
        let mut by_program: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
        for step in self.steps {
            by_program.entry(&step.at.who).or_default().push(step);
        }
        let per_program = if fault == Fault::Cut { self.cuts } else { self.others };
        let mut chosen: BTreeSet<&At> = BTreeSet::new();
        for (who, steps) in by_program {
            let many = if who == "journal" { steps.len().div_ceil(self.journal_every) } else { per_program };
            chosen.extend(evenly(&steps, many).into_iter().map(|step| &step.at));
        }
        let in_order = self.steps.iter().map(|step| &step.at).filter(|at| chosen.contains(at));
        let in_order: Vec<&At> = in_order.collect();
        let at_most = if fault == Fault::Cut { self.at_most.0 } else { self.at_most.1 };
        let in_order = evenly(&in_order, at_most).into_iter().copied();
        let mut places: Vec<Place> = in_order.map(|at| Place { first: at.clone(), again: Again::No }).collect();
        if fault == Fault::Cut {
            let (many, again) = self.twice;
            // Where dpkg has changed something, so that there is something to put back.
            let by_dpkg: Vec<usize> =
                (0..places.len()).filter(|at| places.get(*at).is_some_and(|place| place.first.who == "dpkg")).collect();
            for index in evenly(&by_dpkg, many) {
                if let Some(place) = places.get_mut(*index) {
                    place.again = Again::Evenly(again);
                }
            }
        }
        places
    }
}

/// At most so many of them, the last among them, at equal distances.
pub(super) fn evenly<T>(all: &[T], many: usize) -> Vec<&T> {
    let many = many.min(all.len());
    (1..=many).filter_map(|number| all.get(number * all.len() / many - 1)).collect()
}
