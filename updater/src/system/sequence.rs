//! From apt's steps to calls of dpkg: a pure decision.

use super::apt::{Step, Target};

/// One call of dpkg. Numbers are those of the unpacked packages, in the order in which apt unpacks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DpkgCall {
    /// Unpack and configure at once.
    Install(Vec<usize>),
    Unpack(Vec<usize>),
    Configure(Vec<Target>),
    Remove(Vec<Target>),
}

/// Follows apt's order, because Pre-Depends and Conflicts depend on it. Where it unpacks everything and then configures
/// everything, one call does both.
pub(crate) fn sequence(steps: &[Step]) -> Vec<DpkgCall> {
    let mut calls = Vec::new();
    let mut unpacked = 0;
    for step in steps {
        match (step, calls.last_mut()) {
            (Step::Unpack(_), last) => {
                match last {
                    Some(DpkgCall::Unpack(numbers)) => numbers.push(unpacked),
                    _ => calls.push(DpkgCall::Unpack(vec![unpacked])),
                }
                unpacked += 1;
            }
            (Step::Configure(target), Some(DpkgCall::Configure(targets)))
            | (Step::Remove(target), Some(DpkgCall::Remove(targets))) => targets.push(target.clone()),
            (Step::Configure(target), _) => calls.push(DpkgCall::Configure(vec![target.clone()])),
            (Step::Remove(target), _) => calls.push(DpkgCall::Remove(vec![target.clone()])),
        }
    }
    match calls.as_slice() {
        [DpkgCall::Unpack(numbers), DpkgCall::Configure(targets)] if targets.len() == numbers.len() => {
            vec![DpkgCall::Install(numbers.clone())]
        }
        _ => calls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Unpack;

    fn target(name: &str) -> Target {
        Target { name: name.parse().unwrap(), architecture: None }
    }

    /// `+a` unpacks, `=a` configures, `-a` removes.
    fn calls(steps: &str) -> Vec<DpkgCall> {
        let step = |word: &str| {
            let (kind, name) = word.split_at(1);
            let target = target(&format!("p-{name}"));
            match kind {
                "+" => Step::Unpack(Unpack {
                    target,
                    version: "1".parse().unwrap(),
                    source: String::new(),
                    architecture: "all".parse().unwrap(),
                }),
                "=" => Step::Configure(target),
                _ => Step::Remove(target),
            }
        };
        sequence(&steps.split(' ').map(step).collect::<Vec<_>>())
    }

    #[test]
    fn what_needs_no_order_is_one_call() {
        assert_eq!(calls("+a =a"), [DpkgCall::Install(vec![0])]);
        assert_eq!(calls("+a +b =b =a"), [DpkgCall::Install(vec![0, 1])]);
    }

    #[test]
    fn what_must_be_configured_or_removed_before_is() {
        let configure =
            |names: &[&str]| DpkgCall::Configure(names.iter().map(|name| target(&format!("p-{name}"))).collect());
        assert_eq!(
            calls("+a =a +b +c =b =c"),
            [DpkgCall::Unpack(vec![0]), configure(&["a"]), DpkgCall::Unpack(vec![1, 2]), configure(&["b", "c"])]
        );
        assert_eq!(
            calls("-x -y +a =a"),
            [DpkgCall::Remove(vec![target("p-x"), target("p-y")]), DpkgCall::Unpack(vec![0]), configure(&["a"])]
        );
    }
}
