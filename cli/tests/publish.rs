//! `debfleet publish` against a server of a few lines that records what it is sent; the real one is met in the
//! end-to-end tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Outcome, Scratch, debfleet, run};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// What one request said.
struct Request {
    line: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    #[track_caller]
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find_map(|line| {
            let (key, value) = line.split_once(':').unwrap();
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        found.unwrap_or_else(|| panic!("no header {name} in {:?}", self.headers))
    }
}

const REFUSAL: &str = "HTTP/1.1 403 Forbidden\r\ncontent-type: application/problem+json\r\n";

/// Answers each connection with the next answer: `(head, body)`. A refusal is sent without reading the body.
fn serve(answers: Vec<(&'static str, &'static str)>) -> (String, JoinHandle<Vec<Request>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || answers.into_iter().map(|answer| answer_one(&listener, answer)).collect());
    (address, serving)
}

fn answer_one(listener: &TcpListener, (head, body): (&str, &str)) -> Request {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let mut request = Request { line: lines.remove(0), headers: lines, body: Vec::new() };
    let mut stream: TcpStream = stream;
    if head.starts_with("HTTP/1.1 2") {
        assert_eq!(request.header("expect"), "100-continue");
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let length: u64 = request.header("content-length").parse().unwrap();
        reader.take(length).read_to_end(&mut request.body).unwrap();
    }
    write!(stream, "{head}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    request
}

const CREATED: &str = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\n";
const PUBLISHED: &str = r#"{"package":"hi","version":"0.1.0-1","architecture":"all","suite":"stable","filename":"pool/main/h/hi/hi_0.1.0-1_all.deb","sha256":"00","created":true}"#;
const PROBLEM: &str =
    r#"{"title":"Not a publisher","status":403,"detail":"the token may only read; use one of a publisher"}"#;

fn publish(files: &[&str], server: &str, more: &[&str]) -> Outcome {
    let arguments = [&["publish"], files, &["--server", server, "--suite", "stable"], more].concat();
    run(debfleet(&arguments).env("DEBFLEET_TOKEN", "s3cret").env("http_proxy", "http://127.0.0.1:1"))
}

fn signed(scratch: &Scratch) -> String {
    let key = scratch.key("keys");
    scratch.build(&scratch.copy_example("hi", "src"), "out", &key)
}

#[test]
fn the_package_and_the_token_arrive() {
    let scratch = Scratch::new();
    let deb = signed(&scratch);
    let (server, serving) = serve(vec![(CREATED, PUBLISHED), (CREATED, PUBLISHED)]);
    let told = publish(&[&deb], &server, &[]).ok();
    assert_eq!(told, "hi 0.1.0-1 for all published in stable: pool/main/h/hi/hi_0.1.0-1_all.deb\n");
    let told = publish(&[&deb], &server, &["--json"]).ok();
    assert_eq!(told.trim_end(), PUBLISHED);
    let requests = serving.join().unwrap();
    assert_eq!(requests[0].line, "POST /api/v1/suites/stable/packages HTTP/1.1");
    assert_eq!(requests[0].header("authorization"), "Bearer s3cret");
    assert_eq!(requests[0].header("content-type"), "application/vnd.debian.binary-package");
    assert!(requests[0].headers.iter().all(|line| !line.to_lowercase().starts_with("transfer-encoding")));
    assert_eq!(requests[0].body, std::fs::read(&deb).unwrap());
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let scratch = Scratch::new();
    let deb = signed(&scratch);
    let (server, serving) = serve(vec![(REFUSAL, PROBLEM)]);
    let words = "Not a publisher (403): the token may only read; use one of a publisher";
    publish(&[&deb], &server, &[]).fails(1, &["could not publish ", "hi_0.1.0-1_all.deb", words]);
    serving.join().unwrap();
}

#[test]
fn the_first_failure_ends_it_and_says_what_was_published() {
    let scratch = Scratch::new();
    let deb = signed(&scratch);
    let (server, serving) = serve(vec![(CREATED, PUBLISHED), (REFUSAL, PROBLEM)]);
    let outcome = publish(&[&deb, &deb, &deb], &server, &[]);
    assert_eq!(outcome.code, 1);
    assert_eq!(outcome.stdout.lines().count(), 1);
    assert!(outcome.stderr.contains(&format!("published before: {deb}")), "{}", outcome.stderr);
    serving.join().unwrap();
}

#[test]
fn a_redirect_is_not_followed() {
    let scratch = Scratch::new();
    let deb = signed(&scratch);
    let (server, serving) = serve(vec![("HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\n", "")]);
    publish(&[&deb], &server, &[]).fails(1, &["307", "leads elsewhere"]);
    serving.join().unwrap();
}

#[test]
fn what_can_be_refused_here_is_not_sent() {
    let scratch = Scratch::new();
    let deb = signed(&scratch);
    let unsigned = run(&mut debfleet(&["build", &scratch.text("src"), "--out", &scratch.text("unsigned")])).ok();
    let nowhere = "http://127.0.0.1:1";
    publish(&[&deb, unsigned.trim_end()], nowhere, &[]).fails(1, &["unsigned/hi_", "no origin signature"]);
    publish(&[&deb], nowhere, &[]).fails(1, &["nothing answers there"]);
    publish(&[&deb], "http://fleet.example.org", &[]).fails(1, &["would carry the token in clear"]);
    publish(&[&deb], "https://127.0.0.1:1", &["--ca", &scratch.text("absent.pem")]).fails(1, &["absent.pem"]);
    publish(&[&deb], "https://127.0.0.1:1", &["--ca", &deb]).fails(1, &["holds no certificate"]);
    let no_token = ["publish", deb.as_str(), "--server", nowhere, "--suite", "stable"];
    run(&mut debfleet(&no_token)).fails(1, &["DEBFLEET_TOKEN is not set"]);
    assert_eq!(publish(&[&deb], nowhere, &["--suite", "Stable!"]).code, 2);
}
