//! A thousand readers that take a large file slowly cost little memory.

use crate::package::hi;
use crate::running::Site;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const READERS: usize = 1000;
/// Their connections, and one piece of the file for each of them. One of 256 KiB for each would be 250 MiB.
const MOST: u64 = 128 << 20;

#[test]
fn a_thousand_slow_readers_take_little_memory() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let site = Site::new();
    // As if all came by way of a proxy: one address alone may not have so many connections.
    let server = site.start_with(&["--http", "127.0.0.1:0", "--trusted-proxies", "127.0.0.1"]);
    let mut large = hi("1.0");
    let mut state = 1u64;
    // Not to be compressed, and larger than what the kernel keeps for a reader.
    large.content = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(16 << 20)
    .collect();
    let path = server.publish(&large.signed_by(&site.package_key)).published().filename;
    // What a first reader makes it take is not counted.
    server.body(&format!("/debian/{path}"));
    let before = server.resident();
    let address = server.bases[0].strip_prefix("http://").unwrap();
    let readers: Vec<TcpStream> = (0..READERS)
        .map(|_| {
            let mut reader = TcpStream::connect(address).unwrap();
            reader.set_read_timeout(Some(Duration::from_secs(50))).unwrap();
            write!(reader, "GET /debian/{path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            // From here on it takes nothing.
            reader.read_exact(&mut [0; 32 << 10]).unwrap();
            reader
        })
        .collect();
    let grown = server.resident().saturating_sub(before);
    assert!(grown < MOST, "{} MiB for {READERS} readers", grown >> 20);
    // Whoever reads is still served.
    server.body(&format!("/debian/{path}"));
    drop(readers);
}
