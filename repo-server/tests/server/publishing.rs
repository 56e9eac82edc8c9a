//! What is taken in, and what is refused without a trace.

use crate::package::{hi, new_key};
use crate::running::Site;
use debian_formats::checksums::sha256_hex;
use fleet_protocol::publishing::Published;

#[test]
fn a_signed_package_is_published_once() {
    let site = Site::new();
    let server = site.start();
    let deb = hi("1:0.1.0-1").signed_by(&site.package_key);
    let answer = server.publish(&deb);
    assert_eq!(answer.status, 201);
    let filename = "pool/main/h/hi/hi_0.1.0-1_all.deb";
    let expected = Published {
        package: "hi".into(),
        version: "1:0.1.0-1".into(),
        architecture: "all".into(),
        suite: "stable".into(),
        filename: filename.into(),
        sha256: sha256_hex(&deb),
        created: true,
    };
    assert_eq!(answer.published(), expected);
    assert_eq!(server.check_suite(), ["hi 1:0.1.0-1".to_owned()].into());
    assert_eq!(server.body(&format!("/debian/{filename}")), deb);

    let before = server.inrelease();
    let again = server.publish(&deb);
    assert_eq!((again.status, again.published().created), (200, false));
    assert_eq!(server.inrelease(), before);
    assert_eq!(site.files("incoming").len(), 0);
}

#[test]
fn each_architecture_gets_its_own_and_all() {
    let site = Site::new();
    let server = site.start();
    let mut package = hi("1");
    for architecture in ["amd64", "riscv64", "all"] {
        package.architecture = architecture;
        assert_eq!(server.publish(&package.signed_by(&site.package_key)).status, 201, "{architecture}");
    }
    server.check_suite();
    let count = |architecture: &str| {
        let index = server.body(&format!("/debian/dists/stable/main/binary-{architecture}/Packages"));
        String::from_utf8(index).unwrap().matches("Package: hi").count()
    };
    assert_eq!((count("amd64"), count("riscv64"), count("arm64")), (2, 2, 1));
    let names: Vec<String> = server.release().release().architectures.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["amd64", "arm64", "armhf", "riscv64"]);
}

#[test]
fn the_date_moves_forward_with_every_publication() {
    let site = Site::new();
    let server = site.start();
    let mut last = server.release().release().date;
    for version in 1..4 {
        server.publish(&hi(&version.to_string()).signed_by(&site.package_key)).published();
        let date = server.release().release().date;
        assert!(date > last);
        last = date;
    }
}

