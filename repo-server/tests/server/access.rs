//! Who may do what: tokens, roles, private suites, guessing, and the log of it all.

use crate::backends::AT_SCALE;
use crate::package::hi;
use crate::running::{Answer, Server, Site, agent, server_command};
use fleet_protocol::access::{CreatedToken, Role, TokenInfo, TokenPage, suite_access_path, token_path};
use fleet_protocol::audit::{AuditEntry, AuditPage, Outcome};
use serde_json::{Value, json};
use std::process::Command;

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// As `user:password` travels; any tool's coding of it will do.
fn basic(password: &str) -> String {
    use std::io::Write as _;
    let mut child = Command::new("base64")
        .arg("-w0")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    write!(child.stdin.take().unwrap(), "device:{password}").unwrap();
    format!("Basic {}", String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap())
}

impl Server {
    fn read_as(&self, token: &str, path: &str) -> Answer {
        self.get(path, &[("Authorization", &bearer(token))])
    }

    pub(crate) fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        let request = agent().post(self.url(path)).header("Authorization", bearer(token));
        Answer::of(request.content_type("application/json").send(body.to_string()))
    }

    fn delete(&self, token: &str, path: &str) -> Answer {
        Answer::of(agent().delete(self.url(path)).header("Authorization", bearer(token)).call())
    }

    fn set_access(&self, token: &str, suite: &str, access: &str) -> Answer {
        let request = agent().put(self.url(&suite_access_path(suite))).header("Authorization", bearer(token));
        Answer::of(request.content_type("application/json").send(json!({ "access": access }).to_string()))
    }

    fn new_token(&self, body: Value) -> CreatedToken {
        let answer = self.post(&self.token, "/api/v1/tokens", &body);
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.header("cache-control"), "no-store");
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn secret_of(&self, role: Role) -> String {
        self.new_token(json!({ "name": format!("the {role}"), "role": role })).secret
    }

    pub(crate) fn audit(&self, query: &str) -> AuditPage {
        let answer = self.read_as(&self.token, &format!("/api/v1/audit{query}"));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap()
    }
}

#[test]
fn each_role_reaches_what_it_may_and_nothing_else() {
    let site = Site::new();
    let server = site.start();
    let deb = hi("1.0").signed_by(&site.package_key);
    let statuses = |token: &str| {
        [
            server.try_publish("stable", token, &deb).unwrap().status,
            server.set_access(token, "stable", "public").status,
            server.read_as(token, &suite_access_path("stable")).status,
            server.read_as(token, "/api/v1/audit").status,
            server.read_as(token, "/api/v1/tokens").status,
            server.post(token, "/api/v1/tokens", &json!({"name": "more", "role": "admin"})).status,
            server.delete(token, "/api/v1/tokens/0000").status,
        ]
    };
    assert_eq!(statuses(&server.secret_of(Role::Viewer)), [403, 403, 200, 403, 403, 403, 403]);
    assert_eq!(statuses(&server.secret_of(Role::Publisher)), [201, 403, 200, 403, 403, 403, 403]);
    assert_eq!(statuses(&server.secret_of(Role::Operator)), [200, 200, 200, 200, 403, 403, 403]);
    assert_eq!(statuses(&server.token), [200, 200, 200, 200, 200, 201, 404]);
    assert_eq!(statuses(""), [401; 7]);
    let refusal = server.try_publish("stable", &server.secret_of(Role::Viewer), &deb).unwrap().problem();
    assert!(refusal.detail.contains("the role publisher"), "{refusal:?}");
}

#[test]
fn a_token_for_other_suites_publishes_nothing_here() {
    let site = Site::new();
    let server = site.start();
    // `stable` is the only suite, so a token for another one comes from the time when that one was there.
    let limited = server.new_token(json!({"name": "ci", "role": "publisher", "suites": ["stable"]}));
    let deb = hi("1.0").signed_by(&site.package_key);
    assert_eq!(server.try_publish("stable", &limited.secret, &deb).unwrap().status, 201);
    site.change_database("UPDATE tokens SET suites = 'beta' WHERE name = 'ci'");
    let refused = server.try_publish("stable", &limited.secret, &hi("2.0").signed_by(&site.package_key)).unwrap();
    assert_eq!(refused.status, 403);
    assert!(refused.problem().detail.contains("only for: beta"));
    assert_eq!(server.check_suite(), ["hi 1.0".to_owned()].into());
}

