//! Keys and signatures that the real gpg made, and what the real gpgv says of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use debian_formats::openpgp::{
    ArchiveKeyring, KeyFile, KeyForm, Keyring, OpenPgpError, SecretKey, SigningKey, SigningKeys,
};
use debian_formats::release::ReleaseError;
use debian_formats::upstream::UpstreamRelease;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A gpg of its own.
struct Gpg {
    home: TempDir,
}

impl Gpg {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        let mut file = std::fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut file, content).unwrap();
        path
    }

    fn try_run(&self, arguments: &[&str]) -> Output {
        let quiet = ["--quiet", "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""];
        let command = &mut Command::new("gpg");
        command.env("GNUPGHOME", self.home.path()).args(quiet).args(arguments).output().unwrap()
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.try_run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn key(&self, name: &str, algorithm: &str, usage: &str, expires: &str) {
        self.run(&["--quick-gen-key", &format!("{name} <{name}@example.org>"), algorithm, usage, expires]);
    }

    fn fingerprint(&self, name: &str) -> String {
        let listed = String::from_utf8(self.run(&["--with-colons", "--list-keys", name])).unwrap();
        listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap().trim_end_matches(':').to_owned()
    }

    fn revoke_subkey(&self, name: &str, subkey: &str) {
        let asked = format!("key {subkey}\nrevkey\ny\n0\n\ny\nsave\n");
        let asked = self.write("asked", asked.as_bytes());
        let arguments = ["--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "", "--command-file"];
        let command = &mut Command::new("gpg");
        let command = command.env("GNUPGHOME", self.home.path()).args(arguments).arg(asked).args(["--edit-key", name]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn keyring(&self, name: &str) -> Vec<u8> {
        self.run(&["--export", name])
    }

    fn sign(&self, name: &str, options: &[&str]) -> Vec<u8> {
        let data = self.write("data", b"data\n");
        let arguments = [&["--local-user", name], options, &["--output", "-", "--detach-sign", data.to_str().unwrap()]];
        self.run(&arguments.concat())
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]).output();
    }
}

/// gpgv's verdict on a text signed within itself, and the text that it says was signed.
fn gpgv(folder: &Path, keyring: &Path, message: &[u8]) -> Option<Vec<u8>> {
    let (file, out) = (folder.join("message"), folder.join("text"));
    std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), message).unwrap();
    let _ = std::fs::remove_file(&out);
    let command = &mut Command::new("gpgv");
    let output = command.arg("--homedir").arg(folder).arg("--keyring").arg(keyring).arg("--output").arg(&out).arg(file);
    output.output().unwrap().status.success().then(|| std::fs::read(&out).unwrap())
}

#[track_caller]
fn refused(keyring: &[u8], word: &str) {
    let error = Keyring::from_bytes(keyring).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(word), "{error}");
    assert!(!error.contains("backtrace") && error.len() < 300, "{error}");
}

#[test]
fn keys_that_cannot_be_used() {
    let gpg = Gpg::new();
    gpg.key("good", "ed25519", "sign", "never");
    gpg.key("expiring", "ed25519", "sign", "1y");
    gpg.key("certifying", "ed25519", "cert", "never");
    gpg.key("rsa", "rsa2048", "sign", "never");
    gpg.key("revoked", "ed25519", "sign", "never");
    let revocation = gpg.path(&format!("openpgp-revocs.d/{}.rev", gpg.fingerprint("revoked")));
    let revocation = std::fs::read_to_string(revocation).unwrap().replace(":-----BEGIN", "-----BEGIN");
    gpg.run(&["--import", gpg.write("revocation", revocation.as_bytes()).to_str().unwrap()]);

    let good = gpg.keyring("good");
    Keyring::from_bytes(&good).unwrap();
    for (name, word) in
        [("expiring", "expires"), ("certifying", "may not sign"), ("rsa", "only Ed25519"), ("revoked", "revoked")]
    {
        refused(&gpg.keyring(name), word);
        refused(&[good.as_slice(), &gpg.keyring(name)].concat(), word);
    }
    refused(b"", "no key");
    refused(b"hello", "key");
    refused(&good[..100], "damaged");
    refused(&[good.as_slice(), b"garbage"].concat(), "damaged");
    refused(&gpg.sign("good", &[]), "key");
}

