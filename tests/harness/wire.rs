//! A network that breaks at a chosen place of the server's answers.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Forwards connections to a server. Once it has carried so many bytes of answers, it carries nothing more, either way,
/// and the server has still done what it was asked.
pub struct Wire {
    address: SocketAddr,
    left: Arc<AtomicU64>,
}

impl Wire {
    /// A whole one, to `host:port`.
    #[must_use]
    pub fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let (shared, server) = (Arc::clone(&left), server.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let copies = [(&client, &server, None), (&server, &client, Some(Arc::clone(&shared)))];
                for (from, to, left) in copies {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    std::thread::spawn(move || carry(from, to, left.as_deref()));
                }
            }
        });
        Self { address, left }
    }

    /// From now on it carries so many bytes of answers.
    pub fn break_after(&self, bytes: u64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// From now on it carries everything.
    pub fn mend(&self) {
        self.break_after(u64::MAX);
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, left: Option<&AtomicU64>) {
    let mut buffer = [0; 4096];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let allowed = left.map_or(count, |left| {
            let before =
                left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(count as u64)));
            usize::try_from(before.unwrap_or_default()).unwrap_or(usize::MAX).min(count)
        });
        if to.write_all(&buffer[..allowed]).is_err() || allowed < count {
            break;
        }
    }
    // Whoever waits on either side hears of the end.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
