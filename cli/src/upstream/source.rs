//! Where an upstream archive is read: over HTTP, or in a folder. No answer is read past the size that was promised, nor
//! waited for without end.

use crate::server::system_roots;
use anyhow::{Context as _, Result, anyhow, bail};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{StatusCode, Uri};
use ureq::tls::{RootCerts, TlsConfig};

/// A file slower than this for its whole length is given up: bytes a second.
const SLOWEST: u64 = 1024;
const SILENCE: Duration = Duration::from_secs(60);
/// Mirrors send clients on to others.
const REDIRECTS: u32 = 5;

/// An upstream archive.
pub(crate) enum Source {
    Http { agent: Box<Agent>, base: String },
    Folder(PathBuf),
}

/// What was found at a path.
pub(crate) enum Found {
    Nothing,
    /// To be read no further than wanted.
    Content(Box<dyn Read + Send>),
}

impl Source {
    /// `http://…`, `https://…`, `file:///…` or a folder: what `dists/` lies in.
    pub(crate) fn new(place: &str) -> Result<Self> {
        if let Some(path) = place.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Self::folder(path);
        }
        let Some((scheme, _)) = place.split_once("://") else { return Self::folder(place) };
        let uri: Uri = place.parse().with_context(|| format!("{place:?} is not a URL"))?;
        if uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            bail!("{place:?} is not the plain address of an archive; give one such as http://deb.debian.org/debian");
        }
        let mut config = Agent::config_builder()
            .user_agent(concat!("debfleet/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(REDIRECTS)
            .timeout_resolve(Some(Duration::from_secs(20)))
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE));
        match scheme {
            // It may send on to https; without the roots that would fail.
            "http" | "https" => {
                let roots = RootCerts::Specific(Arc::new(system_roots()?));
                config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
            }
            _ => bail!("{place:?} is neither http, https, file nor a folder"),
        }
        let agent = Box::new(Agent::new_with_config(config.build()));
        Ok(Self::Http { agent, base: place.trim_end_matches('/').to_owned() })
    }

    fn folder(path: &str) -> Result<Self> {
        let folder = PathBuf::from(path);
        if !folder.join("dists").is_dir() {
            bail!("{path} holds no folder `dists`, as an apt archive does");
        }
        Ok(Self::Folder(folder))
    }

    /// A path in the archive, as people read it.
    pub(crate) fn name_of(&self, path: &str) -> String {
        match self {
            Self::Http { base, .. } => format!("{base}/{}", url_path(path)),
            Self::Folder(folder) => folder.join(path).display().to_string(),
        }
    }

    /// Opens what is at a path; `size` is how much is wanted at most.
    pub(crate) fn open(&self, path: &str, size: u64) -> Result<Found> {
        let name = self.name_of(path);
        match self {
            Self::Folder(folder) => match File::open(folder.join(path)) {
                Ok(file) => Ok(Found::Content(Box::new(file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
                Err(error) => Err(error).with_context(|| format!("could not read {name}")),
            },
            Self::Http { agent, .. } => {
                let longest = SILENCE + Duration::from_secs(size / SLOWEST);
                let request = agent.get(&name).config().timeout_recv_body(Some(longest)).build();
                let answer = request.call().map_err(|error| explain(&error)).with_context(|| failed(&name))?;
                match answer.status() {
                    StatusCode::OK => Ok(Found::Content(Box::new(answer.into_body().into_reader()))),
                    StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Found::Nothing),
                    status => bail!("{}: it answered {status}", failed(&name)),
                }
            }
        }
    }

    /// A small file, whole; none if there is no such file.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Found::Content(content) = self.open(path, limit)? else { return Ok(None) };
        let name = self.name_of(path);
        let mut bytes = Vec::new();
        content.take(limit + 1).read_to_end(&mut bytes).with_context(|| failed(&name))?;
        if bytes.len() as u64 > limit {
            bail!("refused {name}: it is longer than {limit} bytes");
        }
        Ok(Some(bytes))
    }
}

fn failed(name: &str) -> String {
    format!("could not fetch {name}")
}

/// The library's error, and for the usual ones what to do.
fn explain(error: &ureq::Error) -> anyhow::Error {
    let hint = match error {
        ureq::Error::Io(io) if io.to_string().contains("lookup") => "the archive's name is not known; check the URL",
        ureq::Error::HostNotFound => "the archive's name is not known; check the URL",
        ureq::Error::ConnectionFailed => "nothing answers there; check the URL",
        ureq::Error::Io(io) if io.kind() == io::ErrorKind::ConnectionRefused => "nothing answers there; check the URL",
        ureq::Error::Timeout(_) => "the archive took too long; try again",
        ureq::Error::TooManyRedirects => "it is sent on again and again; give the archive's final address",
        _ => return anyhow!("{error}"),
    };
    anyhow!("{error}").context(hint)
}

/// A file's path as one of a URL: archives have names such as `hi_1%3a2.0_all.deb`, where the percent sign is itself.
fn url_path(path: &str) -> String {
    let encoded = path.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b':' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_a_path() {
        assert_eq!(url_path("pool/main/g/g++_1:2~rc+1_all.deb"), "pool/main/g/g++_1:2~rc+1_all.deb");
        assert_eq!(url_path("a%3ab?c#d e\\@f"), "a%253ab%3Fc%23d%20e%5C%40f");
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        for place in
            ["ftp://example.org/debian", "http://", "https://example.org/debian?x=y", "/nowhere", "file:///tmp"]
        {
            assert!(Source::new(place).is_err(), "{place}");
        }
    }
}
