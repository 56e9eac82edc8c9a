//! SIGTERM: what is under way ends well, within a bounded time.

use crate::package::hi;
use crate::running::{Server, Site};
use fleet_protocol::publishing::upload_path;
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// A connection to the server with a request's beginning on it.
fn send(server: &Server, request: &str, body: &[u8]) -> TcpStream {
    let mut connection = TcpStream::connect(server.bases[0].strip_prefix("http://").unwrap()).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    connection.write_all(body).unwrap();
    connection
}

fn upload(server: &Server, length: usize, body: &[u8]) -> TcpStream {
    let (path, token) = (upload_path("stable"), &server.token);
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}");
    // The server reads the body once it has told us to go on.
    let mut connection = send(server, &format!("{head}\r\nExpect: 100-continue\r\n\r\n"), b"");
    let mut answer = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    connection.read_exact(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 100"));
    connection.write_all(body).unwrap();
    connection
}

fn rest(mut connection: TcpStream) -> String {
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn an_upload_that_does_not_end_is_told_and_leaves_nothing() {
    let site = Site::new();
    let mut server = site.start_logging(&["--http", "127.0.0.1:0"]);
    let connection = upload(&server, 1 << 20, &[0; 1 << 10]);
    server.signal(Signal::TERM);
    server.logged("stopping");
    let answer = rest(connection);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Server stopping"), "{answer}");
    assert!(server.wait());
    assert_eq!(site.files("incoming").len(), 0);
}

#[test]
fn requests_under_way_come_to_their_end() {
    let site = Site::new();
    let mut server = site.start_logging(&["--http", "127.0.0.1:0"]);
    let mut large = hi("1.0");
    // Random enough not to be compressed, and larger than what the kernel keeps for a slow reader.
    let mut state = 1u64;
    large.content = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(16 << 20)
    .collect();
    let deb = large.signed_by(&site.package_key);
    let path = server.publish(&deb).published().filename;
    let idle = send(&server, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"");
    let download = send(&server, &format!("GET /debian/{path} HTTP/1.0\r\n\r\n"), b"");
    download.peek(&mut [0; 64]).unwrap();
    let small = hi("2.0").signed_by(&site.package_key);
    let (first, last) = small.split_at(small.len() / 2);
    let mut connection = upload(&server, small.len(), first);
    server.signal(Signal::TERM);
    server.logged("stopping");
    connection.write_all(last).unwrap();
    assert!(rest(connection).starts_with("HTTP/1.1 201 "));
    let mut answer = Vec::new();
    (&download).read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(&deb), "{} bytes came", answer.len());
    assert!(rest(idle).starts_with("HTTP/1.1 200 "), "and its connection was closed");
    assert!(server.wait());
    assert!(site.start().check_suite().contains("hi 2.0"));
}
