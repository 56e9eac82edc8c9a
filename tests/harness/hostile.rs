//! A server that misbehaves on purpose: it stands for a broken or hostile one, which no real server can be told to be.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What it does with the files whose path ends in some text.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Sends this many bytes of the body, then breaks the connection.
    CutAfter(usize),
    /// Says nothing of a length and sends without end.
    Endless,
    /// Sends a byte now and then.
    Dripping,
    /// Ignores `Range` and sends the whole file.
    NoRanges,
    /// Answers a `Range` with the part that begins one byte later.
    WrongRange,
    /// Says to whoever has any version of the file that it is the newest.
    NeverModified,
    /// Sends the client to another URL.
    Redirect(String),
}

/// A request and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// With a slash at its beginning.
    pub path: String,
    /// `Range`, if it had one that counted.
    pub range: Option<String>,
    /// `Authorization`.
    pub authorization: Option<String>,
    /// The status of the answer.
    pub status: u16,
}

/// Between two bytes of a dripping body: slower than any network that still works.
const DRIP: std::time::Duration = std::time::Duration::from_millis(200);

/// Serves a folder, with faults. Ends with the test's process.
pub struct HostileServer {
    url: String,
    shared: Arc<(Mutex<Shared>, Condvar)>,
}

#[derive(Default)]
struct Shared {
    faults: BTreeMap<String, Fault>,
    requests: Vec<Request>,
}

impl HostileServer {
    /// Serves this folder on a port of its own.
    #[must_use]
    pub fn serve(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let shared = Arc::<(Mutex<Shared>, Condvar)>::default();
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

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// Waits until there were so many requests.
    pub fn wait_for(&self, count: usize) {
        let (_, arrived) = &*self.shared;
        // Long enough for the slowest machine.
        let patience = Duration::from_secs(300);
        let waited = arrived.wait_timeout_while(self.lock(), patience, |shared| shared.requests.len() < count);
        let (shared, timeout) = waited.expect("no request panicked");
        assert!(!timeout.timed_out(), "only {:?}", shared.requests);
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.lock().requests.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.0.lock().expect("no request panicked")
    }
}

fn answer(mut stream: TcpStream, folder: &Path, shared: &(Mutex<Shared>, Condvar)) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?.take(16 << 10)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or_default();
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    // It gives no date, and a part only to who is sure of the rest.
    let range = headers.get("range").filter(|_| !headers.contains_key("if-range")).cloned();
    let fault = {
        let shared = shared.0.lock().map_err(|_| std::io::Error::other("a request panicked"))?;
        shared.faults.iter().find(|(ending, _)| path.ends_with(ending.as_str())).map(|(_, fault)| fault.clone())
    };
    let body = std::fs::read(folder.join(path.trim_start_matches('/'))).ok();
    let tag = body.as_deref().map(tag_of);
    let known = headers.get("if-none-match");
    let is_known = known.is_some() && (known == tag.as_ref() || matches!(fault, Some(Fault::NeverModified)));
    let from = range.as_ref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let from = from.map(|from| if let Some(Fault::WrongRange) = fault { from + 1 } else { from });
    let length = body.as_ref().map_or(0, Vec::len);
    let from = from.filter(|from| *from <= length && !matches!(fault, Some(Fault::NoRanges)));
    let (status, head) = match (&fault, &body) {
        (Some(Fault::Redirect(to)), _) => (302, format!("Location: {to}\r\nContent-Length: 0\r\n")),
        _ if is_known => (304, String::new()),
        (_, None) => (404, "Content-Length: 0\r\n".to_owned()),
        (Some(Fault::Endless), _) => (200, String::new()),
        (_, Some(_)) => {
            let range =
                from.map(|from| format!("Content-Range: bytes {from}-{}/{length}\r\n", length.saturating_sub(1)));
            let rest = length - from.unwrap_or(0);
            let (tag, range) = (tag.unwrap_or_default(), range.unwrap_or_default());
            (if from.is_some() { 206 } else { 200 }, format!("{range}ETag: {tag}\r\nContent-Length: {rest}\r\n"))
        }
    };
    {
        let mut shared = shared.0.lock().map_err(|_| std::io::Error::other("a request panicked"))?;
        let authorization = headers.get("authorization").cloned();
        shared.requests.push(Request { path, range, authorization, status });
    }
    shared.1.notify_all();
    stream.write_all(format!("HTTP/1.1 {status} Said\r\n{head}Connection: close\r\n\r\n").as_bytes())?;
    if let Some(Fault::Endless) = fault {
        loop {
            stream.write_all(&[b'x'; 8192])?;
        }
    }
    let body = body.filter(|_| matches!(status, 200 | 206)).unwrap_or_default();
    let part = &body[from.unwrap_or(0).min(body.len())..];
    if let Some(Fault::Dripping) = fault {
        for byte in part {
            stream.write_all(&[*byte])?;
            std::thread::sleep(DRIP);
        }
        return Ok(());
    }
    let end = if let Some(Fault::CutAfter(bytes)) = fault { part.len().min(bytes) } else { part.len() };
    stream.write_all(&part[..end])
}

fn tag_of(body: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("\"{:x}\"", hasher.finish())
}
