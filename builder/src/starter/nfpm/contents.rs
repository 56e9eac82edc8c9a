//! nfpm's `contents` as `[[files]]`.

use super::Reader;
use crate::starter::draft::{Draft, FileRule, FileSource};
use crate::starter::project_folder::ProjectFolder;
use crate::starter::words;
use crate::starter::yaml::{Node, Problem, Value};

const KEY: &str = "contents";
/// More `{a,b}` of one pattern than anybody writes.
const MAX_BRACES: usize = 64;
const MAX_RULES: usize = 5_000;

pub(super) fn carry(
    draft: &mut Draft,
    reader: &Reader,
    contents: &Node,
    folder: &ProjectFolder,
) -> Result<(), Problem> {
    let Value::List(nodes) = &contents.value else {
        return Err((contents.line, "contents must be a list; correct it".to_owned()));
    };
    for node in nodes {
        if draft.files.len() > MAX_RULES {
            return Err((node.line, format!("more than {MAX_RULES} files are listed; pack folders instead")));
        }
        one(draft, reader, node, folder)?;
    }
    Ok(())
}

fn one(draft: &mut Draft, reader: &Reader, node: &Node, folder: &ProjectFolder) -> Result<(), Problem> {
    let text = |key: &str| node.get(key).map(|value| value.text(key).map(str::to_owned)).transpose();
    let packager = text("packager")?.unwrap_or_default();
    if !packager.is_empty() && packager != "deb" {
        return Ok(());
    }
    let expand = text("expand")?.is_some_and(|text| text == "true");
    let mut path = |key: &str| -> Result<Option<String>, Problem> {
        let Some(text) = text(key)? else { return Ok(Some(String::new())) };
        Ok(if expand { reader.expanded(draft, KEY, &text) } else { Some(text) })
    };
    let (Some(source), Some(destination)) = (path("src")?, path("dst")?) else { return Ok(()) };
    let kind = text("type")?.unwrap_or_default();
    if destination.is_empty() {
        return Err((node.line, "an entry of contents has no dst; add one".to_owned()));
    }
    let Some(destination) = absolute(&destination) else {
        draft.drop_key(KEY, format!("dst {:?} is no path on a device", words::cut(&destination)));
        return Ok(());
    };
    let mut rule = FileRule { destination, ..FileRule::default() };
    set_file_info(draft, &mut rule, node.get("file_info"))?;
    for (key, _) in node.entries() {
        if !["src", "dst", "type", "packager", "expand", "file_info"].contains(&&**key) {
            draft.drop_key(&format!("contents.{}", words::cut(key)), "it is for other formats than .deb");
        }
    }
    match &*kind {
        "ghost" => {
            draft.drop_key(KEY, format!("{} is a ghost: a .deb has none, and nfpm packs none", rule.destination));
        }
        "dir" => {
            rule.from = FileSource::Directory;
            rule.destination = rule.destination.trim_end_matches('/').to_owned();
            draft.files.push(rule);
        }
        "symlink" => {
            rule.from = FileSource::Symlink(source);
            (rule.mode, rule.conffile) = (None, None);
            draft.files.push(rule);
        }
        ""
        | "tree"
        | "doc"
        | "license"
        | "licence"
        | "readme"
        | "config"
        | "config|noreplace"
        | "config|missingok"
        | "config|tree"
        | "config|noreplace|tree"
        | "config|missingok|tree" => {
            let is_config = kind.starts_with("config");
            // Here files below /etc are conffiles unless it is said otherwise; in nfpm it is the other way round.
            rule.conffile = (is_config != rule.destination.starts_with("/etc/")).then_some(is_config);
            if kind.contains("missingok") {
                draft.change(
                    KEY,
                    format!("{}: missingok is rpm's; dpkg keeps a conffile that was deleted away", rule.destination),
                );
            }
            from_disk(draft, &rule, &source, kind.ends_with("tree"), folder);
        }
        other => draft.drop_key(KEY, format!("{}: the type {:?} is not known", rule.destination, words::cut(other))),
    }
    Ok(())
}

