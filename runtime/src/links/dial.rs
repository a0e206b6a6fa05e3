//! Dialling: name, TCP, TLS where asked for, websocket upgrade.
//!
//! All up to the end of the TLS handshake is the work of a thread of its own, so that checking certificates never makes
//! a tick wait. What it has opened is handed over whole and driven by the loop from then on.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::words;

/// Longest for one address of the name to answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Largest message taken. The largest known is exchangeInfo, about 15 MB in 2026.
const MESSAGE_BYTES: usize = 64 << 20;

/// Read at a time. The library clears so much before every read, so it is what a depth frame needs and not what the
/// largest message would.
const READ_BYTES: usize = 8 * 1024;

/// Connections that may wait for the thread. Links and requests together are fewer.
const WAITING: usize = 64;

/// An open websocket.
pub(super) enum Socket {
    Plain(Box<WebSocketStream<TcpStream>>),
    Tls(Box<WebSocketStream<TlsStream<TcpStream>>>),
}

/// An open connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection on its way from the thread to the loop.
enum Opened {
    Plain(std::net::TcpStream),
    Tls(std::net::TcpStream, Box<ClientConnection>),
}

struct Job {
    host: Host,
    reply: oneshot::Sender<Result<Opened, String>>,
}

/// Opens connections; the thread it does so on is started with the first, and ends with it.
pub(super) struct Dialler {
    tls: TlsConnector,
    jobs: RefCell<Option<mpsc::Sender<Job>>>,
}

impl Dialler {
    pub(super) fn new(tls: TlsConnector) -> Self {
        Self { tls, jobs: RefCell::new(None) }
    }

    /// Opens a websocket to a `ws://` or `wss://` address, with these header fields besides those of the protocol.
    pub(super) async fn websocket(
        &self,
        url: &str,
        headers: Vec<(&'static str, String)>,
    ) -> Result<Socket, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url} is no address: {error}"))?;
        let secure = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") => false,
            _ => return Err(format!("{url} is no websocket address")),
        };
        let host = Host::of(&uri, secure).ok_or_else(|| format!("{url} names no host"))?;
        let mut request = uri.into_client_request().map_err(|error| format!("{host}: {}", words(&error)))?;
        for (name, value) in headers {
            // What is wrong with it is not told: it may be a key.
            let mut value =
                HeaderValue::from_str(&value).map_err(|_| format!("{host}: {name} is no header"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        // Every frame leaves at once, and flushing is one write.
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_BYTES))
            .max_frame_size(Some(MESSAGE_BYTES));
        let upgraded = match self.connect(&host).await? {
            Stream::Plain(stream) => client_async_with_config(request, stream, Some(config))
                .await
                .map(|(socket, _)| Socket::Plain(Box::new(socket))),
            Stream::Tls(stream) => client_async_with_config(request, *stream, Some(config))
                .await
                .map(|(socket, _)| Socket::Tls(Box::new(socket))),
        };
        upgraded.map_err(|error| format!("{host}: {}", words(&error)))
    }

    /// Name, TCP, and TLS where asked for.
    pub(super) async fn connect(&self, host: &Host) -> Result<Stream, String> {
        let at = |reason: String| format!("{host}: {reason}");
        let (reply, opened) = oneshot::channel();
        let job = Job { host: host.clone(), reply };
        self.thread().map_err(at)?.send(job).await.map_err(|_| at(ENDED.to_owned()))?;
        match opened.await.map_err(|_| at(ENDED.to_owned()))?.map_err(at)? {
            Opened::Plain(stream) => TcpStream::from_std(stream).map(Stream::Plain),
            Opened::Tls(stream, session) => self.taken_over(host, stream, *session).await,
        }
        .map_err(|error| at(error.to_string()))
    }

    /// A stream of this loop around a session whose handshake is done. The connector takes no such session, but lets
    /// the one it begins be changed before a byte of it is sent.
    async fn taken_over(
        &self,
        host: &Host,
        stream: std::net::TcpStream,
        session: ClientConnection,
    ) -> std::io::Result<Stream> {
        let stream = TcpStream::from_std(stream)?;
        let name = host.server_name().map_err(std::io::Error::other)?;
        let stream = self.tls.connect_with(name, stream, |begun| *begun = session).await?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    fn thread(&self) -> Result<mpsc::Sender<Job>, String> {
        let mut jobs = self.jobs.borrow_mut();
        if let Some(jobs) = jobs.as_ref().filter(|jobs| !jobs.is_closed()) {
            return Ok(jobs.clone());
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("no event loop to dial in: {error}"))?;
        let tls = self.tls.clone();
        std::thread::Builder::new()
            .name(THREAD.into())
            .spawn(move || {
                runtime.block_on(work(receiver, tls));
                // A name that is still being looked up is not waited for.
                runtime.shutdown_background();
            })
            .map_err(|error| format!("no thread to dial on: {error}"))?;
        Ok(jobs.insert(sender).clone())
    }
}

