//! nginx before several servers, as docs/server.md has it.

use crate::debian_root::put;
use crate::server::Server;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An nginx that hands each request to the next server, and a GET to another one if that is dead. It ends with the test.
pub struct Balancer {
    _folder: TempDir,
    nginx: Child,
    address: String,
}

impl Balancer {
    /// Starts it.
    #[must_use]
    pub fn before(servers: &[Server]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Below the ports that the system gives away by itself.
        let address = format!("127.0.0.1:{}", 20_000 + std::process::id() % 10_000);
        let backends = servers.iter().map(|server| server.url().trim_start_matches("http://"));
        let backends: String = backends.map(|address| format!("server {address} max_fails=0; ")).collect();
        let at = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|part| format!("{part}_temp_path {at}/{part}; "))
            .collect();
        let settings = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; events {{}} http {{ access_log off; \
             {temporary} upstream servers {{ {backends} }} server {{ listen {address}; location / {{ \
             proxy_pass http://servers; proxy_http_version 1.1; proxy_set_header Host $http_host; \
             client_max_body_size 0; proxy_request_buffering off; }} }} }}"
        );
        put(&folder.path().join("nginx.conf"), settings.as_bytes());
        let mut nginx = Command::new("nginx");
        nginx.arg("-p").arg(folder.path()).args(["-c", "nginx.conf"]).stdin(Stdio::null()).stderr(Stdio::null());
        let balancer = Self { nginx: nginx.spawn().expect("nginx starts"), _folder: folder, address };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&balancer.address).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen on {}", balancer.address);
            std::thread::sleep(Duration::from_millis(20));
        }
        balancer
    }

    /// Its base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}
