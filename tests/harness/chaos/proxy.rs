//! The network between the servers and their database: a TCP proxy that a test cuts and heals.

use anyhow::{Context, ensure};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The state of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Everything comes through.
    Up,
    /// Connections break, and no new one comes through.
    Cut,
    /// Nothing comes through any more, and nobody says so.
    Silent,
    /// Nothing comes through any more. A connection that was open before, or was opened meanwhile, stays as it is when
    /// the network is back: the router between has forgotten it.
    Swallowing,
}

/// How many more times the network is down before the server finds out, by asking, that the other end of a connection
/// which it swallowed is not there. A server that is never told runs out of connections.
const TIMES_UNNOTICED: usize = 4;

/// A proxy, which a test cuts and heals.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// The address on which the proxy listens.
    pub address: SocketAddr,
    network: Arc<watch::Sender<Network>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, for that server.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn start(server: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (network, state) = watch::channel(Network::Up);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server.clone(), state.clone()));
            }
        });
        Ok(Self { address, network: Arc::new(network) })
    }

    /// A proxy to a database, and the database's URL through it.
    ///
    /// # Errors
    /// Where the URL has no port, or no port is free.
    pub async fn of_database(url: &str) -> anyhow::Result<(String, Self)> {
        let mut url = url::Url::parse(url)?;
        let proxy = Self::start(format!("127.0.0.1:{}", url.port().context("a port")?)).await?;
        ensure!(url.set_port(Some(proxy.address.port())).is_ok(), "a URL with a port");
        Ok((url.into(), proxy))
    }

    /// Puts the network into that state.
    pub fn be(&self, network: Network) {
        self.network.send_replace(network);
    }
}

/// Forwards until an end closes or the network is no longer up. A connection that was silent breaks as the network
/// comes back.
async fn forward(mut client: TcpStream, server: String, mut network: watch::Receiver<Network>) {
    if *network.borrow() == Network::Up
        && let Ok(mut server) = TcpStream::connect(server).await
    {
        tokio::select! {
            _ = network.wait_for(|network| *network != Network::Up) => {}
            _ = copy_bidirectional(&mut client, &mut server) => return,
        }
        // The server's end stays open too.
        if *network.borrow() == Network::Swallowing {
            until_it_is_noticed(network.clone()).await;
            drop(server);
        }
        return until_it_breaks(network).await;
    }
    until_it_breaks(network).await;
}

async fn until_it_is_noticed(mut network: watch::Receiver<Network>) {
    for _ in 0..TIMES_UNNOTICED {
        for state in [Network::Up, Network::Swallowing] {
            // An error is the end of the test.
            let _ = network.wait_for(|network| *network == state).await;
        }
    }
}

async fn until_it_breaks(mut network: watch::Receiver<Network>) {
    if *network.borrow() == Network::Swallowing {
        return std::future::pending().await;
    }
    // An error is the end of the test.
    let _ = network.wait_for(|network| *network != Network::Silent).await;
}
