//! Asking the pre-provisioning hook.

use super::ProvisioningError;
use fleet_protocol::provisioning::hook::{HookRequest, HookResponse};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Url};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

/// As AWS IoT has it: for all of the question and the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer is longer, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;
const LONGEST_URL: usize = 2048;
const JSON: &str = "application/json";

/// Who asks hooks. Its connections are kept.
#[derive(Debug, Default)]
pub(super) struct Hook {
    client: OnceLock<Client>,
}

impl Hook {
    pub(super) async fn ask(&self, url: &str, request: &HookRequest) -> Result<HookResponse, ProvisioningError> {
        let answer = self.answer(url, request);
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(answer) => answer.map_err(ProvisioningError::Hook),
            Err(_) => Err(ProvisioningError::Hook(format!("none within {} seconds", PATIENCE.as_secs()))),
        }
    }

    async fn answer(&self, url: &str, request: &HookRequest) -> Result<HookResponse, String> {
        let body = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        let client = self.client()?;
        let sent = client.post(url).header(CONTENT_TYPE, JSON).header(ACCEPT, JSON).body(body).send().await;
        // The address is the operator's, and stands in the log anyway.
        let mut response = sent.map_err(|error| explain(&error))?;
        if !response.status().is_success() {
            return Err(format!("{url} answered {}", response.status()));
        }
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| explain(&error))? {
            if answer.len() + piece.len() > LONGEST_ANSWER {
                return Err(format!("the answer of {url} is longer than {LONGEST_ANSWER} bytes"));
            }
            answer.extend_from_slice(&piece);
        }
        serde_json::from_slice(&answer).map_err(|error| format!("the answer of {url} is not a hook's: {error}"))
    }

    fn client(&self) -> Result<&Client, String> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::builder()
            // A redirect could lead a device's parameters elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("debfleet-server/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client.map_err(|error| explain(&error))?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// The library's error with its causes.
fn explain(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Whether devices' parameters may be sent there: encrypted, or not beyond this machine.
pub(super) fn check_url(text: &str) -> Result<(), ProvisioningError> {
    let wrong = || ProvisioningError::HookUrl(text.chars().take(200).collect());
    if text.len() > LONGEST_URL {
        return Err(wrong());
    }
    let url: Url = text.parse().map_err(|_| wrong())?;
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    let is_open = url.username().is_empty() && url.password().is_none();
    match url.scheme() {
        "https" if is_open && !host.is_empty() => Ok(()),
        "http" if is_open && is_here => Ok(()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_never_leave_the_machine_in_clear() {
        for good in
            ["https://factory.example.org/hook?a=1", "http://127.0.0.1:9000/", "http://[::1]:1", "http://localhost/x"]
        {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://factory.example.org",
            "http://127.0.0.1.example.org",
            "https://user:secret@factory.example.org",
            "file:///etc/passwd",
            "factory",
            "",
            "https://",
            &format!("https://x/{}", "a".repeat(2048)),
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