#[test]
fn an_expired_revoked_or_unknown_token_is_told_apart() {
    let site = Site::new();
    let server = site.start();
    let detail = |secret: &str| {
        let answer = server.read_as(secret, &suite_access_path("stable"));
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        answer.problem().detail
    };
    let expiring =
        server.new_token(json!({"name": "night job", "role": "viewer", "expires-at": "2100-01-01T00:00:00Z"}));
    assert_eq!(server.read_as(&expiring.secret, &suite_access_path("stable")).status, 200);
    site.change_database("UPDATE tokens SET expires_at = 1000000000 WHERE name = 'night job'");
    let told = detail(&expiring.secret);
    assert!(told.contains("night job") && told.contains("expired at 2001-09-09"), "{told}");

    let revoked = server.new_token(json!({"name": "old ci", "role": "publisher"}));
    for _ in 0..2 {
        let answer = server.delete(&server.token, &token_path(&revoked.token.id));
        assert_eq!(answer.status, 200);
        assert!(serde_json::from_slice::<TokenInfo>(&answer.body).unwrap().revoked_at.is_some());
    }
    let told = detail(&revoked.secret);
    assert!(told.contains("old ci") && told.contains("revoked at"), "{told}");
    assert!(detail("dft_0000").contains("does not know the token"));
    let revocations = server.audit("").entries.iter().filter(|entry| entry.action == "token.revoke").count();
    assert_eq!(revocations, 1, "the second time changed nothing");
}

#[test]
fn what_no_token_can_be_is_refused() {
    let site = Site::new();
    let server = site.start();
    let cases = [
        (json!({"name": "", "role": "viewer"}), 422, "1 to 64"),
        (json!({"name": "a", "role": "viewer", "suites": ["beta"]}), 404, "beta"),
        (json!({"name": "a", "role": "admin", "suites": ["stable"]}), 422, "all suites"),
        (json!({"name": "a", "role": "viewer", "expires-at": "2001-01-01T00:00:00Z"}), 422, "expired"),
        (json!({"name": "a", "role": "viewer", "expires-at": "tomorrow"}), 400, "expires-at"),
        (json!({"name": "a", "role": "king"}), 400, "king"),
        (json!({"name": "a", "role": "viewer", "expires_at": null}), 400, "expires_at"),
        (json!({"name": "x".repeat(70_000), "role": "viewer"}), 413, ""),
        (json!([]), 400, ""),
    ];
    for (body, status, word) in cases {
        let answer = server.post(&server.token, "/api/v1/tokens", &body);
        assert_eq!(answer.status, status, "{body:.100}: {}", String::from_utf8_lossy(&answer.body));
        let problem = answer.problem();
        assert!(problem.detail.contains(word), "{problem:?}");
    }
    assert_eq!(server.read_as(&server.token, "/api/v1/audit?limit=no").status, 400);
    let answer = server.delete(&server.token, "/api/v1/tokens");
    assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD,POST"));
    answer.problem();
    let tokens = server.read_as(&server.token, "/api/v1/tokens");
    assert_eq!(serde_json::from_slice::<TokenPage>(&tokens.body).unwrap().tokens.len(), 1);
}

#[test]
fn tokens_and_the_log_are_read_page_by_page() {
    let site = Site::new();
    let server = site.start();
    let mut made: Vec<String> =
        (0..7).map(|n| server.new_token(json!({"name": format!("t{n}"), "role": "viewer"})).token.id).collect();
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let answer = server.read_as(&server.token, &format!("/api/v1/tokens?limit=3&after={after}"));
        assert!(!String::from_utf8_lossy(&answer.body).contains("dft_"), "no list shows a secret");
        let page: TokenPage = serde_json::from_slice(&answer.body).unwrap();
        listed.extend(page.tokens.into_iter().filter(|token| token.name != "init").map(|token| token.id));
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    made.sort();
    assert_eq!(listed, made);

    let whole = server.audit("").entries;
    let (mut paged, mut query) = (Vec::new(), "?limit=3".to_owned());
    loop {
        let page = server.audit(&query);
        paged.extend(page.entries);
        match page.next {
            Some(next) => query = format!("?limit=3&before={next}"),
            None => break,
        }
    }
    assert_eq!(paged, whole);
    assert!(whole.is_sorted_by(|newer, older| newer.id > older.id));
}

