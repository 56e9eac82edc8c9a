//! MQTT over WebSocket (MQTT 5 §6), for clients whose network lets nothing else through.

use super::exchange::Client;
use super::host::requested_host;
use super::problem::Problem;
use super::state::ServerState;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use bytes::{Buf as _, Bytes};
use futures_util::{Sink, Stream};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The subprotocol's name.
const MQTT: &str = "mqtt";
/// The longest message. A packet may come in several, and one may hold several packets.
const LONGEST_MESSAGE: usize = 256 << 10;
/// What is read at once: each connection holds as much.
const READ_BUFFER: usize = 4 << 10;

/// Speaks MQTT with a device, or a person's browser, over a WebSocket.
pub(super) async fn connect(
    State(state): State<ServerState>,
    Extension(client): Extension<Client>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    check_origin(&state, &client, &uri, &headers)?;
    let front = state.mqtt.clone().ok_or_else(|| Problem::not_found("this server carries no MQTT"))?;
    // Whoever shows no certificate may be a person, who shows a token later, and takes no device's place.
    let certificate = client.certificate;
    let places = if certificate.is_some() { &front.places } else { &front.places_of_people };
    let place = places
        .try_take(client.address)
        .ok_or_else(|| Problem::not_ready("all places for MQTT are taken; try again later"))?;
    let upgrade = upgrade.protocols([MQTT]).max_message_size(LONGEST_MESSAGE).max_frame_size(LONGEST_MESSAGE);
    if upgrade.selected_protocol().is_none() {
        return Err(Problem::bad_request("ask for the WebSocket subprotocol mqtt"));
    }
    let upgrade = upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let stream = Box::new(Bytestream { socket, unread: Bytes::new() });
        front.serve(stream, certificate, client.address, place).await;
    }))
}

/// A browser lets any page open a WebSocket to any server, and says whose page it is. Other clients say nothing.
fn check_origin(state: &ServerState, client: &Client, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = requested_host(uri, headers).ok_or_else(Problem::bad_host)?;
    let origin = origin.to_str().unwrap_or_default();
    if state.web_origins.allow(origin, client.scheme.as_str(), host) {
        return Ok(());
    }
    tracing::warn!(address = %client.address, origin, "refused a WebSocket of a web page from elsewhere");
    Err(Problem::forbidden(
        "web pages of this origin may not connect here; the server's --web-origin names those that may",
    ))
}

/// The bytes of a WebSocket's messages, one behind the other.
struct Bytestream {
    socket: WebSocket,
    /// What came and was not read.
    unread: Bytes,
}

impl AsyncRead for Bytestream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.unread.is_empty() {
                let count = self.unread.len().min(buffer.remaining());
                buffer.put_slice(&self.unread[..count]);
                self.unread.advance(count);
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.unread = bytes,
                // MQTT 5 §6: anything but binary data ends the connection.
                Some(Ok(Message::Close(_) | Message::Text(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
    }
}

impl AsyncWrite for Bytestream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io::Error::other)?;
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut self.socket).start_send(message).map_err(io::Error::other)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(io::Error::other)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(io::Error::other)
    }
}
