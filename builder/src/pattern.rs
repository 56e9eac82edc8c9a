//! Patterns of paths, such as `assets/**/*.png`.

use globset::{GlobBuilder, GlobMatcher};

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is not a pattern: {cause}")]
pub struct PatternError {
    pattern: String,
    cause: String,
}

/// A pattern of paths relative to some folder. `*` and `?` stand for no `/`, `**` for any number of folders.
#[derive(Debug, Clone)]
pub struct Pattern {
    matcher: GlobMatcher,
    names_hidden: bool,
}

const MARKS: [char; 3] = ['*', '?', '['];

/// Whether a path says more than its own name.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    text.contains(MARKS)
}

/// The folder in front of the first part with a mark, and the rest.
#[must_use]
pub fn split(text: &str) -> (String, String) {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let fixed = parts.iter().take_while(|part| !is_pattern(part)).count();
    (parts[..fixed].join("/"), parts[fixed..].join("/"))
}

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(false)
            .build()
            .map_err(|error| PatternError { pattern: text.to_owned(), cause: error.kind().to_string() })?;
        Ok(Self { matcher: glob.compile_matcher(), names_hidden: is_hidden(text) })
    }

    /// One that leaves things out: without a `/` it stands for a name in any folder, as in .gitignore.
    pub fn exclusion(text: &str) -> Result<Self, PatternError> {
        let text = text.trim_end_matches('/');
        let anywhere = if text.contains('/') { text.to_owned() } else { format!("**/{text}") };
        Ok(Self { names_hidden: true, ..Self::new(anywhere.trim_start_matches('/'))? })
    }

    /// Whether the path, or a folder above it, is meant. As in a shell, what begins with a dot is meant only if the
    /// pattern says the dot.
    #[must_use]
    pub fn takes(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        (self.names_hidden || !is_hidden(path)) && ends.into_iter().any(|end| self.matcher.is_match(&path[..end]))
    }
}

fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_split_where_they_begin() {
        let split = |text| {
            let (fixed, rest) = split(text);
            format!("{fixed} {rest}")
        };
        assert_eq!(split("a/b/*.png"), "a/b *.png");
        assert_eq!(split("./**/x"), " **/x");
        assert_eq!(split("a/b*/c"), "a b*/c");
    }

    #[test]
    fn a_pattern_takes_what_a_shell_would() {
        let takes = |pattern: &str, path: &str| Pattern::new(pattern).unwrap().takes(path);
        assert!(takes("*.png", "a.png") && !takes("*.png", "b/a.png"));
        assert!(takes("**/*.png", "a.png") && takes("**/*.png", "b/c/a.png"));
        assert!(takes("*", "folder/below/it"));
        assert!(!takes("**/*", ".git/config") && takes(".git/*", ".git/config"));
        assert!(takes("[a-c]?", "b1") && !takes("[a-c]?", "d1"));
        assert!(Pattern::new("[a").is_err());
    }

    #[test]
    fn an_exclusion_without_slash_holds_in_every_folder() {
        let takes = |pattern: &str, path: &str| Pattern::exclusion(pattern).unwrap().takes(path);
        assert!(takes("*.pyc", "a/b/c.pyc") && takes("__pycache__", "a/__pycache__/x"));
        assert!(takes("/a/*.c", "a/x.c") && !takes("/a/*.c", "b/a/x.c"));
        assert!(takes(".git", ".git/config"));
    }
}