#[test]
fn every_change_is_in_the_log_with_who_when_what_and_from_where() {
    let site = Site::new();
    let mut server = site.start();
    let publisher = server.new_token(json!({"name": "ci", "role": "publisher"}));
    let deb = hi("1.0").signed_by(&site.package_key);
    for expected in [201, 200] {
        assert_eq!(server.try_publish("stable", &publisher.secret, &deb).unwrap().status, expected);
    }
    assert_eq!(server.try_publish("stable", &publisher.secret, b"no package").unwrap().status, 422);
    assert_eq!(server.try_publish("stable", "dft_0000", b"no package").unwrap().status, 401);
    assert_eq!(server.set_access(&server.token, "stable", "devices").status, 200);
    assert_eq!(server.set_access(&server.token, "stable", "devices").status, 200);
    server.kill();
    let server = site.start();

    let summary = |entry: &AuditEntry| format!("{} {} {} {}", entry.actor, entry.action, entry.subject, entry.outcome);
    let entries = server.audit("").entries;
    let told: Vec<String> = entries.iter().map(summary).collect();
    let uid = rustix::process::getuid().as_raw();
    let expected = [
        "init suite.access stable done".to_owned(),
        "ci package.publish stable refused".to_owned(),
        "ci package.publish stable done".to_owned(),
        "ci package.publish stable done".to_owned(),
        format!("init token.create {} done", publisher.token.id),
        format!("debfleet-server init, uid {uid} suite.create stable done"),
    ];
    assert_eq!(told[..6], expected);
    assert_eq!(told.len(), 7, "a suite set to what it was, and what strangers try, is not in it: {told:?}");
    assert!(entries[2].detail.ends_with("it was there already"), "{:?}", entries[2]);
    let published = &entries[3];
    assert_eq!(published.outcome, Outcome::Done);
    assert!(published.detail.contains("hi 1.0 (all)"), "{published:?}");
    assert_eq!((published.remote_address.as_str(), published.token.as_ref()), ("127.0.0.1", Some(&publisher.token.id)));
    assert_eq!((entries[5].remote_address.as_str(), &entries[5].token), ("local", &None));
    assert!(!format!("{entries:?}").contains("dft_"), "the log holds no secret");
}

#[test]
fn a_private_suite_is_read_with_a_token_as_password_only() {
    let site = Site::new();
    let server = site.start();
    let published = server.publish(&hi("1.0").signed_by(&site.package_key)).published();
    let paths = [
        "/debian/dists/stable/InRelease".to_owned(),
        "/debian/dists/stable/main/binary-amd64/Packages.xz".to_owned(),
        format!("/debian/dists/stable/{}", server.release().file("main/binary-amd64/Packages").unwrap().by_hash_path()),
        format!("/debian/{}", published.filename),
    ];
    assert_eq!(server.set_access(&server.secret_of(Role::Operator), "stable", "devices").status, 200);
    let device = server.new_token(json!({"name": "lamps", "role": "viewer", "suites": ["stable"]}));
    let wrong = server.new_token(json!({"name": "lamps of others", "role": "viewer", "suites": ["stable"]}));
    site.change_database("UPDATE tokens SET suites = 'beta' WHERE name = 'lamps of others'");
    for path in &paths {
        let answer = server.get(path, &[]);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").starts_with("Basic "), "{path}");
        answer.problem();
        for range in [vec![], vec![("Range", "bytes=0-9")]] {
            let credentials = basic(&device.secret);
            let headers = [range, vec![("Authorization", credentials.as_str())]].concat();
            let answer = server.get(path, &headers);
            assert!(matches!(answer.status, 200 | 206), "{path}: {}", answer.status);
            assert!(answer.header("cache-control").starts_with("private"), "{path}");
        }
        assert_eq!(server.read_as(&device.secret, path).status, 200, "{path}");
        assert_eq!(server.get(path, &[("Authorization", &basic("dft_00"))]).status, 401, "{path}");
        let refused = server.get(path, &[("Authorization", &basic(&wrong.secret))]).status;
        assert!(matches!(refused, 403 | 404), "{path}: {refused}");
    }
    let head = agent().head(server.url(&paths[3])).call().unwrap();
    assert_eq!(head.status(), 401);
    // Whether there is a file is no business of strangers.
    assert_eq!(server.get("/debian/pool/main/h/hi/hi_9_all.deb", &[]).status, 401);
    assert_eq!(server.read_as(&device.secret, "/debian/pool/main/h/hi/hi_9_all.deb").status, 404);
    // The way in stays open.
    server.body("/debian/repository.gpg");
    let sources = String::from_utf8(server.body("/debian/stable.sources")).unwrap();
    assert!(sources.contains(&format!("machine {}/debian login", server.bases[0])), "{sources}");

    assert_eq!(server.set_access(&server.token, "stable", "public").status, 200);
    for path in &paths {
        server.body(path);
    }
}

