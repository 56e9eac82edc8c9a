//! The repository as clients read it.

use crate::backends::AT_SCALE;
use crate::package::hi;
use crate::running::{Answer, Site, agent, agent_trusting};
use debian_formats::control::Stanza;
use debian_formats::openpgp::Keyring;

const INDEX: &str = "/debian/dists/stable/main/binary-amd64/Packages.xz";

#[test]
fn the_empty_suite_is_readable_at_once() {
    let site = Site::new();
    let server = site.start();
    assert!(server.check_suite().is_empty());
    let detached = server.body("/debian/dists/stable/Release.gpg");
    let release = server.body("/debian/dists/stable/Release");
    server.keyring.verify_detached(&detached, release.as_slice()).unwrap();
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let site = Site::new();
    let server = site.start();
    let answer = server.get("/debian/dists/stable/InRelease", &[]);
    let (tag, date) = (answer.header("etag"), answer.header("last-modified"));
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    for (name, value) in [("If-None-Match", tag), ("If-Modified-Since", date)] {
        let answer = server.get("/debian/dists/stable/InRelease", &[(name, value)]);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{name}");
    }
    let (tag, date) = (tag.to_owned(), date.to_owned());
    server.publish(&hi("1.0").signed_by(&site.package_key)).published();
    for (name, value) in [("If-None-Match", &tag), ("If-Modified-Since", &date)] {
        assert_eq!(server.get("/debian/dists/stable/InRelease", &[(name, value)]).status, 200, "{name}");
    }
}

#[test]
fn indexes_of_generations_just_replaced_are_found_by_hash() {
    let site = Site::new();
    let server = site.start();
    let by_hash = || server.release().file("main/binary-amd64/Packages.xz").unwrap().by_hash_path();
    let mut paths = vec![by_hash()];
    for version in 1..=4 {
        server.publish(&hi(&version.to_string()).signed_by(&site.package_key)).published();
        paths.push(by_hash());
    }
    let status = |path: &String| server.get(&format!("/debian/dists/stable/{path}"), &[]).status;
    assert_eq!(paths.iter().map(status).collect::<Vec<_>>(), [200; 5]);
    assert!(
        server.get(&format!("/debian/dists/stable/{}", paths[4]), &[]).header("cache-control").contains("immutable")
    );
    assert_eq!(server.get(INDEX, &[]).header("cache-control"), "no-cache");
}

#[test]
fn a_package_is_sent_in_parts() {
    let site = Site::new();
    let server = site.start();
    let deb = hi("1.0").signed_by(&site.package_key);
    let path = format!("/debian/{}", server.publish(&deb).published().filename);
    let whole = server.get(&path, &[]);
    assert_eq!((whole.status, &whole.body), (200, &deb));
    assert_eq!(whole.header("content-type"), "application/vnd.debian.binary-package");
    let tag = whole.header("etag");
    let part = server.get(&path, &[("Range", "bytes=100-"), ("If-Range", tag)]);
    assert_eq!((part.status, part.body.as_slice()), (206, &deb[100..]));
    assert_eq!(part.header("etag"), tag);
    assert_eq!(server.get(&path, &[("Range", "bytes=100-"), ("If-Range", "\"other\"")]).status, 200);
    let past_the_end = format!("bytes={}-", deb.len());
    let refused = server.get(&path, &[("Range", &past_the_end)]);
    assert_eq!((refused.status, refused.header("cache-control")), (416, "no-cache"));
    assert_eq!(server.get(&path, &[("If-None-Match", tag)]).status, 304);
}

#[test]
fn the_head_of_a_package_takes_nothing_from_the_bucket() {
    if !AT_SCALE {
        return;
    }
    let site = Site::new();
    let server = site.start();
    let deb = hi("1.0").signed_by(&site.package_key);
    let path = server.publish(&deb).published().filename;
    // It could not be fetched.
    site.overwrite(&path, b"short");
    assert_eq!(server.get(&format!("/debian/{path}"), &[]).status, 500);
    let head = Answer::of(agent().head(server.url(&format!("/debian/{path}"))).call());
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, deb.len().to_string().as_str(), 0));
}