#[test]
fn every_armoured_block_of_a_keyring_counts() {
    let gpg = Gpg::new();
    gpg.key("one", "ed25519", "sign", "never");
    gpg.key("two", "ed25519", "sign", "never");
    let armored = [gpg.run(&["--armor", "--export", "one"]), gpg.run(&["--armor", "--export", "two"])].concat();
    let ring = Keyring::from_bytes(&armored).unwrap();
    assert_eq!(ring.fingerprints().unwrap().len(), 2);
    for name in ["one", "two"] {
        assert!(ring.verify_detached(&gpg.sign(name, &[]), &b"data\n"[..]).is_ok(), "{name}");
    }
    let again = Keyring::from_bytes(ring.to_armor().unwrap().as_bytes()).unwrap();
    assert_eq!(again.fingerprints().unwrap(), ring.fingerprints().unwrap());
}

#[test]
fn signatures_that_do_not_count() {
    let gpg = Gpg::new();
    gpg.key("good", "ed25519", "sign", "never");
    gpg.key("other", "ed25519", "sign", "never");
    gpg.key("parent", "ed25519", "sign", "never");
    gpg.run(&["--quick-add-key", &gpg.fingerprint("parent"), "ed25519", "sign", "never"]);
    let ring = Keyring::from_bytes(&[gpg.keyring("good"), gpg.keyring("parent")].concat()).unwrap();
    let check = |signature: &[u8]| ring.verify_detached(signature, &b"data\n"[..]).map_err(|error| error.to_string());

    let good = gpg.sign("good", &[]);
    assert_eq!(check(&good).unwrap().to_string(), gpg.fingerprint("good"));
    check(&gpg.sign("good", &["--armor"])).unwrap();
    check(&gpg.sign(&format!("{}!", gpg.fingerprint("parent")), &[])).unwrap();
    for (signature, word) in [
        (gpg.sign("good", &["--textmode"]), "another purpose"),
        (gpg.sign("good", &["--digest-algo", "SHA1"]), "too weak"),
        (gpg.sign("good", &["--ask-sig-expire", "--default-sig-expire", "1d"]), "expires"),
        (gpg.sign("good", &["--sig-notation", "!condition@example.org=x"]), "critical"),
        (gpg.sign("parent", &[]), "subkey"),
        (gpg.sign("other", &[]), "not among the trusted keys"),
        ([good.clone(), good.clone()].concat(), "more than one"),
        ([good.clone(), gpg.sign("other", &[])].concat(), "more than one"),
        ([gpg.sign("other", &[]), good.clone()].concat(), "more than one"),
        ([good.as_slice(), b"garbage"].concat(), "damaged"),
        (good[..40].to_vec(), "damaged"),
        (b"".to_vec(), "empty"),
        (b"hello".to_vec(), "damaged"),
    ] {
        let error = check(&signature).unwrap_err();
        assert!(error.contains(word) && !error.contains("backtrace"), "{word}: {error}");
    }
}

const TEXT: &str = "Origin: x\nSuite: stable\n- dashed\n-----BEGIN\nFrom x  \nlast\n";

