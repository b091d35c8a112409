//! WebSocket frames: whatever bytes a client sends, they become messages that are no longer than the limit, each of
//! which is one of the protocol or closes the connection with a reason that fits into a close frame.

use hookgraph_server::documents::Documents;
use hookgraph_server::http::parse;
use hookgraph_server::limits::{CLOSE_REASON_BYTES_MAX, OPERATION_ID_BYTES_MAX};
use hookgraph_server::websocket::protocol::{Closing, Incoming};
use std::io::{self, Cursor, Read, Write};
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocket, WebSocketConfig};

/// What one message may have, in bytes: little, so that small inputs reach it.
const MESSAGE_BYTES_MAX: usize = 512;

/// The bytes of a client, and nobody who reads the answers.
struct Wire<'a>(Cursor<&'a [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn hold(data: &[u8]) {
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(data)), Role::Server, Some(config));
    while let Ok(message) = socket.read() {
        assert!(message.len() <= MESSAGE_BYTES_MAX);
        if let Message::Text(text) = message {
            judge(text.as_str());
        }
    }
    // The same bytes as one message, whatever frames they would make.
    if let Ok(text) = std::str::from_utf8(data) {
        judge(text);
    }
}

fn judge(text: &str) {
    match Incoming::read(text) {
        Ok(Incoming::Subscribe { id, parameters }) => {
            assert!((1..=OPERATION_ID_BYTES_MAX).contains(&id.len()));
            if let Err(refusal) = parse::from_parameters(parameters, &Documents::default()) {
                assert!(!refusal.message.is_empty());
            }
            fits(&Closing::DuplicateId(id));
        }
        Ok(Incoming::Complete { id }) => assert!((1..=OPERATION_ID_BYTES_MAX).contains(&id.len())),
        Ok(Incoming::Init(_) | Incoming::Ping | Incoming::Pong) => {}
        Err(closing) => {
            assert!(matches!(closing, Closing::BadMessage(_)), "{closing:?}");
            fits(&closing);
        }
    }
}

fn fits(closing: &Closing) {
    let frame = closing.frame();
    assert!((4400..4500).contains(&frame.code));
    assert!(!frame.reason.is_empty() && frame.reason.len() <= CLOSE_REASON_BYTES_MAX);
}
