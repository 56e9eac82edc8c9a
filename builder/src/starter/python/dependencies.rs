//! What the project needs: the interpreter, and other projects.

use crate::starter::draft::Draft;
use crate::starter::words;

/// `>=3.9,<4`: the lowest version is carried.
pub(super) fn python_relation(draft: &mut Draft, wanted: Option<&str>) -> String {
    let Some(wanted) = wanted else { return "python3".to_owned() };
    let lowest = wanted.split(',').map(str::trim).find_map(|part| part.strip_prefix(">=").or(part.strip_prefix("~=")));
    let lowest = lowest.map(|text| text.trim().trim_end_matches(".*"));
    match lowest.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')) {
        Some(lowest) => {
            if wanted.contains(['<', '!', '~']) {
                draft.change(
                    "requires-python",
                    format!(
                        "{:?} becomes python3 (>= {lowest}); Debian has one version of it at a time",
                        words::cut(wanted)
                    ),
                );
            }
            format!("python3 (>= {lowest})")
        }
        None => {
            draft.drop_key("requires-python", format!("{:?} names no lowest version", words::cut(wanted)));
            "python3".to_owned()
        }
    }
}

/// Debian's names of them are guesses, so that they are only comments.
pub(super) fn name_dependencies(draft: &mut Draft, dependencies: &[String]) {
    let name = |text: &String| -> Option<String> {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(text.len());
        words::package_name(&text[..end]).map(String::from)
    };
    let guesses: Vec<String> =
        dependencies.iter().take(100).filter_map(name).map(|name| format!("python3-{name}")).collect();
    if guesses.is_empty() {
        return;
    }
    draft.below_relations.push(format!("Add to depends what Debian calls these: {}", guesses.join(", ")));
    let list: Vec<String> = dependencies.iter().take(20).map(|name| words::cut(name)).collect();
    draft.drop_key(
        "dependencies",
        format!(
            "{}: add Debian's packages of them to depends (perhaps {})",
            list.join("; "),
            guesses.iter().take(20).cloned().collect::<Vec<_>>().join(", ")
        ),
    );
}