#[test]
fn a_private_suite_stays_private_across_a_restart_and_over_plain_http_beyond_loopback() {
    let site = Site::new();
    let mut server = site.start();
    assert_eq!(server.set_access(&server.token, "stable", "devices").status, 200);
    assert_eq!(server.set_access(&server.token, "beta", "devices").status, 404);
    assert_eq!(server.set_access(&server.token, "stable", "friends").status, 400);
    server.kill();
    let mut server = site.start();
    assert_eq!(server.get("/debian/dists/stable/InRelease", &[]).status, 401);
    server.kill();
    let mut server = site.start_with(&["--http", "0.0.0.0:0"]);
    server.bases[0] = server.bases[0].replace("0.0.0.0", "127.0.0.1");
    // A question for the password would make a client send it in the clear.
    let answer = server.get("/debian/dists/stable/InRelease", &[("Authorization", &basic(&server.token))]);
    assert_eq!(answer.status, 403);
    assert!(answer.header("www-authenticate").is_empty());
    assert!(answer.problem().detail.contains("https"));
}

#[test]
fn guessing_is_stopped_and_those_who_know_their_token_go_on() {
    let site = Site::new();
    let server = site.start();
    let fresh = server.secret_of(Role::Viewer);
    let path = suite_access_path("stable");
    let statuses: Vec<u16> = (0..14).map(|n| server.read_as(&format!("dft_{n}"), &path).status).collect();
    assert_eq!(statuses[..10], [401; 10]);
    assert!(statuses[11..].iter().all(|status| *status == 429), "{statuses:?}");
    let answer = server.read_as("dft_more", &path);
    assert!(matches!(answer.header("retry-after").parse(), Ok(1..=7)), "{}", answer.header("retry-after"));
    assert!(answer.problem().detail.contains("wait"));
    assert_eq!(server.read_as(&fresh, &path).status, 429, "a right guess looks like a wrong one");
    assert_eq!(server.read_as(&server.token, &path).status, 200, "it was used from here before");
    assert_eq!(server.get("/debian/dists/stable/InRelease", &[]).status, 200, "reading takes no token");
}