/// Whatever is accepted, gpgv accepts too, and reads the same text.
#[test]
fn a_signed_text_is_read_as_gpgv_reads_it() {
    let gpg = Gpg::new();
    let key = SigningKey::generate("test <t@example.org>", Timestamp::from_second(1_700_000_000).unwrap()).unwrap();
    let ring = key.public_keyring();
    let ring_file = gpg.write("ring.gpg", &ring.to_bytes().unwrap());
    gpg.run(&["--import", gpg.write("key", key.to_armor().unwrap().as_bytes()).to_str().unwrap()]);
    let text = gpg.write("text-to-sign", TEXT.as_bytes());
    let by_gpg = gpg.run(&["--output", "-", "--clear-sign", text.to_str().unwrap()]);
    let by_gpg = String::from_utf8(by_gpg).unwrap();
    let by_us = key.sign_cleartext(TEXT, Timestamp::from_second(1_700_000_001).unwrap()).unwrap();

    let same = |message: &str, what: &str| {
        let ours = ring.verify_cleartext(message).ok();
        let theirs = gpgv(gpg.home.path(), &ring_file, message.as_bytes());
        let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        if let Some(ours) = &ours {
            // gpgv wants the right Hash header, which RFC 9580, 7.1, says to ignore; the text must be the one that was
            // signed all the same.
            let theirs = theirs.map_or(TEXT.to_owned(), |text| String::from_utf8(text).unwrap());
            assert_eq!(lines(&ours.text), lines(&theirs), "{what}:\n{message}");
        }
        ours.is_some()
    };
    for message in [&by_gpg, &by_us] {
        assert!(same(message, "the honest message"));
        let head = "-----BEGIN PGP SIGNED MESSAGE-----\n";
        let second = message.replace("Suite: stable", "Suite: evil");
        let signature_at = message.find("-----BEGIN PGP SIGNATURE").unwrap();
        let tricks = [
            ("text before", format!("Suite: evil\n{message}")),
            ("text after", format!("{message}Suite: evil\n")),
            ("blank lines around", format!("\n\n{message}\n\n")),
            ("the message twice", format!("{message}{message}")),
            ("another message before", format!("{second}{message}")),
            ("another message after", format!("{message}{second}")),
            ("carriage returns", message.replace('\n', "\r\n")),
            ("one carriage return", message.replace("stable\n", "stable\r\n")),
            ("a lone carriage return", message.replace("stable", "sta\rble")),
            ("blanks at line ends", message.replace("stable\n", "stable \t\n")),
            ("other blanks at line ends", message.replace("stable\n", "stable\u{b}\n")),
            ("a no-break space", message.replace("stable\n", "stable\u{a0}\n")),
            ("NUL", message.replace("stable", "stable\0")),
            ("needless dash escape", message.replace("Suite", "- Suite")),
            ("no dash escape", message.replace("- - dashed", "- dashed")),
            ("a lone dash escape", message.replace("- - dashed", "- ")),
            ("a line less", message.replace("Suite: stable\n", "")),
            ("a blank line more", message.replace("Suite: stable\n", "Suite: stable\n\n")),
            ("a blank line at the end", format!("{}\n{}", &message[..signature_at], &message[signature_at..])),
            ("no Hash", message.replacen("Hash: SHA256\n", "", 1).replacen("Hash: SHA512\n", "", 1)),
            ("another Hash", message.replacen("Hash: SHA", "Hash: MD5,SHA", 1)),
            ("a wrong Hash", message.replacen("SHA256\n", "SHA1\n", 1).replacen("SHA512\n", "SHA1\n", 1)),
            ("a field as header", message.replacen(head, &format!("{head}Suite: evil\n"), 1)),
            ("a Comment as header", message.replacen(head, &format!("{head}Comment: evil\n"), 1)),
            ("NotDashEscaped", message.replacen(head, &format!("{head}NotDashEscaped: yes\n"), 1)),
            ("a Hash with blanks", message.replacen("Hash: ", "Hash:  ", 1)),
            ("blanks in the line between", message.replacen("\n\n", "\n \t\n", 1)),
            ("text in the line between", message.replacen("\n\n", "\nSuite: evil\n\n", 1)),
            ("blanks behind the first line", message.replacen(head, "-----BEGIN PGP SIGNED MESSAGE-----  \n", 1)),
            ("no end of the signature", message.replace("-----END PGP SIGNATURE-----", "")),
            ("no signature", message[..signature_at].to_owned()),
            ("a comment in the signature", message.replacen("SIGNATURE-----\n", "SIGNATURE-----\nComment: x\n", 1)),
            ("no line break at the end", message.trim_end().to_owned()),
        ];
        for (what, trick) in &tricks {
            let taken = same(trick, what);
            assert!(!taken || !trick.contains("evil"), "{what}:\n{trick}");
        }
        // And every byte of it changed in two ways.
        for at in 0..message.len() {
            for other in [message.as_bytes()[at] ^ 1, b'\n'] {
                let mut bytes = message.clone().into_bytes();
                bytes[at] = other;
                // Only what we take needs gpgv's word.
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                if ring.verify_cleartext(&changed).is_ok() {
                    same(&changed, "one byte");
                }
            }
        }
    }
}

