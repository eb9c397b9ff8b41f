//! The encrypted way, against a TLS server with a certificate of its own behind a forwarder that counts what the wire
//! carries.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;
use crate::journal::MemoryJournal;

/// A server for `localhost` that answers every request with `body`, and the certificate to trust.
async fn tls_server(body: Vec<u8>) -> (SocketAddr, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the certificate hangs up here.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = Vec::new();
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap() == 0 {
                    break;
                }
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
            stream.flush().await.unwrap();
            // Until the client has said goodbye.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
        }
    });
    (address, certificate)
}

/// Forwards one connection to `target` and tells how many bytes went (to it, from it).
async fn counting_forwarder(target: SocketAddr) -> (SocketAddr, tokio::task::JoinHandle<(u64, u64)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let counted = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(target).await.unwrap();
        tokio::io::copy_bidirectional(&mut near, &mut far).await.unwrap()
    });
    (address, counted)
}

fn net_trusting(certificate: CertificateDer<'static>) -> (Net, Arc<MemoryJournal>) {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let journal = Arc::new(MemoryJournal::default());
    let net = Net {
        journal: Arc::clone(&journal) as Arc<dyn Journal>,
        clock: system_clock(),
        tls: Tls::trusting(roots),
    };
    (net, journal)
}

#[tokio::test]
async fn encrypted_call_is_counted_as_the_wire_carries_it() {
    let (server, certificate) = tls_server(vec![b'z'; 200_000]).await;
    let (forwarder, counted) = counting_forwarder(server).await;
    let (net, journal) = net_trusting(certificate);
    let url = format!("https://localhost:{}/v1/enroll", forwarder.port());
    let answer = net.request(Request::get(Purpose::Coordinator, "enroll", url)).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 200_000));
    let (sent, received) = tokio::time::timeout(Duration::from_secs(10), counted).await.unwrap().unwrap();
    let row = journal.rows().remove(0);
    assert_eq!(row.counts.sent_bytes, sent, "handshake, request and goodbye are all sent bytes");
    if let Some(system) = row.counts.system {
        assert_eq!(system.sent_bytes, sent, "the kernel counts below encryption, as the meter does");
    }
    // The server's own goodbye may come after the client has heard enough.
    assert!(
        row.counts.received_bytes > 200_000 && row.counts.received_bytes <= received,
        "{row:?}, {received}"
    );
    assert!(sent <= row.egress.ceiling_sent_bytes && received <= row.egress.ceiling_received_bytes);
    assert_eq!(row.egress.destination, format!("localhost:{}", forwarder.port()));
}

#[tokio::test]
async fn certificate_that_is_not_trusted_ends_the_call_before_the_request() {
    let (server, _) = tls_server(b"secret".to_vec()).await;
    let journal = Arc::new(MemoryJournal::default());
    let net = Net::with_system_clock(Arc::clone(&journal) as Arc<dyn Journal>);
    let url = format!("https://localhost:{}/", server.port());
    let error = net.request(Request::get(Purpose::Coordinator, "enroll", url)).await.unwrap_err();
    assert!(matches!(error, NetError::Tls { .. }), "{error:?}");
    assert_eq!(journal.rows()[0].ended.map(|(outcome, _)| outcome), Some(Outcome::Failed));
}

#[tokio::test]
async fn certificate_for_another_name_is_refused() {
    let (server, certificate) = tls_server(b"secret".to_vec()).await;
    let (net, _) = net_trusting(certificate);
    let error = net
        .request(Request::get(Purpose::Coordinator, "enroll", format!("https://{server}/")))
        .await
        .unwrap_err();
    assert!(matches!(error, NetError::Tls { .. }), "{error:?}");
}
