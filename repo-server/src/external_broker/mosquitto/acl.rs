//! The list of rights that Mosquitto reads: who may publish and read where. Pure.

use super::SERVER;
use crate::mqtt::BY_TOPIC;
use fleet_protocol::policy::{Gap, Grants, TopicSet};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The longest common name that is written down. It is a client id, too.
const LONGEST_NAME: usize = 128;

/// The file's text, and what its reader should know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct AccessList {
    pub(super) text: String,
    /// What policies say and the list cannot.
    pub(super) gaps: BTreeSet<Gap>,
    /// Who has no rights though a certificate counts, and why.
    pub(super) left_out: BTreeSet<String>,
}

/// The list for these certificates, each by its common name. Several of one name may do what each of them may: the broker
/// cannot tell them apart.
pub(super) fn access_list(all: impl IntoIterator<Item = (String, Grants)>) -> AccessList {
    let mut list = AccessList::default();
    let mut by_name: BTreeMap<String, Grants> = BTreeMap::new();
    for (name, grants) in all {
        list.gaps.extend(grants.gaps.iter().cloned());
        match by_name.get_mut(&name) {
            None => drop(by_name.insert(name, grants)),
            Some(known) => {
                known.write.retain(|set| grants.write.contains(set));
                known.read.retain(|set| grants.read.contains(set));
                known.deny.extend(grants.deny);
                list.left_out.insert(format!(
                    "several certificates have the common name {name:?}; whoever shows one may do what all of them may"
                ));
            }
        }
    }
    let mut rules = String::new();
    for (name, grants) in &by_name {
        match unusable(name) {
            Some(why) => drop(list.left_out.insert(format!("the common name {name:?} {why}; it has no rights"))),
            None => write_client(&mut rules, name, grants),
        }
    }
    let mut text =
        "# Written by debfleet-server from the policies of its devices; what is changed here is lost.\n".to_owned();
    for gap in &list.gaps {
        let _ = writeln!(text, "# Not in here: {}", one_line(&gap.to_string()));
    }
    for line in &list.left_out {
        let _ = writeln!(text, "# {}", one_line(line));
    }
    let _ = writeln!(text, "\nuser {SERVER}\ntopic write $aws/#\ntopic read $SYS/broker/log/+");
    for filter in BY_TOPIC {
        let _ = writeln!(text, "topic read {filter}");
    }
    list.text = text + &rules;
    list
}

fn write_client(text: &mut String, name: &str, grants: &Grants) {
    let rules = [("deny", &grants.deny), ("write", &grants.write), ("read", &grants.read)];
    let mut lines = Vec::new();
    for (access, sets) in rules {
        lines.extend(sets.iter().map(|set| (access, set.to_string())));
    }
    // A denial that cannot be written takes along all that it limits.
    if lines.iter().any(|(access, filter)| *access == "deny" && !is_writable(filter)) {
        return;
    }
    lines.retain(|(_, filter)| is_writable(filter));
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nuser {name}");
    for (access, filter) in lines {
        let _ = writeln!(text, "topic {access} {filter}");
    }
}

/// Mosquitto takes blanks away at both ends.
fn is_writable(filter: &str) -> bool {
    filter == filter.trim() && !filter.is_empty() && !filter.chars().any(char::is_control)
}

/// Why a common name cannot stand in the list.
fn unusable(name: &str) -> Option<&'static str> {
    if name == SERVER {
        Some("is the server's own")
    } else if name.len() > LONGEST_NAME || name.chars().any(|c| c.is_control() || "+#/".contains(c)) {
        Some("is longer than 128 bytes or has a control character, `+`, `#` or `/` in it")
    } else if !is_writable(name) {
        Some("is empty, or begins or ends with a blank")
    } else {
        None
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The topics on which the service is asked something.
pub(super) fn requests() -> Vec<TopicSet> {
    BY_TOPIC.iter().filter_map(|filter| TopicSet::of_filter(filter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(filters: &[&str]) -> BTreeSet<TopicSet> {
        filters.iter().map(|filter| TopicSet::of_filter(filter).unwrap()).collect()
    }

    fn grants(write: &[&str], read: &[&str], deny: &[&str]) -> Grants {
        Grants { write: sets(write), read: sets(read), deny: sets(deny), gaps: BTreeSet::new() }
    }

    fn sections(list: &AccessList) -> Vec<&str> {
        list.text.split("\n\n").skip(2).map(str::trim_end).collect()
    }

    #[test]
    fn each_client_has_a_section_of_its_own() {
        let list = access_list([
            ("5b3c".to_owned(), grants(&["sensor/device/lamp-1"], &["command/#"], &["command/secret"])),
            ("4711".to_owned(), grants(&[], &[], &[])),
        ]);
        let section = "user 5b3c\ntopic deny command/secret\ntopic write sensor/device/lamp-1\ntopic read command/#";
        assert_eq!(sections(&list), [section], "without a right there is no section");
        assert!(list.text.contains("user debfleet-server\ntopic write $aws/#\n"), "{}", list.text);
        assert!(list.left_out.is_empty());
    }

    #[test]
    fn certificates_of_one_name_may_do_what_both_may() {
        let one = grants(&["a", "b"], &["c"], &[]);
        let two = grants(&["b"], &["c", "d"], &["c"]);
        let list = access_list([("lamp".to_owned(), one), ("lamp".to_owned(), two)]);
        assert_eq!(sections(&list), ["user lamp\ntopic deny c\ntopic write b\ntopic read c"]);
        assert_eq!(list.left_out.len(), 1);
    }

    #[test]
    fn no_name_and_no_topic_becomes_another_line_or_means_more_than_itself() {
        let all = grants(&["a"], &[], &[]);
        for name in ["", "+", "#", "a/b", "a\nuser b", " a", "a ", "debfleet-server", &"a".repeat(129)] {
            let list = access_list([(name.to_owned(), all.clone())]);
            assert!(sections(&list).is_empty() && list.left_out.len() == 1, "{name:?}: {}", list.text);
        }
        let odd = access_list([("CN with blanks %u".to_owned(), grants(&["a ", " b", "c d", "e\nuser x"], &[], &[]))]);
        assert_eq!(sections(&odd), ["user CN with blanks %u\ntopic write c d"]);
        let denied = access_list([("a".to_owned(), grants(&["#"], &[], &["secret "]))]);
        assert!(sections(&denied).is_empty(), "a denial that cannot be written");
        let gap = Gap { policy: "p".parse().unwrap(), version: 1, statement: 1, reason: "x\nuser y".to_owned() };
        let list = access_list([("a".to_owned(), Grants { gaps: [gap].into(), ..all })]);
        assert!(!list.text.contains("\nuser y"), "{}", list.text);
    }
}