/// While a repository key is replaced, the old and the new one sign side by side.
#[test]
fn a_text_of_two_keys_is_taken_by_whoever_trusts_either_and_refused_if_one_is_forged() {
    let gpg = Gpg::new();
    let new_key = |n| {
        SigningKey::generate(&format!("k{n} <k@example.org>"), Timestamp::from_second(1_700_000_000).unwrap()).unwrap()
    };
    let time = Timestamp::from_second(1_700_000_001).unwrap();
    let (old, new, stranger) = (new_key(1), new_key(2), new_key(3).public_keyring());
    let rings = [old.public_keyring(), new.public_keyring(), old.public_keyring().merged(new.public_keyring())];
    let read_back = |key: &SigningKey| SigningKey::from_armor(&key.to_armor().unwrap()).unwrap();
    let keys = SigningKeys::from(read_back(&old)).and(read_back(&new)).unwrap();
    let keys = SigningKeys::from_armor(&keys.to_armor().unwrap()).unwrap();
    assert_eq!(keys.fingerprints().unwrap(), [old.fingerprint().unwrap(), new.fingerprint().unwrap()]);
    let inrelease = keys.sign_cleartext(TEXT, time).unwrap();
    let detached = keys.sign_detached_armored(TEXT.as_bytes(), time).unwrap();

    let ring_file = |ring: &Keyring| gpg.write("ring.gpg", &ring.to_bytes().unwrap());
    let (text, signature) = (gpg.write("Release", TEXT.as_bytes()), gpg.write("Release.gpg", detached.as_bytes()));
    // As apt does, by the lines of the status: gpgv's exit code also tells of a signature whose key is not there.
    let gpgv_says = |ring: &Keyring, files: &[&Path]| {
        let mut command = Command::new("gpgv");
        command.args(["--status-fd", "1", "--homedir"]).arg(gpg.home.path()).arg("--keyring").arg(ring_file(ring));
        let said = String::from_utf8_lossy(&command.args(files).output().unwrap().stdout).into_owned();
        (said.matches("VALIDSIG").count(), said.matches("BADSIG").count())
    };
    let sqv_takes = |ring: &Keyring| {
        let mut command = Command::new("sqv");
        command.arg("--keyring").arg(ring_file(ring)).arg(&signature).arg(&text).output().unwrap().status.success()
    };
    let message = gpg.write("InRelease", inrelease.as_bytes());
    for (ring, valid) in rings.iter().zip([1, 1, 2]) {
        assert_eq!(ring.verify_cleartext(&inrelease).unwrap().signers, ring.fingerprints().unwrap());
        assert_eq!(gpgv_says(ring, &[&message]), (valid, 0));
        assert_eq!(gpgv_says(ring, &[&signature, &text]), (valid, 0));
        assert!(sqv_takes(ring));
    }
    assert!(matches!(stranger.verify_cleartext(&inrelease), Err(OpenPgpError::UnknownSigner { .. })));
    assert_eq!(gpgv_says(&stranger, &[&message]), (0, 0));
    assert!(!sqv_takes(&stranger));

    // One of the two signatures is of another text. apt takes it only if it does not know that one's key.
    let block = |message: &str| message[message.find("-----BEGIN PGP SIGNATURE").unwrap()..].to_owned();
    let of_other_text = keys.sign_cleartext("Suite: other\n", time).unwrap();
    let packets = |message: &str| gpg_dearmor(&gpg, &block(message));
    let (good, other) = (packets(&inrelease), packets(&of_other_text));
    let half = good.len() / 2;
    let forged = armored(&inrelease, &[&good[..half], &other[half..]].concat());
    let message = gpg.write("InRelease", forged.as_bytes());
    assert!(rings[0].verify_cleartext(&forged).is_ok());
    assert_eq!(gpgv_says(&rings[0], &[&message]), (1, 0));
    for ring in &rings[1..] {
        assert!(matches!(ring.verify_cleartext(&forged), Err(OpenPgpError::BadSignature { .. })));
        assert_eq!(gpgv_says(ring, &[&message]).1, 1);
    }

    // A signature of a kind that comes only in years: of another version, or of an algorithm without a name.
    let mut of_version_9 = good[half..].to_vec();
    of_version_9[2] = 9;
    let mut of_algorithm_99 = good[half..].to_vec();
    of_algorithm_99[4] = 99;
    for strange in [of_version_9, of_algorithm_99] {
        let behind = armored(&inrelease, &[&good[..half], &strange].concat());
        assert_eq!(gpgv_says(&rings[0], &[&gpg.write("InRelease", behind.as_bytes())]).0, 1);
        for message in [behind, armored(&inrelease, &[&strange, &good[..half]].concat())] {
            assert_eq!(rings[0].verify_cleartext(&message).unwrap().signers, rings[0].fingerprints().unwrap());
            assert!(rings[1].verify_cleartext(&message).is_err(), "and it vouches for nothing");
        }
    }
}

