//! Listening sockets that the service manager opened (sd_listen_fds(3)): it may hold a port below 1024 for us, and
//! keeps connections waiting while the server is started again.

use crate::config::Endpoint;
use listenfd::ListenFd;
use std::io;
use std::net::TcpListener;

/// Sockets that were handed over, and what each of them is for.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(Endpoint, TcpListener)>,
}

/// Sockets that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// The variables make no sense.
    #[error("the service manager's LISTEN_* variables are wrong: {0}")]
    Variables(io::Error),
    /// A name that says nothing.
    #[error(
        "the service manager handed over a socket with the name {0:?}; \
         set FileDescriptorName= in its .socket unit to http, https, mqtts or metrics"
    )]
    Name(String),
    /// Not a listening TCP socket.
    #[error("the socket {endpoint} that the service manager handed over cannot be used: {source}")]
    Socket {
        /// Its name.
        endpoint: Endpoint,
        /// Why.
        source: io::Error,
    },
}

impl Inherited {
    /// Takes what the service manager handed over. To be called once, before there are threads: it removes the
    /// variables that say so.
    pub fn take() -> Result<Self, InheritError> {
        let named = sd_notify::listen_fds_with_names().map_err(InheritError::Variables)?;
        let names = named.map(|(_, name)| name.parse().map_err(|_| InheritError::Name(name)));
        let names = names.collect::<Result<Vec<Endpoint>, _>>()?;
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for (number, endpoint) in names.into_iter().enumerate() {
            let fail = |source| InheritError::Socket { endpoint, source };
            if let Some(socket) = handed.take_tcp_listener(number).map_err(fail)? {
                socket.set_nonblocking(true).map_err(fail)?;
                sockets.push((endpoint, socket));
            }
        }
        Ok(Self { sockets })
    }

    /// What they are for.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.sockets.iter().map(|(endpoint, _)| *endpoint).collect()
    }

    pub(crate) fn into_sockets(self) -> Vec<(Endpoint, TcpListener)> {
        self.sockets
    }
}
