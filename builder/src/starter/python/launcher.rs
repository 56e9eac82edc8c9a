//! The programs that start an entry point.

use crate::starter::draft::{Draft, FileRule};
use crate::starter::{StarterFile, words};

/// Where the launchers lie in the project.
const LAUNCHERS: &str = "packaging/bin";

/// A launcher for an entry point `module:function`; false if it is not one.
pub(super) fn add(draft: &mut Draft, name: &str, entry: &str) -> bool {
    let is_dotted = |text: &str| {
        text.split('.').all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    };
    let target = entry.split_whitespace().next().unwrap_or_default().split_once(':');
    // What stands here is written into a program.
    let Some((module, function)) = target.filter(|(module, function)| is_dotted(module) && is_dotted(function)) else {
        draft.drop_key("scripts", format!("{:?} = {:?} is no `module:function`", words::cut(name), words::cut(entry)));
        return false;
    };
    if !words::is_file_name(name) {
        draft.drop_key("scripts", format!("{:?} is no name of a command", words::cut(name)));
        return false;
    }
    let object = function.split('.').next().unwrap_or_default();
    // -B: no byte code is written below /usr, where nobody would remove it.
    let content = format!(
        "#!/usr/bin/python3 -B\nimport sys\n\nsys.path.insert(0, \"/usr/lib/{}\")\n\n\
         from {module} import {object}\n\nsys.exit({function}())\n",
        draft.name
    );
    let path = format!("{LAUNCHERS}/{name}");
    draft.files.push(FileRule { mode: Some(0o755), ..FileRule::path(&path, format!("/usr/bin/{name}")) });
    draft.extra_files.push(StarterFile { path, content, executable: true });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_point_cannot_bring_code_of_its_own() {
        for bad in ["a:b()", "a\nimport os:b", "a:b;c", "a", ":b", "a:", "a.:b", "1a:b"] {
            assert!(!add(&mut Draft::default(), "hi", bad), "{bad}");
        }
        assert!(!add(&mut Draft::default(), "../hi", "a:b"));
        assert!(add(&mut Draft::default(), "hi", "a.b:C.d [extra]"));
    }
}