fn gpg_dearmor(gpg: &Gpg, block: &str) -> Vec<u8> {
    let file = gpg.write("block", block.as_bytes());
    gpg.run(&["--output", "-", "--dearmor", file.to_str().unwrap()])
}

/// The message with these signature packets in place of its own.
fn armored(message: &str, packets: &[u8]) -> String {
    let text = &message[..message.find("-----BEGIN PGP SIGNATURE").unwrap()];
    let mut base64 = Command::new("base64").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut base64.stdin.take().unwrap(), packets).unwrap();
    let base64 = String::from_utf8(base64.wait_with_output().unwrap().stdout).unwrap();
    format!("{text}-----BEGIN PGP SIGNATURE-----\n\n{base64}-----END PGP SIGNATURE-----\n")
}

/// What gpg 2.2 keeps behind a passphrase opens here, and the other way round.
#[test]
fn locked_keys_open_here_and_in_gpg() {
    let gpg = Gpg::new();
    let with = |passphrase: &str, arguments: &[&str]| {
        let quiet = ["--quiet", "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", passphrase];
        let command = &mut Command::new("gpg");
        command.env("GNUPGHOME", gpg.home.path()).args(quiet).args(arguments).output().unwrap()
    };
    let forget =
        || drop(Command::new("gpgconf").arg("--homedir").arg(gpg.home.path()).args(["--kill", "all"]).output());
    let made = with("öpen sesame", &["--quick-gen-key", "theirs <t@example.org>", "ed25519", "sign", "never"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let armor = with("öpen sesame", &["--armor", "--export-secret-keys", "theirs"]).stdout;
    let locked = |armor: &str| match SecretKey::from_armor(armor).map_err(|error| error.to_string()) {
        Ok(SecretKey::Locked(key)) => key,
        Ok(SecretKey::Open(_)) => panic!("it is not locked"),
        Err(error) => panic!("{error}"),
    };
    let armor = String::from_utf8(armor).unwrap();
    for wrong in ["", "open sesame", "öpen sesame\n"] {
        let error = locked(&armor).unlock(wrong.as_bytes()).map(|_| ()).unwrap_err();
        assert!(matches!(error, OpenPgpError::WrongPassphrase { .. }), "{error}");
    }
    assert!(matches!(SigningKey::from_armor(&armor), Err(OpenPgpError::NoPassphrase { .. })));
    let key = locked(&armor).unlock("öpen sesame".as_bytes()).unwrap();
    let signature = key.sign_detached(&b"data\n"[..], Timestamp::from_second(1_900_000_000).unwrap()).unwrap();
    let ring = Keyring::from_bytes(&gpg.keyring("theirs")).unwrap();
    assert_eq!(ring.verify_detached(&signature, &b"data\n"[..]).unwrap().to_string(), gpg.fingerprint("theirs"));

    let ours = SigningKey::generate("ours <o@example.org>", Timestamp::from_second(1_700_000_000).unwrap()).unwrap();
    let locked_armor = ours.to_locked_armor("simsalabim".as_bytes()).unwrap();
    assert!(matches!(SigningKey::from_armor(&locked_armor), Err(OpenPgpError::NoPassphrase { .. })));
    gpg.write("data", b"data\n");
    let file = gpg.write("ours", locked_armor.as_bytes());
    let imported = with("simsalabim", &["--import", file.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let sign = |passphrase| {
        forget();
        let data = gpg.path("data");
        with(passphrase, &["--local-user", "ours", "--output", "-", "--detach-sign", data.to_str().unwrap()])
    };
    assert!(!sign("wrong").status.success());
    let signed = sign("simsalabim");
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    ours.public_keyring().verify_detached(&signed.stdout, &b"data\n"[..]).unwrap();
    // Locked again with another passphrase, by either, it is the same key.
    let again = locked(&locked_armor).unlock(b"simsalabim").unwrap();
    assert_eq!(again.fingerprint().unwrap(), ours.fingerprint().unwrap());
    assert_eq!(*again.to_armor().unwrap(), *ours.to_armor().unwrap());
}

#[test]
fn secret_keys_that_cannot_sign() {
    let gpg = Gpg::new();
    gpg.key("rsa", "rsa2048", "sign", "never");
    gpg.key("parent", "ed25519", "sign", "never");
    gpg.run(&["--quick-add-key", &gpg.fingerprint("parent"), "ed25519", "sign", "never"]);
    let export = |arguments: &[&str]| String::from_utf8(gpg.run(&[&["--armor"], arguments].concat())).unwrap();
    let parent = export(&["--export-secret-keys", "parent"]);
    let refused = |armor: &str, word: &str| {
        let error = SecretKey::from_armor(armor).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(word) && !error.contains("backtrace") && error.len() < 300, "{word}: {error}");
    };
    assert!(SecretKey::from_armor(&parent).is_ok());
    refused(&export(&["--export-secret-keys", "rsa"]), "only Ed25519");
    refused(&export(&["--export", "parent"]), "public key");
    refused(&export(&["--export-secret-subkeys", "parent"]), "elsewhere");
    refused(&export(&["--export-secret-keys"]), "several");
    refused(&parent.repeat(2), "several");
    refused("", "damaged");
    refused("hello", "damaged");
    for length in (0..parent.len() - 1).step_by(7) {
        assert!(SecretKey::from_armor(&parent[..length]).is_err(), "cut at {length}");
    }
}

/// Whatever stands in a file of keys: a description or an error, and never a panic.
#[test]
fn damaged_key_files_are_errors() {
    let gpg = Gpg::new();
    gpg.key("one", "ed25519", "sign", "never");
    gpg.key("two", "rsa1024", "sign", "never");
    let key = SigningKey::generate("test <t@example.org>", Timestamp::from_second(1_700_000_000).unwrap()).unwrap();
    let locked = gpg.write("locked", key.to_locked_armor(b"x").unwrap().as_bytes());
    let dearmored = Command::new("gpg").args(["--output", "-", "--dearmor"]).arg(locked).output().unwrap().stdout;
    for (good, count, forms) in [
        (gpg.run(&["--export"]), 2, [KeyForm::Public].as_slice()),
        (gpg.run(&["--export-secret-keys"]), 2, &[KeyForm::Secret]),
        (gpg.run(&["--armor", "--export-secret-keys", "one"]), 1, &[KeyForm::Secret]),
        (dearmored, 1, &[KeyForm::Locked]),
    ] {
        let described = KeyFile::from_bytes(&good).unwrap().describe();
        assert_eq!(described.len(), count);
        assert!(described.iter().all(|key| forms.contains(&key.form)), "{described:?}");
        for length in 0..good.len() {
            drop(KeyFile::from_bytes(&good[..length]).map(|keys| keys.describe()));
        }
        for at in 0..good.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= flip;
                if let Ok(keys) = KeyFile::from_bytes(&bytes) {
                    let _ = keys.describe();
                    drop(keys.public_keyring());
                }
            }
        }
    }
}

/// A locked key whose file was damaged is a wrong key or a wrong passphrase, and never a panic.
#[test]
fn damaged_locked_keys_do_not_open() {
    let key = SigningKey::generate("test <t@example.org>", Timestamp::from_second(1_700_000_000).unwrap()).unwrap();
    let good = key.to_locked_armor(b"sesame").unwrap();
    let body = good.find("\n\n").unwrap() + 2;
    let mut opened = 0;
    for at in (body..good.len()).step_by(5) {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let Ok(SecretKey::Locked(locked)) = SecretKey::from_armor(&String::from_utf8(bytes).unwrap()) else { continue };
        if let Ok(damaged) = locked.unlock(b"sesame") {
            // Such as the armour's own checksum, which nobody needs.
            assert_eq!(damaged.fingerprint().unwrap(), key.fingerprint().unwrap());
            opened += 1;
        }
    }
    assert!(opened < 10, "{opened}");
}

/// A Release of an archive that somebody signs with gpg.
const RELEASE: &str = "Suite: stable\nCodename: bookworm\nDate: Sat, 21 Nov 2026 10:00:00 UTC\nComponents: main\n\
                       Architectures: amd64\nSHA256:\n";

#[test]
fn an_archives_keys_may_be_rsa_and_subkeys_and_end() {
    let gpg = Gpg::new();
    gpg.key("strong", "rsa2048", "cert", "1y");
    gpg.run(&["--quick-add-key", &gpg.fingerprint("strong"), "rsa2048", "sign", "1y"]);
    gpg.key("curve", "ed25519", "sign", "never");
    gpg.key("dsa", "dsa2048", "sign", "never");
    gpg.key("weak", "rsa1024", "sign", "never");
    let release = gpg.write("Release", RELEASE.as_bytes());
    let sign = |options: &[&str]| {
        let arguments = [options, &["--output", "-", "--clearsign", release.to_str().unwrap()]].concat();
        String::from_utf8(gpg.run(&arguments)).unwrap()
    };
    let now = Timestamp::now();
    let ring = |names: &[&str]| {
        let bytes: Vec<u8> = names.iter().flat_map(|name| gpg.keyring(name)).collect();
        ArchiveKeyring::from_bytes(&bytes).unwrap()
    };
    let read = |names: &[&str], message: &str, now| {
        UpstreamRelease::from_inrelease(message, &ring(names), "bookworm", now).map(|it| it.signers()[0].to_string())
    };
    #[track_caller]
    fn refused(outcome: Result<String, ReleaseError>, word: &str) {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(word) && error.len() < 300, "{error}");
    }

    let by_subkey = sign(&["--local-user", "strong"]);
    assert_eq!(read(&["strong"], &by_subkey, now).unwrap(), gpg.fingerprint("strong"));
    refused(read(&["curve"], &by_subkey, now), "not among the trusted");
    refused(read(&["strong"], &by_subkey.replace("amd64", "arm64"), now), "changed after");
    let in_two_years = now + jiff::SignedDuration::from_hours(2 * 366 * 24);
    refused(read(&["strong"], &by_subkey, in_two_years), "has expired");
    refused(read(&["strong"], &by_subkey, now - jiff::SignedDuration::from_hours(2)), "in the future");
    refused(read(&["dsa"], &sign(&["--local-user", "dsa"]), now), "too weak");
    refused(read(&["weak"], &sign(&["--local-user", "weak"]), now), "too weak");
    refused(read(&["curve"], &sign(&["--local-user", "curve", "--digest-algo", "SHA1"]), now), "too weak");

    // Two sign, and one of them is known.
    let by_both = sign(&["--local-user", "strong", "--local-user", "curve"]);
    for known in ["strong", "curve"] {
        assert_eq!(read(&[known], &by_both, now).unwrap(), gpg.fingerprint(known));
    }
    let both = UpstreamRelease::from_inrelease(&by_both, &ring(&["curve", "strong"]), "bookworm", now).unwrap();
    assert_eq!(both.signers().len(), 2);

    // A Release whose signature lies beside it.
    let arguments = ["--local-user", "strong", "--armor", "--output", "-", "--detach-sign", release.to_str().unwrap()];
    let beside = gpg.run(&arguments);
    let read = |text: &str| UpstreamRelease::from_release(text, &beside, &ring(&["strong"]), "stable", now);
    assert!(read(RELEASE).is_ok());
    assert!(read(&RELEASE.replace("amd64", "arm64")).unwrap_err().to_string().contains("changed after"));

    // A subkey that its owner took back.
    let subkey = String::from_utf8(gpg.run(&["--with-colons", "--list-keys", "strong"])).unwrap();
    let subkey = subkey.lines().filter_map(|line| line.strip_prefix("fpr:::::::::")).nth(1).unwrap();
    gpg.revoke_subkey("strong", subkey.trim_end_matches(':'));
    let outcome = UpstreamRelease::from_inrelease(&by_subkey, &ring(&["strong"]), "bookworm", now);
    refused(outcome.map(|it| it.signers()[0].to_string()), "subkey was revoked");
}

