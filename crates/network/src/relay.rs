//! The network's own relay: brings two devices together that cannot reach each other, and carries their ciphertext until they can.
//!
//! It owns the server's sockets, whom it admits and how much each may send. It cannot read what it carries: peers speak QUIC
//! through it, encrypted end to end. A coordinator's operator runs it; a home does not. With a certificate it speaks HTTPS and
//! tells devices how the internet sees them, which is what lets them find a direct way; without one it speaks plain HTTP, for the
//! local network and for servers behind a proxy that ends TLS.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use iroh_relay::server::{
    Access, AccessControl, CertConfig, ClientRateLimit, ClientRequest, QuicConfig, RelayConfig, Server,
    ServerConfig, TlsConfig,
};
use protocol::id::DeviceId;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Says whether a device, which has proved its key, may use the relay.
pub type Admits = Arc<dyn Fn(&DeviceId) -> bool + Send + Sync>;

/// How a relay is to be.
#[derive(Debug, Clone)]
pub struct RelaySetup {
    /// Where it speaks HTTP.
    pub http: SocketAddr,
    /// Where it speaks HTTPS, if it has a certificate.
    pub tls: Option<RelayTls>,
    /// What each device may send through it, in bytes per second.
    pub bytes_per_second: Option<NonZeroU32>,
}

/// A relay's certificate and the sockets that need it.
#[derive(Debug, Clone)]
pub struct RelayTls {
    /// Where it speaks HTTPS.
    pub https: SocketAddr,
    /// UDP socket at which devices learn how the internet sees them.
    pub quic: SocketAddr,
    /// Certificate chain, PEM.
    pub certificates: Vec<u8>,
    /// Its private key, PEM.
    pub key: zeroize::Zeroizing<Vec<u8>>,
}

/// Why a relay did not start or stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// Certificate or key cannot be read, or do not belong together.
    #[error("the relay's certificate cannot be used")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A socket is taken, for example.
    #[error("start the relay")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A part of it had ended before.
    #[error("the relay did not end as it should")]
    Stop(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A relay that runs.
#[derive(Debug)]
pub struct Relay {
    server: Server,
}

impl Relay {
    /// Starts one.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn start(setup: RelaySetup, admits: Admits) -> Result<Self, RelayError> {
        let mut relay = RelayConfig::new(setup.http);
        relay.access = Arc::new(Admission(admits));
        relay.limits.client_rx = setup.bytes_per_second.map(ClientRateLimit::new);
        let mut config = ServerConfig::default();
        if let Some(tls) = setup.tls {
            let server_config = server_config(&tls)?;
            let mut quic = QuicConfig::new(tls.quic);
            quic.server_config = Some(server_config.clone());
            relay.tls = Some(TlsConfig::new(tls.https, CertConfig::Manual { server_config }));
            config.quic = Some(quic);
        }
        config.relay = Some(relay);
        let server = Server::spawn(config).await.map_err(|error| RelayError::Start(error.into()))?;
        Ok(Self { server })
    }

    /// Its address on this machine, as a profile would name it.
    pub fn url(&self) -> Option<String> {
        let https = self.server.https_addr().map(|at| format!("https://{at}/"));
        https.or_else(|| self.server.http_addr().map(|at| format!("http://{at}/")))
    }

    /// Ends it; every device's line is closed.
    ///
    /// # Errors
    /// [`RelayError::Stop`].
    pub async fn stop(self) -> Result<(), RelayError> {
        self.server.shutdown().await.map_err(|error| RelayError::Stop(error.into()))
    }
}

fn server_config(tls: &RelayTls) -> Result<rustls::ServerConfig, RelayError> {
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| RelayError::Certificate(error);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&tls.certificates)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(error.into()))?;
    let key = PrivateKeyDer::from_pem_slice(&tls.key).map_err(|error| unusable(error.into()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| unusable(error.into()))
}

struct Admission(Admits);

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admission")
    }
}

impl AccessControl for Admission {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        if (self.0)(&DeviceId(*request.endpoint_id().as_bytes())) {
            return Access::Allow;
        }
        Access::Deny { reason: Some("this device is not of the network".to_owned()) }
    }
}
