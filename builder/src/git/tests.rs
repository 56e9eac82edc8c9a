use super::*;
use std::process::Command;
use tempfile::TempDir;

/// A repository without anything of the machine's own configuration.
struct Scratch {
    folder: TempDir,
}

impl Scratch {
    fn new() -> Self {
        let scratch = Self { folder: tempfile::tempdir().unwrap() };
        scratch.git(&["init", "--quiet"]);
        scratch.git(&["config", "user.name", "A"]);
        scratch.git(&["config", "user.email", "a@example.org"]);
        scratch
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn git(&self, arguments: &[&str]) {
        let git = Command::new("git").arg("-C").arg(self.path()).args(arguments).output().unwrap();
        assert!(git.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&git.stderr));
    }

    #[allow(clippy::disallowed_methods, reason = "a test's own scratch file")]
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn save(&self, name: &str, subject: &str) {
        self.write(name, subject);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", subject]);
    }

    fn repository(&self) -> Repository {
        Repository::open(self.path()).unwrap()
    }
}

#[test]
fn a_folder_without_git_is_no_error_until_git_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Repository::find(folder.path()).unwrap().is_none());
    let error = Repository::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is in no git work tree; run `git init`"), "{error}");
    let scratch = Scratch::new();
    assert!(Repository::find(&scratch.path().join(".git")).unwrap().is_none());
}

#[test]
fn an_empty_repository_has_no_commit() {
    let scratch = Scratch::new();
    let repository = scratch.repository();
    assert!(matches!(repository.head(), Err(GitError::NoCommit { .. })));
    assert_eq!(repository.last_commit_of_folder().unwrap(), None);
    assert_eq!(repository.subjects(None, 9).unwrap(), Vec::<String>::new());
    assert_eq!(repository.tags_before_head().unwrap(), Vec::<String>::new());
    assert!(!repository.is_tag_at_head("v1.0.0").unwrap());
}

#[test]
fn a_builds_results_are_no_change_of_its_source() {
    let scratch = Scratch::new();
    scratch.save("src/a", "one");
    scratch.write("src/dist/x.deb", "");
    let source = Repository::open(&scratch.path().join("src")).unwrap();
    let change = |outputs: &str| source.first_change_besides(&scratch.path().join(outputs)).unwrap();
    assert!(!source.is_clean().unwrap());
    assert_eq!(change("src/dist"), None);
    // Elsewhere, absent, or all of the source: nothing is passed over.
    for outputs in ["", "elsewhere", "src", "src/di"] {
        assert_eq!(change(outputs).as_deref(), Some("src/dist/"), "{outputs:?}");
    }
    scratch.write("src/dist2", "");
    assert_eq!(change("src/dist").as_deref(), Some("src/dist2"));
    std::fs::remove_file(scratch.path().join("src/dist2")).unwrap();
    // What git knows is a change wherever it stands.
    scratch.git(&["add", "src/dist/x.deb"]);
    assert_eq!(change("src/dist").as_deref(), Some("src/dist/x.deb"));
}

#[test]
fn what_differs_from_the_commit_is_found() {
    let scratch = Scratch::new();
    scratch.save("a file", "one");
    scratch.save(".gitignore", "ignored");
    let repository = scratch.repository();
    assert!(repository.is_clean().unwrap());
    let (ignored, file) = (scratch.write("ignored", ""), scratch.path().join("a file"));
    assert!(repository.is_clean().unwrap());
    assert_eq!(repository.not_committed(&[&ignored, &file]).unwrap(), ["ignored"]);
    let unknown = scratch.write("ü*", "");
    assert_eq!(repository.first_change().unwrap().unwrap(), "ü*");
    assert_eq!(repository.not_committed(&[&unknown, &file]).unwrap(), ["ü*"]);
    scratch.git(&["mv", "a file", "moved"]);
    scratch.git(&["config", "status.showUntrackedFiles", "no"]);
    let moved = scratch.path().join("moved");
    assert_eq!(repository.not_committed(&[&moved]).unwrap(), ["moved"]);
    std::fs::remove_file(unknown).unwrap();
    assert_eq!(repository.first_change().unwrap().unwrap(), "moved");
}

