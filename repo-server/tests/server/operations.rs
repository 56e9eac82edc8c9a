//! What those who run the server see of it, and how they change it while it runs.

use crate::package::{hi, new_key};
use crate::running::{Answer, SERVER, Site, agent, agent_trusting};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

const METRICS: [&str; 4] = ["--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];

#[test]
fn metrics_tell_what_was_done_and_only_where_they_are_asked_for() {
    let site = Site::new();
    let server = site.start_with(&METRICS);
    let deb = hi("1.0").signed_by(&site.package_key);
    let published = server.publish(&deb).published();
    server.publish(&deb);
    server.publish(&hi("2.0").unsigned());
    server.try_publish("stable", "wrong", &deb).unwrap();
    let inrelease = server.get("/debian/dists/stable/InRelease", &[]);
    server.get("/debian/dists/stable/InRelease", &[("If-None-Match", inrelease.header("etag"))]);
    server.body(&format!("/debian/{}", published.filename));

    let metric = |name| server.metric(name).unwrap_or_default();
    assert_eq!(metric("debfleet_uploads_total{outcome=\"published\"}"), 1.0);
    assert_eq!(metric("debfleet_uploads_total{outcome=\"repeated\"}"), 1.0);
    assert_eq!(metric("debfleet_uploads_total{outcome=\"package-refused\"}"), 1.0);
    assert_eq!(metric("debfleet_uploads_total{outcome=\"not-authenticated\"}"), 1.0);
    assert_eq!(metric("debfleet_publish_seconds_count"), 1.0);
    assert_eq!(metric("debfleet_http_requests_total{route=\"index\",status=\"200\"}"), 1.0);
    assert_eq!(metric("debfleet_http_requests_total{route=\"index\",status=\"304\"}"), 1.0);
    assert_eq!(metric("debfleet_http_requests_total{route=\"api\",status=\"422\"}"), 1.0);
    assert_eq!(metric("debfleet_http_sent_bytes_total{route=\"pool\"}"), deb.len() as f64);
    assert!(metric("debfleet_connections{listener=\"metrics\"}") >= 1.0, "that of the question itself");
    let left = metric("debfleet_suite_valid_seconds{suite=\"stable\"}");
    assert!((6.9 * 86400.0..=7.0 * 86400.0).contains(&left), "{left}");

    assert_eq!(server.get("/metrics", &[]).status, 404, "the public does not see them");
    let operators = server.metrics.as_ref().unwrap().replace("/metrics", "");
    let status = |path: &str| Answer::of(agent().get(format!("{operators}{path}")).call()).status;
    assert_eq!(["/healthz", "/readyz", "/debian/dists/stable/InRelease"].map(status), [200, 200, 404]);
}

#[test]
fn a_server_whose_database_fails_is_alive_and_not_ready() {
    let site = Site::new();
    let server = site.start();
    assert_eq!(server.get("/readyz", &[]).status, 200);
    site.tamper(&["ALTER TABLE suites RENAME TO hidden"]);
    let answer = server.get("/readyz", &[]);
    assert_eq!(answer.status, 503);
    assert!(answer.problem().detail.contains("database"), "{}", answer.text());
    assert_eq!(server.get("/healthz", &[]).status, 200);
}

#[test]
fn a_request_has_a_line_in_the_log_and_an_id() {
    let site = Site::new();
    let arguments = ["--http", "127.0.0.1:0", "--log", "info,access=debug", "--log-format", "json"];
    let mut server = site.start_logging(&arguments);
    let answer = server.get("/debian/dists/stable/InRelease", &[("X-Request-Id", "trace-1.a_b")]);
    assert_eq!(answer.header("x-request-id"), "trace-1.a_b");
    let line: serde_json::Value = serde_json::from_str(&server.logged("trace-1.a_b")).unwrap();
    assert_eq!(line["target"], "access");
    assert_eq!((&line["method"], &line["status"]), (&"GET".into(), &200.into()));
    assert_eq!(line["path"], "/debian/dists/stable/InRelease");
    assert_eq!(line["bytes"], answer.body.len());
    assert_eq!(line["remote"], "127.0.0.1");
    assert!(line["milliseconds"].is_u64() && line["timestamp"].is_string());

    let answer = server.get("/debian/nothing", &[("X-Request-Id", "two words")]);
    let id = answer.header("x-request-id");
    assert!(!id.is_empty() && id != "two words");
    assert!(server.logged(id).contains("\"status\":404"));

    // What a request's work logs has its id, too.
    let refused = server.publish(&hi("1.0").unsigned());
    let line: serde_json::Value = serde_json::from_str(&server.logged("refused an upload")).unwrap();
    assert_eq!(line["span"]["id"], refused.header("x-request-id"));
}

#[test]
fn reads_are_not_in_the_usual_log() {
    let site = Site::new();
    let mut server = site.start_logging(&["--http", "127.0.0.1:0"]);
    server.inrelease();
    let upload = server.publish(&hi("1.0").signed_by(&site.package_key));
    let mut seen = Vec::new();
    while !seen.last().is_some_and(|line: &String| line.contains("method=POST")) {
        seen.push(server.logged(""));
    }
    assert!(seen.iter().all(|line| !line.contains("InRelease")), "{seen:?}");
    assert!(seen.last().unwrap().contains(upload.header("x-request-id")));
}

#[test]
fn a_proxy_is_believed_only_when_it_is_trusted() {
    let site = Site::new();
    let headers = [("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-Proto", "https"), ("Host", "updates.test")];
    let told = |arguments: &[&str]| {
        let mut all = vec!["--http", "127.0.0.1:0", "--log", "debug"];
        all.extend(arguments);
        let mut server = site.start_logging(&all);
        let source = server.get("/debian/stable.sources", &headers).text();
        (source.contains("URIs: https://updates.test/debian\n"), server.logged("path=\"/debian/stable.sources\""))
    };
    let (https, line) = told(&["--trusted-proxies", "127.0.0.0/8"]);
    assert!(https && line.contains("remote=198.51.100.7"), "{line}");
    let (https, line) = told(&["--trusted-proxies", "192.0.2.1,192.0.2.2"]);
    assert!(!https && line.contains("remote=127.0.0.1"), "{line}");
}

#[test]
fn a_signal_reloads_keys_and_log_level_and_tells_what_needs_a_restart() {
    let site = Site::new();
    let config = site.data.parent().unwrap().join("server.toml");
    let configure = |text: &str| durable_files::replace(&config, text.as_bytes(), 0o644).unwrap();
    configure("log = 'info'\n");
    let mut server = site.start_logging(&["--http", "127.0.0.1:0", "--config", config.to_str().unwrap()]);
    let second = new_key();
    let deb = hi("1.0").signed_by(&second);
    assert_eq!(server.publish(&deb).status, 422);

    let ring = site.data.join("package-keys.gpg");
    durable_files::replace(&ring, &second.public_keyring().to_bytes().unwrap(), 0o644).unwrap();
    configure("log = 'info,access=debug'\nhttps = '127.0.0.1:0'\n");
    server.signal(Signal::HUP);
    assert!(server.logged("this setting was changed").contains("setting=\"https\""));
    assert!(server.logged("packages are taken in").contains(&second.fingerprint().unwrap().to_string()));
    server.logged("reloaded");
    assert_eq!(server.publish(&deb).status, 201);
    let read = server.get("/debian/dists/stable/InRelease", &[]);
    server.logged(read.header("x-request-id"));
    assert_eq!(server.publish(&hi("2.0").signed_by(&site.package_key)).status, 422, "the first key is gone");

    // What is wrong is told, and changes nothing.
    durable_files::replace(&ring, b"no keyring", 0o644).unwrap();
    configure("lgo = 'info'\n");
    server.signal(Signal::HUP);
    assert!(server.logged("could not reload the settings").contains("lgo"));
    assert!(server.logged("could not reload the package keys").contains("package-keys.gpg"));
    server.logged("reloaded");
    assert_eq!(server.publish(&hi("2.0").signed_by(&second)).status, 201);
}

#[test]
fn a_signal_exchanges_the_certificate() {
    let site = Site::new();
    let folder = site.data.parent().unwrap();
    let (certificate, key) = (folder.join("tls.pem"), folder.join("tls.key"));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        durable_files::replace(&certificate, made.cert.pem().as_bytes(), 0o644).unwrap();
        durable_files::replace(&key, made.signing_key.serialize_pem().as_bytes(), 0o600).unwrap();
        made.cert.pem()
    };
    let first = renew();
    let files = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let mut server = site.start_logging(&[&["--https", "127.0.0.1:0"][..], &files].concat());
    let url = server.url("/healthz");
    let shown = |pem: &str| agent_trusting(pem).get(&url).call().is_ok();
    assert!(shown(&first));
    let second = renew();
    assert!(shown(&first) && !shown(&second), "nothing changes by itself");
    server.signal(Signal::HUP);
    server.logged("reloaded");
    assert!(shown(&second) && !shown(&first));

    // A key of another certificate is refused.
    let kept = std::fs::read(&certificate).unwrap();
    renew();
    durable_files::replace(&certificate, &kept, 0o644).unwrap();
    server.signal(Signal::HUP);
    server.logged("could not reload the certificate");
    server.logged("reloaded");
    assert!(shown(&second));
}

