//! A server that hangs up is asked again, where that is safe.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{debfleet, run};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

/// Answers the requests that come with these, in this order, an empty one by hanging up; gives their keys.
fn serve(answers: [&'static str; 3]) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let answer = |answer: &str| {
            let mut connection = BufReader::new(listener.accept().unwrap().0);
            let (mut key, mut length) = (String::new(), 0);
            for line in connection.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()) {
                let (name, value) = line.split_once(": ").unwrap_or_default();
                match name.to_lowercase().as_str() {
                    "idempotency-key" => key = value.to_owned(),
                    "content-length" => length = value.parse().unwrap(),
                    _ => {}
                }
            }
            connection.read_exact(&mut vec![0; length]).unwrap();
            connection.get_mut().write_all(answer.as_bytes()).unwrap();
            key
        };
        answers.map(answer).to_vec()
    });
    (address, serving)
}

#[test]
fn a_snapshot_whose_answer_was_lost_is_asked_for_with_the_same_key() {
    let (address, serving) = serve([
        "",
        "HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\nConnection: close\r\nContent-Length: 67\r\n\r\n\
         {\"title\":\"Request in progress\",\"status\":409,\"detail\":\"in a moment\"}",
        "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 33\r\n\r\n{\"name\":\"stable-20260101t000000\"}",
    ]);
    let command = ["suite", "snapshot", "stable", "--server", &address];
    let made = run(debfleet(&command).env("DEBFLEET_TOKEN", "s3cret"));
    assert_eq!(made.stdout, "stable-20260101t000000\n", "{}", made.stderr);
    let keys = serving.join().unwrap();
    assert!(keys[0].len() > 10 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}