#[test]
fn history_is_that_of_the_folder() {
    let scratch = Scratch::new();
    scratch.save("lamp/a", "Light the lamp");
    scratch.git(&["tag", "v1.0.0"]);
    scratch.save("door/a", "Open the door");
    scratch.save("lamp/a", "Dim the lamp");
    let lamp = Repository::open(&scratch.path().join("lamp")).unwrap();
    assert_eq!(lamp.subjects(None, 9).unwrap(), ["Dim the lamp", "Light the lamp"]);
    assert_eq!(lamp.subjects(None, 1).unwrap(), ["Dim the lamp"]);
    let tagged = lamp.tagged_commit("v1.0.0").unwrap().unwrap();
    assert_eq!(lamp.subjects(Some(&tagged), 9).unwrap(), ["Dim the lamp"]);
    let door = Repository::open(&scratch.path().join("door")).unwrap();
    assert_ne!(door.last_commit_of_folder().unwrap(), Some(door.head().unwrap()));
    assert_eq!(lamp.last_commit_of_folder().unwrap(), Some(lamp.head().unwrap()));
    let file = scratch.path().join("lamp/a");
    assert_eq!(lamp.last_change_of("Light", &file).unwrap(), lamp.last_commit_of_folder().unwrap());
    assert_eq!(lamp.last_change_of("Candle", &file).unwrap(), None);
}

#[test]
fn a_commit_takes_the_named_files_alone() {
    let scratch = Scratch::new();
    scratch.save("version", "1");
    scratch.write("mine", "staged by somebody");
    scratch.git(&["add", "mine"]);
    let (version, new) = (scratch.write("version", "2"), scratch.write("ne*w", "new"));
    scratch.write("neow", "not named");
    let repository = scratch.repository();
    repository.commit("Release 2", &[&version, &new]).unwrap();
    assert_eq!(repository.subjects(None, 1).unwrap(), ["Release 2"]);
    let left: Vec<String> = repository.not_committed(&[scratch.path()]).unwrap();
    assert_eq!(left, ["mine", "neow"]);
    repository.tag("v2.0.0", "Release 2").unwrap();
    assert!(repository.is_tag_at_head("v2.0.0").unwrap());
    scratch.save("mine", "later");
    assert!(!repository.is_tag_at_head("v2.0.0").unwrap());
    assert_eq!(repository.tags_before_head().unwrap(), ["v2.0.0"]);
    assert!(matches!(repository.tag("v2.0.0", "again"), Err(GitError::Failed { .. })));
}

#[test]
fn a_commit_that_a_hook_refuses_leaves_nothing_staged() {
    let scratch = Scratch::new();
    scratch.save("version", "1");
    let hook = scratch.write(".git/hooks/pre-commit", "#!/bin/sh\necho no release on Fridays >&2\nexit 1\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(hook, mode).unwrap();
    let (version, new) = (scratch.write("version", "2"), scratch.write("new", "new"));
    let error = scratch.repository().commit("Release 2", &[&version, &new]).unwrap_err().to_string();
    assert!(error.contains("`git commit` failed") && error.contains("no release on Fridays"), "{error}");
    let staged = Command::new("git").arg("-C").arg(scratch.path()).args(["diff", "--cached", "--name-only"]).output();
    assert_eq!(staged.unwrap().stdout, b"");
}

#[test]
fn a_shallow_clone_is_known_as_such() {
    let scratch = Scratch::new();
    scratch.save("a", "one");
    scratch.save("a", "two");
    scratch.repository().check_whole().unwrap();
    let clone = tempfile::tempdir().unwrap();
    let from = format!("file://{}", scratch.path().display());
    let cloned = Command::new("git").args(["clone", "--quiet", "--depth=1", &from]).arg(clone.path()).output().unwrap();
    assert!(cloned.status.success());
    let shallow = Repository::open(clone.path()).unwrap().check_whole();
    assert!(matches!(shallow, Err(GitError::Shallow { .. })));
}

#[test]
fn another_users_repository_is_not_trusted() {
    let scratch = Scratch::new();
    scratch.save("a", "one");
    // Without root's rights nobody can give a folder away; CI has them.
    let given = Command::new("chown").args(["--recursive", "12345"]).arg(scratch.path()).output().unwrap();
    if !given.status.success() {
        return;
    }
    let trusted = Command::new("git").args(["config", "--get-all", "safe.directory"]).output().unwrap();
    if trusted.stdout.is_empty() {
        let error = Repository::find(scratch.path()).unwrap_err().to_string();
        assert!(error.contains("git does not trust the repository") && error.contains("safe.directory"), "{error}");
    }
}