#[test]
fn the_service_manager_hands_over_sockets() {
    let site = Site::new();
    // Free at this moment; systemd-socket-activate takes no port 0.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let activate = |name: &str| {
        let mut command = std::process::Command::new("systemd-socket-activate");
        command.args(["--listen", &free.to_string(), &format!("--fdname={name}")]);
        // It passes on nothing by itself.
        for (variable, value) in site.command().get_envs() {
            if let (Some(variable), Some(value)) = (variable.to_str(), value.and_then(OsStr::to_str)) {
                command.arg(format!("--setenv={variable}={value}"));
            }
        }
        command.args([SERVER, "--data"]);
        command.arg(&site.data).args(["--https", "127.0.0.1:1"]);
        command
    };
    let mut manager = activate("https").stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(manager.stderr.take().unwrap()).lines().map(Result::unwrap);
    said.find(|line| line.contains("Listening on")).unwrap();
    // The first connection starts the server, and waits for it.
    let pem = std::fs::read_to_string(site.data.join("fleet-ca.pem")).unwrap();
    let answer = Answer::of(agent_trusting(&pem).get(format!("https://{free}/readyz")).call());
    assert_eq!(answer.status, 200);
    let announced = BufReader::new(manager.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert_eq!(announced, format!("listening on https://{free}"), "in place of the address in the settings");
    rustix::process::kill_process(rustix::process::Pid::from_child(&manager), Signal::TERM).unwrap();
    assert!(manager.wait().unwrap().success());

    let mut manager = activate("web").stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(manager.stderr.take().unwrap()).lines().map(Result::unwrap);
    said.find(|line| line.contains("Listening on")).unwrap();
    let _connection = std::net::TcpStream::connect(free).unwrap();
    assert!(said.any(|line| line.contains("\"web\"") && line.contains("FileDescriptorName=")));
    assert!(!manager.wait().unwrap().success());
}