#[test]
fn refused_uploads_change_nothing() {
    let site = Site::new();
    let server = site.start();
    let good = hi("1.0").signed_by(&site.package_key);
    server.publish(&good).published();
    let before = (server.inrelease(), site.stored("pool"), site.stored("indexes"));

    let mut tampered = hi("2.0").signed_by(&site.package_key);
    // Inside data.tar, after the first two members.
    let middle = tampered.len() / 2;
    tampered[middle] ^= 1;
    let truncated = &good[..good.len() - 40];
    let package = |change: fn(&mut crate::package::Package)| {
        let mut package = hi("2.0");
        change(&mut package);
        package.signed_by(&site.package_key)
    };
    let other_content = {
        let mut package = hi("1.0");
        package.content = b"other".to_vec();
        package.signed_by(&site.package_key)
    };
    let token = server.token.as_str();
    let cases = [
        ("no token", "stable", "", good.clone(), 401, "DEBFLEET_TOKEN"),
        ("wrong token", "stable", "dft_0000", good.clone(), 401, "token"),
        ("unknown suite", "beta", token, good.clone(), 404, "beta"),
        ("no suite", "St%C3%A4ble", token, good.clone(), 404, "suite"),
        ("unsigned", "stable", token, hi("2.0").unsigned(), 422, "sign it"),
        ("stranger", "stable", token, hi("2.0").signed_by(&new_key()), 422, "--package-key"),
        ("tampered", "stable", token, tampered, 422, ""),
        ("truncated", "stable", token, truncated.to_vec(), 422, ""),
        ("not a deb", "stable", token, b"hello".to_vec(), 422, "not a Debian package"),
        ("empty", "stable", token, vec![], 422, "not a Debian package"),
        ("path leaves", "stable", token, package(|p| p.path = "opt/../../etc/passwd"), 422, ".."),
        ("source leaves", "stable", token, package(|p| p.fields = "Source: ../../x\n"), 422, "Source"),
        ("index field", "stable", token, package(|p| p.fields = "Filename: ../x\n"), 422, "Filename"),
        ("same version", "stable", token, other_content, 409, "raise the version"),
        (
            "another epoch",
            "stable",
            token,
            package(|p| p.version = "7:1.0".into()),
            409,
            "pool/main/h/hi/hi_1.0_all.deb",
        ),
        ("equal version", "stable", token, package(|p| p.version = "1.00".into()), 409, "1.0"),
    ];
    for (case, suite, token, deb, status, word) in cases {
        let answer = server.try_publish(suite, token, &deb).unwrap();
        assert_eq!(answer.status, status, "{case}: {}", String::from_utf8_lossy(&answer.body));
        let problem = answer.problem();
        assert!(problem.detail.contains(word), "{case}: {problem:?}");
        assert!(!problem.detail.contains("/tmp"), "{case} tells where files lie: {problem:?}");
        assert_eq!(answer.header("www-authenticate").is_empty(), status != 401, "{case}");
        let after = (server.inrelease(), site.stored("pool"), site.stored("indexes"));
        assert_eq!(after, before, "{case}");
        assert_eq!(site.files("incoming").len(), 0, "{case}");
    }
    // And the good one still passes.
    server.publish(&hi("2.0").signed_by(&site.package_key)).published();
}

#[test]
fn cut_off_anywhere_it_is_refused_as_a_package_and_not_as_a_failure() {
    let site = Site::new();
    let server = site.start();
    let deb = hi("1.0").signed_by(&site.package_key);
    for length in (0..deb.len()).step_by(23) {
        let answer = server.publish(&deb[..length]);
        assert_eq!(answer.status, 422, "{length} bytes: {}", String::from_utf8_lossy(&answer.body));
    }
    assert!(server.check_suite().is_empty());
}

#[test]
fn an_announced_size_above_the_limit_is_refused_unread() {
    use std::io::{Read as _, Write as _};
    let site = Site::new();
    let server = site.start();
    let address = server.bases[0].strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/suites/stable/packages HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n",
        server.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    use std::io::Write as _;
    let site = Site::new();
    let server = site.start();
    let deb = hi("1.0").signed_by(&site.package_key);
    let address = server.bases[0].strip_prefix("http://").unwrap();
    for head in [format!("Content-Length: {}\r\n\r\n", deb.len() + 1), "Transfer-Encoding: chunked\r\n\r\n".to_owned()]
    {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let start = format!(
            "POST /api/v1/suites/stable/packages HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n{head}",
            server.token
        );
        stream.write_all(start.as_bytes()).unwrap();
        if head.starts_with("Transfer") {
            stream.write_all(format!("{:x}\r\n", deb.len()).as_bytes()).unwrap();
        }
        stream.write_all(&deb).unwrap();
        drop(stream);
    }
    // Publishing waits for its turn, so this comes after whatever the broken uploads did.
    server.publish(&hi("2.0").signed_by(&site.package_key)).published();
    assert_eq!(server.check_suite(), ["hi 2.0".to_owned()].into());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !site.files("incoming").is_empty() {
        assert!(std::time::Instant::now() < deadline, "a broken upload's file is still there");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn two_publishers_at_once_both_succeed() {
    let site = Site::new();
    let server = site.start();
    let debs: Vec<Vec<u8>> = (0..4).map(|n| hi(&format!("1.{n}")).signed_by(&site.package_key)).collect();
    std::thread::scope(|scope| {
        for deb in &debs {
            scope.spawn(|| assert_eq!(server.publish(deb).status, 201));
        }
    });
    assert_eq!(server.check_suite().len(), 4);
}
