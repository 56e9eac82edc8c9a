//! Many readers that take a large file slowly cost little memory.

use crate::backends::AT_SCALE;
use crate::package::hi;
use crate::running::Site;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How many readers, and the most that they may take: their connections, and a piece of the file for each of them. The
/// stand-in for a bucket takes minutes for a thousand, and pieces that come from a bucket are larger.
const READERS_AND_MEMORY: (usize, u64) = if AT_SCALE { (250, 64 << 20) } else { (1000, 128 << 20) };

#[test]
fn many_slow_readers_take_little_memory() {
    let (count, most) = READERS_AND_MEMORY;
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
    .take(8 << 20)
    .collect();
    let path = server.publish(&large.signed_by(&site.package_key)).published().filename;
    // What a first reader makes it take is not counted.
    server.body(&format!("/debian/{path}"));
    let before = server.resident();
    let address = server.bases[0].strip_prefix("http://").unwrap();
    let readers: Vec<TcpStream> = (0..count)
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
    assert!(grown < most, "{} MiB for {count} readers", grown >> 20);
    // Whoever reads is still served.
    server.body(&format!("/debian/{path}"));
    drop(readers);
}
