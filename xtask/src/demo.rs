//! `cargo xtask demo`: the main job as a story, on a device that is only a folder.
//!
//! Everything it shows is real: our binaries, dpkg, HTTP on loopback. dpkg installs into the folder with `--root` and
//! `--force-script-chrootless`, so neither a virtual machine nor a chroot is needed.

use crate::program::{build_binaries, output, workspace};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Tells the story, and cleans up after itself.
pub(crate) fn demo() -> Result<()> {
    println!("Building debfleet, debfleet-server and debfleet-updater (the first time takes a few minutes) …");
    let folder = tempfile::Builder::new().prefix("debfleet-demo-").tempdir().context("could not make a folder")?;
    let mut story = Story { folder: folder.path().to_owned(), binaries: build_binaries()?, server: None, steps: 0 };
    let told = story.tell();
    story.end_server();
    told?;
    println!("\nThat was the whole loop: build, publish, update, roll back, refuse. Its folder is gone again.");
    println!("Next: README.md, \"One update by hand\", does the same step by step.");
    Ok(())
}

struct Story {
    folder: PathBuf,
    binaries: PathBuf,
    server: Option<Child>,
    steps: u32,
}

impl Story {
    fn tell(&mut self) -> Result<()> {
        self.step("CI makes a package key. The server will never hold its secret half.")?;
        self.shows("debfleet key new package --out keys")?;

        self.step("The package: a program that says its version, and a manifest. It becomes a signed .deb.")?;
        copy_tree(&workspace().join("examples/hi"), &self.folder.join("hi"))?;
        self.shows("debfleet build hi --out out --key keys/package.key")?;
        self.shows("dpkg-deb --contents out/hi_0.1.0-1_all.deb")?;

        self.step("A server with everything embedded: an apt repository that it signs with a key of its own.")?;
        let printed = self.shows("debfleet-server init --data server --package-key keys/package.gpg")?;
        let token = printed.lines().find_map(|line| line.trim().strip_prefix("admin token: "));
        let token = token.context("the server printed no admin token")?.to_owned();
        let url = self.start_server("127.0.0.1:0")?;
        let publish = |package: &str| format!("debfleet publish out/{package} --server {url} --suite stable");
        self.shows_with(&publish("hi_0.1.0-1_all.deb"), Some(&token))?;

        self.step("The device: it pins the repository key and the package key, and installs what both have signed.")?;
        self.make_device(&url)?;
        self.shows(&updater("install"))?;
        self.says("0.1.0")?;

        self.step("A new version is released, and the device updates itself.")?;
        self.shows("debfleet bump 0.2.0 hi")?;
        self.shows("debfleet build hi --out out --key keys/package.key")?;
        self.shows_with(&publish("hi_0.2.0-1_all.deb"), Some(&token))?;
        self.shows(&updater("check"))?;
        self.shows(&updater("install"))?;
        self.says("0.2.0")?;

        self.step("0.3.0 is broken: it installs well, but its health check fails. Everything is put back.")?;
        self.write("hi/hi", "#!/bin/sh\necho 'hi: cannot open the greeting' >&2\nexit 1\n")?;
        self.shows("debfleet bump 0.3.0 hi")?;
        self.shows("debfleet build hi --out out --key keys/package.key")?;
        self.shows_with(&publish("hi_0.3.0-1_all.deb"), Some(&token))?;
        self.fails(&updater("install"), 3)?;
        self.says("0.2.0")?;
        self.shows(&updater("status"))?;
        self.shows("dpkg-query --admindir=device/var/lib/dpkg --show hi")?;

        self.step("A stranger signs a 0.4.0 with a key of their own. The server does not take it.")?;
        self.shows("debfleet key new package --out stranger")?;
        self.shows("debfleet bump 0.4.0 hi")?;
        self.shows("debfleet build hi --out out --key stranger/package.key")?;
        self.fails_with(&publish("hi_0.4.0-1_all.deb"), 1, Some(&token))?;

        self.step("The stranger even breaks into the server: it now takes their package and signs the index for it.")?;
        self.end_server();
        self.shows("cp stranger/package.gpg server/package-keys.gpg")?;
        self.start_server(url.trim_start_matches("http://"))?;
        self.shows_with(&publish("hi_0.4.0-1_all.deb"), Some(&token))?;
        self.shows(&updater("check"))?;
        self.fails(&updater("install"), 1)?;
        self.says("0.2.0")
    }

