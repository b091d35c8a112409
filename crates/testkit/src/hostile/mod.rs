//! Receivers that misbehave: a server on 127.0.0.1 that speaks by script, below HTTP, and does what no HTTP server
//! does.
//!
//! A script is data ([`Act`]s), so that a table of cases can hold it. Every connection is played the same script.

mod tls;

pub use tls::{Certificate, trusted_certificate};

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::server::TlsStream;

/// How long a dripping receiver waits between two bytes: much shorter than any deadline, so that each byte keeps its
/// client waiting anew.
const DRIP: Duration = Duration::from_millis(10);
/// How many bytes a flood writes at once: whole repetitions of its text.
const FLOOD_BYTES: usize = 16 * 1024;

/// One step of a script.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// The receiver waits for the first bytes of the client.
    Listen,
    /// The receiver writes the bytes.
    Say(&'static [u8]),
    /// The receiver writes the bytes one at a time, over and over, slowly.
    Drip(&'static [u8]),
    /// The receiver writes the bytes as often as the number says.
    Repeat(&'static [u8], u64),
    /// The receiver writes the bytes over and over, as fast as they are taken.
    Flood(&'static [u8]),
    /// The receiver ends its side, and goes on reading.
    HalfClose,
    /// The receiver does nothing any more, and keeps the connection.
    Stall,
    /// The receiver tears the connection down with a reset.
    Reset,
}

/// The layer below the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// TCP alone, under a URL that is `http`.
    Plain,
    /// TCP alone, though the URL is `https`.
    InsteadOfTls,
    /// TLS with that certificate, and with the application protocol that is chosen (`h2`, `http/1.1`).
    Tls(Certificate, &'static str),
}

/// A hostile receiver; dropping it ends it with all its connections.
pub struct HostileReceiver {
    address: SocketAddr,
    layer: Layer,
    written_bytes: Arc<AtomicU64>,
    accepting: Option<JoinHandle<()>>,
    /// Kept so that the port stays open where no connection is accepted.
    _listener: Option<TcpListener>,
}

impl HostileReceiver {
    /// A receiver that plays the script on every connection, and then ends its side of it.
    ///
    /// # Panics
    /// When there is no port to listen on.
    pub async fn playing(layer: Layer, script: &'static [Act]) -> Self {
        let (listener, address) = listening().await;
        let written_bytes = Arc::new(AtomicU64::new(0));
        let written = Arc::clone(&written_bytes);
        let accepting = tokio::spawn(async move {
            // Dropping the set aborts the connections' tasks with this one.
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                serving.spawn(serve(stream, layer, script, Arc::clone(&written)));
            }
        });
        Self { address, layer, written_bytes, accepting: Some(accepting), _listener: None }
    }

    /// A receiver that never takes a connection: the system does, and nobody reads.
    ///
    /// # Panics
    /// When there is no port to listen on.
    pub async fn absent(layer: Layer) -> Self {
        let (listener, address) = listening().await;
        Self { address, layer, written_bytes: Arc::default(), accepting: None, _listener: Some(listener) }
    }

    /// The receiver's URL by that host, which must lead to 127.0.0.1.
    pub fn url(&self, host: &str) -> String {
        let scheme = if self.layer == Layer::Plain { "http" } else { "https" };
        format!("{scheme}://{host}:{}/", self.address.port())
    }

    /// How many bytes its clients have taken so far, with those that the system's buffers hold.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::SeqCst)
    }
}

impl Drop for HostileReceiver {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    (listener, address)
}

/// A connection whose TCP stream is known.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn serve(stream: TcpStream, layer: Layer, script: &'static [Act], written: Arc<AtomicU64>) {
    let mut wire: Box<dyn Wire> = match layer {
        Layer::Plain | Layer::InsteadOfTls => Box::new(stream),
        Layer::Tls(certificate, protocol) => match tls::acceptor(certificate, protocol).accept(stream).await {
            Ok(stream) => Box::new(stream),
            Err(_) => return,
        },
    };
    for act in script {
        // A client that has left ends the script.
        if play(&mut *wire, *act, &written).await.is_err() {
            return;
        }
    }
    if !matches!(script.last(), Some(Act::Reset)) {
        // The kernel resets a connection that is closed while bytes of the client are unread.
        let _ = play(&mut *wire, Act::HalfClose, &written).await;
    }
}

async fn play(wire: &mut dyn Wire, act: Act, written: &AtomicU64) -> io::Result<()> {
    match act {
        Act::Listen => {
            let _first_bytes = wire.read(&mut [0; 4096]).await?;
        }
        Act::Say(bytes) => say(wire, bytes, written).await?,
        Act::Drip(bytes) => loop {
            for byte in bytes {
                say(wire, &[*byte], written).await?;
                tokio::time::sleep(DRIP).await;
            }
        },
        Act::Repeat(bytes, times) => {
            for _ in 0..times {
                say(wire, bytes, written).await?;
            }
        }
        Act::Flood(bytes) => {
            let block = bytes.repeat((FLOOD_BYTES / bytes.len()).max(1));
            loop {
                say(wire, &block, written).await?;
            }
        }
        Act::HalfClose => {
            wire.shutdown().await?;
            while wire.read(&mut [0; 4096]).await? > 0 {}
        }
        Act::Stall => std::future::pending().await,
        Act::Reset => wire.tcp().set_zero_linger()?,
    }
    Ok(())
}

async fn say(wire: &mut dyn Wire, bytes: &[u8], written: &AtomicU64) -> io::Result<()> {
    wire.write_all(bytes).await?;
    wire.flush().await?;
    written.fetch_add(bytes.len() as u64, Ordering::SeqCst);
    Ok(())
}