#[test]
fn a_lost_admin_token_is_replaced_on_the_server_while_it_runs() {
    let site = Site::new();
    let server = site.start();
    let create = |arguments: &[&str]| {
        let mut command = site.command();
        command.args(["token", "create", "--data"]).arg(&site.data).args(arguments).output().unwrap()
    };
    let output = create(&["--role", "admin"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let token = text.lines().find_map(|line| line.strip_prefix("admin token: ")).unwrap();
    assert_eq!(server.try_publish("stable", token, &hi("1.0").signed_by(&site.package_key)).unwrap().status, 201);
    let entry = &server.audit("").entries[1];
    assert_eq!((entry.action.as_str(), entry.remote_address.as_str()), ("token.create", "local"));

    let output = create(&["--role", "king"]);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("admin, operator, publisher and viewer"));
    let elsewhere = server_command().args(["token", "create", "--role", "admin", "--data", "/"]).output().unwrap();
    assert!(String::from_utf8(elsewhere.stderr).unwrap().contains("holds no server's data"));
}

#[test]
fn the_bound_on_uploads_is_a_setting() {
    let site = Site::new();
    let server = site.start_with(&["--http", "127.0.0.1:0", "--max-upload", "1"]);
    let mut package = hi("1.0");
    package.content = (0..400_000u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let deb = package.signed_by(&site.package_key);
    assert!(deb.len() > 1 << 20, "{}", deb.len());
    let answer = server.publish(&deb);
    assert_eq!(answer.status, 413);
    assert!(answer.problem().detail.contains("1048576 bytes"));
    // Without its length announced it is met on the way.
    let request =
        agent().post(server.url("/api/v1/suites/stable/packages")).header("Authorization", bearer(&server.token));
    let answer = Answer::of(request.send(ureq::SendBody::from_reader(&mut deb.as_slice())));
    assert_eq!(answer.status, 413);
    assert_eq!(server.publish(&hi("1.1").signed_by(&site.package_key)).status, 201);
    assert!(site.fail(&["--http", "127.0.0.1:0", "--max-upload", "0"]).contains("max-upload 0"));
}

#[test]
fn one_address_cannot_take_the_connections_of_all() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use std::io::Read as _;
    use std::net::TcpStream;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let site = Site::new();
    let server = site.start();
    let address = server.bases[0].strip_prefix("http://").unwrap();
    let mut connections: Vec<TcpStream> = (0..2100).map(|_| TcpStream::connect(address).unwrap()).collect();
    // The last ones were closed at once; a wait for the head's time limit would be told as an answer.
    let mut last = connections.pop().unwrap();
    last.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    assert!(matches!(last.read(&mut [0; 1]), Ok(0) | Err(_)));
    let other = Command::new("curl")
        .args(["-sS", "--interface", "127.0.0.2", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}"])
        .arg(server.url("/debian/stable.sources"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&other.stdout), "200", "{other:?}");
    drop(connections);
    server.body("/debian/stable.sources");
}

#[test]
fn a_token_from_before_there_were_roles_is_still_an_admins() {
    let mut site = Site::new();
    let first = tempfile::tempdir().unwrap();
    let schema = include_bytes!("../../migrations/0001_first.sql");
    durable_files::replace(&first.path().join("0001_first.sql"), schema, 0o644).unwrap();
    site.go_back_to(first.path());
    // SHA-256 of `dft_old`.
    site.change_database(
        "INSERT INTO tokens (id, secret_sha256, role, created_at) VALUES \
         ('0a', '5577644ec3a04b0a64257800b03c52a131e7d0eb4793c28e23bbce8f8f3deaf8', 'admin', 1700000000)",
    );
    let server = site.start();
    let answer = server.read_as("dft_old", "/api/v1/tokens");
    assert_eq!(answer.status, 200);
    let tokens = serde_json::from_slice::<TokenPage>(&answer.body).unwrap().tokens;
    assert_eq!((tokens[0].role, tokens[0].suites.as_ref(), tokens[0].expires_at), (Role::Admin, None, None));
}

#[test]
fn a_closed_suite_is_closed_in_every_process_when_the_answer_comes() {
    let site = Site::new();
    if !AT_SCALE {
        return;
    }
    let copy = site.data.with_file_name("copy");
    assert!(Command::new("cp").arg("-a").arg(&site.data).arg(&copy).status().unwrap().success());
    let (one, two) = (site.start(), site.start_on(&copy, &["--http", "127.0.0.1:0"]));
    let status = |server: &Server| server.get("/debian/dists/stable/InRelease", &[]).status;
    assert_eq!(two.set_access(&two.token, "stable", "devices").status, 200);
    assert_eq!([status(&one), status(&two)], [401, 401]);
    let token = one.secret_of(Role::Viewer);
    assert_eq!(two.read_as(&token, "/debian/dists/stable/InRelease").status, 200);
    assert_eq!(one.set_access(&one.token, "stable", "public").status, 200);
    assert_eq!([status(&one), status(&two)], [200, 200]);
}
