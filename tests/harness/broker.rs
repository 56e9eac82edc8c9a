//! The brokers that carry a fleet's messages.

use crate::debian_root::put;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For a program to start; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which broker carries a fleet's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    /// The server's own.
    Embedded,
    /// A real Mosquitto, by the configuration that the server writes.
    Mosquitto,
}

/// A Mosquitto that runs by a folder of the server's.
pub(crate) struct Mosquitto {
    folder: PathBuf,
    port: u16,
    running: Option<Child>,
}

impl Mosquitto {
    /// One for which the server is to write this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        Self { folder: folder.to_owned(), port: free.expect("there is a free port").port(), running: None }
    }

    /// Where it takes MQTT over TLS.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How the server is told of it.
    pub(crate) fn arguments(&self) -> [String; 4] {
        let folder = self.folder.to_str().expect("a folder with a plain name");
        ["--broker".into(), format!("mosquitto://{}", self.address()), "--broker-folder".into(), folder.into()]
    }

    /// Starts it on what the server has written.
    pub(crate) fn start(&mut self) {
        // As root it would become another user, who reads nothing of the test's.
        put(&self.folder.join("conf.d/test.conf"), b"user root\n");
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(self.folder.join("mosquitto.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        self.running = Some(command.spawn().expect("mosquitto starts; `cargo xtask test` installs it"));
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "Mosquitto does not listen on {}", self.port);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.kill();
            let _ = running.wait();
        }
    }
}