#[test]
fn an_archives_release_is_the_one_that_was_asked_for_and_of_today() {
    let gpg = Gpg::new();
    gpg.key("curve", "ed25519", "sign", "never");
    let ring = ArchiveKeyring::from_bytes(&gpg.keyring("curve")).unwrap();
    let read = |text: &str, suite: &str| {
        let release = gpg.write("Release", text.as_bytes());
        let message = gpg.run(&["--local-user", "curve", "--output", "-", "--clearsign", release.to_str().unwrap()]);
        let outcome =
            UpstreamRelease::from_inrelease(&String::from_utf8(message).unwrap(), &ring, suite, Timestamp::now());
        outcome.map(|_| ()).map_err(|error| error.to_string())
    };
    for suite in ["stable", "bookworm"] {
        assert_eq!(read(RELEASE, suite), Ok(()));
    }
    assert!(read(RELEASE, "trixie").unwrap_err().contains("stable, bookworm"));
    assert_eq!(read(&format!("Valid-Until: Fri, 1 Jan 2100 00:00:00 UTC\n{RELEASE}"), "stable"), Ok(()));
    let expired = read(&format!("Valid-Until: Sat, 1 Jan 2022 00:00:00 UTC\n{RELEASE}"), "stable");
    assert!(expired.unwrap_err().contains("expired at 2022-01-01"));
    assert!(read("Components: main\nSHA256:\n", "stable").unwrap_err().contains("Suite"));
    assert!(read(&RELEASE.replace("SHA256:", "MD5Sum:"), "stable").unwrap_err().contains("SHA256"));
    let outside = format!("{RELEASE} {} 1 ../../etc/passwd\n", "0".repeat(64));
    assert!(read(&outside, "stable").unwrap_err().contains("passwd"));
}
