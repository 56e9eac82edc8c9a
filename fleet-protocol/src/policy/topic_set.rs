//! Sets of topics that one MQTT filter can name, and what two of them have in common.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Named(String),
    Any,
}

/// What may follow the levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tail {
    Nothing,
    /// One level or more.
    Below,
    /// Nothing, or any levels: what MQTT's `#` means.
    AtOrBelow,
}

/// A set of topics, whether or not they begin with `$`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicSet {
    levels: Vec<Level>,
    tail: Tail,
}

impl TopicSet {
    /// Every topic.
    pub(super) fn everything() -> Self {
        Self { levels: Vec::new(), tail: Tail::Below }
    }

    /// What an MQTT filter names; none if it is no filter.
    #[must_use]
    pub fn of_filter(filter: &str) -> Option<Self> {
        let mut set = Self { levels: Vec::new(), tail: Tail::Nothing };
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            match level {
                "+" => set.levels.push(Level::Any),
                "#" if levels.peek().is_none() && set.levels.is_empty() => set.tail = Tail::Below,
                "#" if levels.peek().is_none() => set.tail = Tail::AtOrBelow,
                name if name.contains(['+', '#']) => return None,
                name => set.levels.push(Level::Named(name.to_owned())),
            }
        }
        (!filter.is_empty()).then_some(set)
    }

    /// The one topic of these levels, or all that follow below them.
    pub(super) fn of_levels(levels: Vec<Option<String>>, and_below: bool) -> Self {
        let levels = levels.into_iter().map(|level| level.map_or(Level::Any, Level::Named)).collect();
        Self { levels, tail: if and_below { Tail::Below } else { Tail::Nothing } }
    }

    /// What `a/#` names, where `a/+/#` is given.
    pub(super) fn and_its_parent(&self) -> Self {
        let tail = if self.tail == Tail::Below { Tail::AtOrBelow } else { self.tail };
        Self { levels: self.levels.clone(), tail }
    }

    /// Whether no topic can be in it: a name has no wildcards, is not empty, and has no control characters.
    pub(super) fn is_impossible(&self) -> bool {
        let is_bad = |level: &Level| match level {
            Level::Named(name) => name.chars().any(|c| c.is_control() || c == '+' || c == '#'),
            Level::Any => false,
        };
        let is_empty = self.tail == Tail::Nothing && matches!(&*self.levels, [Level::Named(only)] if only.is_empty());
        self.levels.iter().any(is_bad) || is_empty
    }

    /// The topics that are in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Option<Self> {
        let (long, short) = if self.levels.len() >= other.levels.len() { (self, other) } else { (other, self) };
        let tail = match (long.levels.len() == short.levels.len(), long.tail, short.tail) {
            (false, _, Tail::Nothing) => return None,
            (false, tail, Tail::Below | Tail::AtOrBelow) => tail,
            (true, one, two) => match (one, two) {
                (Tail::Nothing, Tail::Below) | (Tail::Below, Tail::Nothing) => return None,
                (Tail::Nothing, _) | (_, Tail::Nothing) => Tail::Nothing,
                (Tail::Below, _) | (_, Tail::Below) => Tail::Below,
                (Tail::AtOrBelow, Tail::AtOrBelow) => Tail::AtOrBelow,
            },
        };
        let mut levels = long.levels.clone();
        for (level, other) in levels.iter_mut().zip(&short.levels) {
            match (&level, other) {
                (Level::Any, other) => *level = other.clone(),
                (Level::Named(_), Level::Any) => {}
                (Level::Named(one), Level::Named(two)) if one == two => {}
                (Level::Named(_), Level::Named(_)) => return None,
            }
        }
        Some(Self { levels, tail })
    }

    /// Whether it is about topics that begin with `$`, which MQTT keeps apart.
    pub(super) fn is_reserved(&self) -> bool {
        matches!(self.levels.first(), Some(Level::Named(first)) if first.starts_with('$'))
    }

    /// Whether its first level may be anything. As a filter it then names no topics that begin with `$`.
    pub(super) fn begins_anyhow(&self) -> bool {
        !matches!(self.levels.first(), Some(Level::Named(_)))
    }
}

/// As an MQTT filter.
impl fmt::Display for TopicSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = self.levels.iter().map(|level| match level {
            Level::Named(name) => name.as_str(),
            Level::Any => "+",
        });
        let tail: &[&str] = match (self.tail, self.levels.is_empty()) {
            (Tail::Nothing, _) => &[],
            (Tail::Below, false) => &["+", "#"],
            (Tail::AtOrBelow, _) | (Tail::Below, true) => &["#"],
        };
        let all: Vec<&str> = levels.chain(tail.iter().copied()).collect();
        f.write_str(&all.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt_topic::matches;
    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

        #[test]
        fn what_two_filters_have_in_common_is_what_both_match(
            one in "([ab+]/){0,3}[ab+#]", two in "([ab+]/){0,3}[ab+#]", topic in "([ab]{0,1}/){0,4}[ab]{1}"
        ) {
            let both = TopicSet::of_filter(&one).unwrap().and(&TopicSet::of_filter(&two).unwrap());
            let expected = matches(&one, &topic) && matches(&two, &topic);
            let common = both.map(|both| both.to_string());
            prop_assert_eq!(common.is_some_and(|common| matches(&common, &topic)), expected);
        }
    }

    #[test]
    fn a_set_is_written_as_the_filter_that_names_it_and_no_more() {
        let below = TopicSet::of_levels(vec![Some("a".to_owned())], true);
        assert_eq!(below.to_string(), "a/+/#", "`a` itself is not below `a/`");
        assert_eq!(TopicSet::everything().to_string(), "#");
        for filter in ["a", "a/#", "+/b", "#", "/", "$aws/things/+/shadow/get"] {
            assert_eq!(TopicSet::of_filter(filter).unwrap().to_string(), filter);
        }
        for bad in ["", "a#", "#/a", "a+/b"] {
            assert_eq!(TopicSet::of_filter(bad), None, "{bad}");
        }
        assert!(TopicSet::of_levels(vec![Some("a+".to_owned())], false).is_impossible());
    }
}