#[test]
fn only_what_the_database_knows_is_served() {
    let site = Site::new();
    let server = site.start();
    site.overwrite("pool/secret", b"x");
    let paths = [
        "/",
        "/debian/",
        "/debian/pool/secret",
        "/debian/pool/../keys/repository.key",
        "/debian/pool/%2e%2e/keys/repository.key",
        "/debian/pool/..%2fkeys%2frepository.key",
        "/debian/dists/stable/",
        "/debian/dists/stable/../../lock",
        "/debian/dists/beta/InRelease",
        "/debian/beta.sources",
        "/debian/..%2f.sources",
        "/debian/lock",
    ];
    for path in paths {
        let answer = server.get(path, &[]);
        assert_eq!(answer.status, 404, "{path}");
        answer.problem();
    }
    let answer = Answer::of(agent().delete(server.url("/debian/repository.gpg")).call());
    assert_eq!(answer.status, 405);
    answer.problem();
}

#[test]
fn the_ready_source_works_alone() {
    let site = Site::new();
    let server = site.start();
    let text = String::from_utf8(server.body("/debian/stable.sources")).unwrap();
    let stanza = Stanza::parse_all(&text).unwrap().remove(0);
    assert_eq!(stanza.get("URIs"), Some(server.url("/debian").as_str()));
    let key: Vec<&str> = stanza.get("Signed-By").unwrap().lines().skip(1).collect();
    let key = key.join("\n").replace("\n.\n", "\n\n");
    let inside = Keyring::from_bytes(key.as_bytes()).unwrap().fingerprints().unwrap();
    let served = Keyring::from_bytes(&server.body("/debian/repository.gpg")).unwrap().fingerprints().unwrap();
    assert_eq!(inside, served);

    let answer = server.get("/debian/stable.sources", &[("Host", "updates.example.org")]);
    assert!(String::from_utf8(answer.body).unwrap().contains("URIs: http://updates.example.org/debian\n"));
    assert_eq!(server.get("/debian/stable.sources", &[("Host", "a b")]).status, 400);
}

#[test]
fn plain_http_beyond_loopback_carries_only_the_repository() {
    let site = Site::new();
    let mut server = site.start_with(&["--http", "0.0.0.0:0"]);
    assert!(server.bases[0].starts_with("http://0.0.0.0:"));
    server.bases[0] = server.bases[0].replace("0.0.0.0", "127.0.0.1");
    assert!(server.check_suite().is_empty());
    let answer = server.publish(&hi("1.0").signed_by(&site.package_key));
    assert_eq!(answer.status, 403);
    assert!(answer.problem().detail.contains("--https"));
}

#[test]
fn https_shows_a_certificate_of_the_fleet_ca() {
    let site = Site::new();
    let server = site.start_with(&["--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--host-name", "updates.test"]);
    let pem = std::fs::read_to_string(site.data.join("fleet-ca.pem")).unwrap();
    let url = format!("{}/debian/stable.sources", server.bases[1]);
    let text = Answer::of(agent_trusting(&pem).get(&url).call()).text();
    assert!(text.contains(&format!("URIs: {}/debian\n", server.bases[1])), "{text}");
}

#[test]
fn a_package_is_sent_in_several_parts() {
    let site = Site::new();
    let server = site.start();
    let deb = hi("1.0").signed_by(&site.package_key);
    let path = format!("/debian/{}", server.publish(&deb).published().filename);
    let last_modified = server.get(&path, &[]).header("last-modified").to_owned();
    if last_modified.is_empty() {
        // A bucket's content goes through us in one piece.
        return;
    }
    let answer = server.get(&path, &[("Range", "bytes=0-9,100-119,-1")]);
    assert_eq!(answer.status, 206);
    let boundary = answer.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
    let mut expected = Vec::new();
    for (first, last) in [(0, 9), (100, 119), (deb.len() - 1, deb.len() - 1)] {
        let (kind, length) = ("application/vnd.debian.binary-package", deb.len());
        let head =
            format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: bytes {first}-{last}/{length}\r\n\r\n");
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&deb[first..=last]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(answer.body == expected);

    // apt goes on with the date of what it has.
    let part = server.get(&path, &[("Range", "bytes=100-"), ("If-Range", &last_modified)]);
    assert_eq!((part.status, part.body.as_slice()), (206, &deb[100..]));
    let other = [("Range", "bytes=100-"), ("If-Range", "Thu, 01 Jan 1970 00:00:00 GMT")];
    assert_eq!(server.get(&path, &other).status, 200);
    let index = server.body(INDEX);
    let part = server.get(INDEX, &[("Range", "bytes=10-")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &index[10..]));
}