/// Name of the thread.
const THREAD: &str = "dial";
const ENDED: &str = "the thread that dials has ended";

/// Opens what is asked for, all at once; what nobody waits for any more is dropped.
async fn work(mut jobs: mpsc::Receiver<Job>, tls: TlsConnector) {
    while let Some(Job { host, mut reply }) = jobs.recv().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            let opened = tokio::select! {
                opened = host.open(&tls) => opened,
                () = reply.closed() => return,
            };
            // Fails if it was given up this moment: the connection is then closed.
            let _ = reply.send(opened);
        });
    }
}

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host {
    name: String,
    port: u16,
    secure: bool,
}

impl Host {
    /// The host of an address; `None` if it names none.
    pub(super) fn of(uri: &Uri, secure: bool) -> Option<Self> {
        let name = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Some(Self { name, port, secure })
    }

    fn server_name(&self) -> Result<ServerName<'static>, String> {
        ServerName::try_from(self.name.clone()).map_err(|error| error.to_string())
    }

    async fn open(&self, tls: &TlsConnector) -> Result<Opened, String> {
        let stream = connect(&self.name, self.port).await?;
        if !self.secure {
            return stream.into_std().map(Opened::Plain).map_err(|error| error.to_string());
        }
        let stream =
            tls.connect(self.server_name()?, stream).await.map_err(|error| format!("tls: {error}"))?;
        let (stream, session) = stream.into_inner();
        let stream = stream.into_std().map_err(|error| error.to_string())?;
        Ok(Opened::Tls(stream, Box::new(session)))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// The first address of the name that answers.
async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = tokio::net::lookup_host((host, port)).await;
    let mut reason = "the name has no address".to_owned();
    for address in addresses.map_err(|error| format!("the name cannot be resolved: {error}"))? {
        match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                return Ok(stream);
            }
            Ok(Err(error)) => reason = error.to_string().to_lowercase(),
            Err(_) => reason = format!("no answer within {} s", CONNECT_WITHIN.as_secs()),
        }
    }
    Err(reason)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ed25519_dalek::pkcs8::EncodePrivateKey as _;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::aws_lc_rs::{default_provider, sign::any_eddsa_type};
    use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;
    use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Takes any certificate, and notes which thread it was asked on.
    #[derive(Debug, Default)]
    struct Witness(Mutex<Vec<String>>);

    impl Witness {
        fn note(&self) {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            self.0.lock().unwrap().push(name);
        }
    }

    impl ServerCertVerifier for Witness {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            self.note();
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.note();
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.note();
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }
    }

    #[derive(Debug)]
    struct Anyone(Arc<CertifiedKey>);

    impl ResolvesServerCert for Anyone {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    fn acceptor() -> TlsAcceptor {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).to_pkcs8_der().unwrap();
        let key = any_eddsa_type(&PrivatePkcs8KeyDer::from(key.as_bytes())).unwrap();
        let key = CertifiedKey::new(vec![CertificateDer::from(vec![0; 8])], key);
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Anyone(Arc::new(key))));
        TlsAcceptor::from(Arc::new(config))
    }

    fn connector(witness: &Arc<Witness>) -> TlsConnector {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(witness) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    #[tokio::test]
    async fn certificates_are_checked_off_the_loop_and_the_stream_lives_on_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let witness = Arc::new(Witness::default());
        let dialler = Dialler::new(connector(&witness));
        let host = Host { name: "localhost".to_owned(), port, secure: true };
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor().accept(stream).await.unwrap();
            // Nobody has asked yet: what came with the handshake must not be lost.
            stream.write_all(b"first").await.unwrap();
            let mut heard = [0; 5];
            stream.read_exact(&mut heard).await.unwrap();
            heard
        };
        let ask = async {
            let Stream::Tls(mut stream) = dialler.connect(&host).await.unwrap() else { panic!("not secure") };
            let mut heard = [0; 5];
            stream.read_exact(&mut heard).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            stream.flush().await.unwrap();
            heard
        };
        assert_eq!(tokio::join!(serve, ask), (*b"hello", *b"first"));
        let threads = witness.0.lock().unwrap().clone();
        assert!(!threads.is_empty() && threads.iter().all(|name| name == THREAD), "{threads:?}");
    }
}