    fn step(&mut self, text: &str) -> Result<()> {
        self.steps += 1;
        let (bold, plain) = if std::io::stdout().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        println!("\n{bold}{}. {text}{plain}", self.steps);
        Ok(std::io::stdout().flush()?)
    }

    /// Shows a command as a user would type it, runs it, and shows what it printed; it must succeed.
    fn shows(&self, command: &str) -> Result<String> {
        self.run(command, 0, None)
    }

    fn shows_with(&self, command: &str, token: Option<&str>) -> Result<String> {
        self.run(command, 0, token)
    }

    fn fails(&self, command: &str, code: i32) -> Result<String> {
        self.run(command, code, None)
    }

    fn fails_with(&self, command: &str, code: i32, token: Option<&str>) -> Result<String> {
        self.run(command, code, token)
    }

    fn run(&self, text: &str, code: i32, token: Option<&str>) -> Result<String> {
        let shown = if token.is_some() { "DEBFLEET_TOKEN=… " } else { "" };
        println!("   $ {shown}{text}");
        let ended = output(self.command(text)?.envs(token.map(|token| ("DEBFLEET_TOKEN", token))))?;
        let printed = format!("{}{}", String::from_utf8_lossy(&ended.stderr), String::from_utf8_lossy(&ended.stdout));
        for line in printed.lines() {
            println!("     {line}");
        }
        match ended.status.code() {
            Some(found) if found == code => {}
            found => bail!("`{text}` should have ended with {code}, and ended with {found:?}"),
        }
        if code != 0 {
            println!("     (exit code {code})");
        }
        Ok(printed)
    }

    /// A command of words without quotes, in the story's folder; our own binaries are the built ones.
    fn command(&self, text: &str) -> Result<Command> {
        let mut words = text.split_whitespace();
        let name = words.next().context("an empty command")?;
        let ours = self.binaries.join(name);
        let mut command = if ours.exists() { Command::new(ours) } else { Command::new(name) };
        command.args(words).current_dir(&self.folder).stdin(Stdio::null());
        Ok(command)
    }

    fn start_server(&mut self, address: &str) -> Result<String> {
        let text = format!("debfleet-server --data server --http {address}");
        println!("   $ {text} &");
        let mut child = self.command(&text)?.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let lines = child.stdout.take().map(BufReader::new).context("the server has no output")?.lines();
        self.server = Some(child);
        for line in lines {
            let line = line?;
            println!("     {line}");
            if let Some(url) = line.trim().strip_prefix("listening on ") {
                return Ok(url.to_owned());
            }
        }
        bail!("the server ended before it listened")
    }

    fn end_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            // It may have ended by itself; then there is nothing to end.
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// An empty dpkg database in a folder, and the updater's configuration.
    fn make_device(&self, url: &str) -> Result<()> {
        for folder in ["info", "updates", "triggers"] {
            std::fs::create_dir_all(self.folder.join("device/var/lib/dpkg").join(folder))?;
        }
        std::fs::create_dir_all(self.folder.join("device/var/log"))?;
        self.write("device/var/lib/dpkg/status", "")?;
        let folder = self.folder.display();
        let config = format!(
            "repository = \"{url}/debian\"\nsuite = \"stable\"\npackages = [\"hi\"]\n\
             repository-keyring = \"{folder}/server/repository.gpg\"\n\
             package-keyring = \"{folder}/keys/package.gpg\"\n\
             # This device is a folder without a shell of its own.\nscripts = \"chrootless\"\n"
        );
        println!("     updater.toml:");
        config.lines().for_each(|line| println!("       {line}"));
        self.write("updater.toml", &config)
    }

    fn says(&self, version: &str) -> Result<()> {
        let printed = self.shows("device/opt/hi/hi")?;
        if printed.trim() == format!("Hello Deb! Version {version}") {
            Ok(())
        } else {
            bail!("hi should have said {version}, and said {printed:?}")
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the demo's folder is thrown away")]
    fn write(&self, path: &str, content: &str) -> Result<()> {
        std::fs::write(self.folder.join(path), content).with_context(|| format!("could not write {path}"))
    }
}

fn updater(command: &str) -> String {
    format!("debfleet-updater --config updater.toml --root device {command}")
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let copied = output(Command::new("cp").arg("-a").arg(from).arg(to))?;
    if copied.status.success() { Ok(()) } else { bail!("could not copy {}", from.display()) }
}
