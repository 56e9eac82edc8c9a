//! A server that misbehaves on purpose: it stands for a broken or hostile one, which no real server can be told to be.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What it does with the files whose path ends in some text.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Sends this many bytes of the body, then breaks the connection.
    CutAfter(usize),
    /// Says nothing of a length and sends without end.
    Endless,
    /// Ignores `Range` and sends the whole file.
    NoRanges,
    /// Answers a `Range` with the part that begins one byte later.
    WrongRange,
}

/// Serves a folder, with faults. Ends with the test's process.
pub struct HostileServer {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    faults: BTreeMap<String, Fault>,
    requests: Vec<(String, Option<String>)>,
}

impl HostileServer {
    /// Serves this folder on a port of its own.
    #[must_use]
    pub fn serve(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (folder, state) = (folder.to_owned(), Arc::clone(&shared));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, state) = (folder.clone(), Arc::clone(&state));
                // A client that goes away is its own business.
                std::thread::spawn(move || answer(stream, &folder, &state).ok());
            }
        });
        Self { url, shared }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Misbehaves for paths that end so.
    pub fn fault(&self, ending: &str, fault: Fault) {
        self.lock().faults.insert(ending.to_owned(), fault);
    }

    /// Behaves again.
    pub fn mend(&self) {
        self.lock().faults.clear();
    }

    /// The requests so far: path and `Range`.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, Option<String>)> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().expect("no request panicked")
    }
}

fn answer(mut stream: TcpStream, folder: &Path, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?.take(16 << 10)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut range, mut conditional) = (None, false);
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or_default();
        if name.eq_ignore_ascii_case("range") {
            range = Some(value.to_owned());
        }
        conditional |= name.eq_ignore_ascii_case("if-range");
    }
    // It gives no date and no tag, so no condition can hold.
    range = range.filter(|_| !conditional);
    let fault = {
        let mut shared = shared.lock().map_err(|_| std::io::Error::other("a request panicked"))?;
        shared.requests.push((path.clone(), range.clone()));
        shared.faults.iter().find(|(ending, _)| path.ends_with(ending.as_str())).map(|(_, fault)| *fault)
    };
    let file: PathBuf = folder.join(path.trim_start_matches('/'));
    let Ok(body) = std::fs::read(&file) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    if let Some(Fault::Endless) = fault {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        loop {
            stream.write_all(&[b'x'; 8192])?;
        }
    }
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let from = from.map(|from| if let Some(Fault::WrongRange) = fault { from + 1 } else { from });
    let from = from.filter(|from| *from <= body.len() && !matches!(fault, Some(Fault::NoRanges)));
    let part = &body[from.unwrap_or(0)..];
    let status = match from {
        Some(from) => format!(
            "206 Partial Content\r\nContent-Range: bytes {from}-{}/{}",
            body.len().saturating_sub(1),
            body.len()
        ),
        None => "200 OK".to_owned(),
    };
    stream.write_all(
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", part.len()).as_bytes(),
    )?;
    let end = if let Some(Fault::CutAfter(bytes)) = fault { part.len().min(bytes) } else { part.len() };
    stream.write_all(&part[..end])
}