/// Files of the project: one, a folder with all that is in it, or a pattern.
fn from_disk(draft: &mut Draft, rule: &FileRule, source: &str, is_tree: bool, folder: &ProjectFolder) {
    let Some(alternatives) = without_braces(source) else {
        draft.drop_key(KEY, format!("src {:?}: write out its `{{…}}`", words::cut(source)));
        return;
    };
    for source in alternatives {
        let Some(inside) = ProjectFolder::inside(&source) else {
            let why = format!(
                "src {:?} leaves the folder of the manifest; copy it here, and add it to [[files]]",
                words::cut(&source)
            );
            draft.drop_key(KEY, why);
            continue;
        };
        let mut rule = FileRule { from: FileSource::Path(inside.clone()), ..rule.clone() };
        if !is_tree && inside.contains(['*', '?', '[']) {
            if !rule.destination.ends_with('/') {
                rule.destination.push('/');
            }
            if inside.contains("**") || inside.trim_end_matches(|c| c != '/').contains(['*', '?', '[']) {
                let why = format!(
                    "src {:?}: folders above its first `*` are left out of the destination; nfpm leaves out what all \
                     its files have in common",
                    words::cut(&inside)
                );
                draft.change(KEY, why);
            }
        } else {
            if folder.is_dir(&inside) {
                rule.destination = rule.destination.trim_end_matches('/').to_owned();
            }
            if !folder.exists(&inside) {
                let why = format!(
                    "there is no {inside} below this folder now; nfpm's paths begin where it is started, the \
                     manifest's where it lies"
                );
                draft.change(KEY, why);
            }
        }
        draft.files.push(rule);
    }
}

/// `a/{b,c}` as `a/b` and `a/c`; none if that makes too many.
fn without_braces(pattern: &str) -> Option<Vec<String>> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        let inner = pattern.split_once('{').and_then(|(before, rest)| {
            let (inside, after) = rest.split_once('}')?;
            (!inside.contains('{')).then(|| (before.to_owned(), inside.to_owned(), after.to_owned()))
        });
        match inner {
            Some((before, inside, after)) => {
                open.extend(inside.split(',').rev().map(|choice| format!("{before}{choice}{after}")));
            }
            None if pattern.contains(['{', '}']) => return None,
            None => done.push(pattern),
        }
        if open.len() + done.len() > MAX_BRACES {
            return None;
        }
    }
    Some(done)
}

/// A destination below the root, its last `/` kept.
fn absolute(destination: &str) -> Option<String> {
    let end = if destination.ends_with('/') { "/" } else { "" };
    ProjectFolder::inside(destination.trim_start_matches('/')).map(|path| format!("/{path}{end}"))
}

fn set_file_info(draft: &mut Draft, rule: &mut FileRule, info: Option<&Node>) -> Result<(), Problem> {
    let Some(info) = info else { return Ok(()) };
    let (mut user, mut group) = (None, None);
    for (key, node) in info.entries() {
        if node.is_null() {
            continue;
        }
        let text = node.text(key)?;
        match &**key {
            "owner" => user = Some(text.to_owned()),
            "group" => group = Some(text.to_owned()),
            "mode" => match mode(text) {
                Some(mode) => rule.mode = Some(mode),
                None => draft.drop_key(
                    "contents.file_info.mode",
                    format!("{}: {:?} is no mode", rule.destination, words::cut(text)),
                ),
            },
            "mtime" => {
                draft.drop_key("contents.file_info.mtime", format!("{}: all files carry one time", rule.destination));
            }
            _ => {
                draft.drop_key(&format!("contents.file_info.{}", words::cut(key)), "it is for other formats than .deb");
            }
        }
    }
    if user.is_some() || group.is_some() {
        let owner = format!("{}:{}", user.as_deref().unwrap_or("root"), group.as_deref().unwrap_or("root"));
        let is_name = |name: &str| {
            (1..=31).contains(&name.len())
                && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
        };
        match owner.split_once(':').is_some_and(|(user, group)| is_name(user) && is_name(group)) {
            true => rule.owner = Some(owner).filter(|owner| owner != "root:root"),
            false => draft.drop_key(
                "contents.file_info.owner",
                format!("{}: {:?} names no user and group", rule.destination, words::cut(&owner)),
            ),
        }
    }
    Ok(())
}

/// As YAML in Go reads a number: 0644 and 0o644 are octal, others decimal.
fn mode(text: &str) -> Option<u32> {
    let octal = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'));
    let mode = match octal {
        Some("") => Some(0),
        Some(octal) => u32::from_str_radix(octal, 8).ok(),
        None => text.parse().ok(),
    };
    mode.filter(|mode| *mode <= 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_written_out_and_bombs_are_not() {
        assert_eq!(without_braces("a/{b,c}.so").unwrap(), ["a/b.so", "a/c.so"]);
        assert_eq!(without_braces("a").unwrap(), ["a"]);
        assert_eq!(without_braces(&"{a,b}".repeat(40)), None);
        assert_eq!(without_braces("{a"), None);
    }

    #[test]
    fn modes_are_read_as_go_reads_yaml() {
        assert_eq!(mode("0644"), Some(0o644));
        assert_eq!(mode("0o4755"), Some(0o4755));
        assert_eq!(mode("420"), Some(0o644));
        assert_eq!(mode("rw"), None);
        assert_eq!(mode("99999"), None);
    }
}
