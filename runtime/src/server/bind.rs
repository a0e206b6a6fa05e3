//! Listening sockets: both address families of the loopback for `localhost`, with TLS any address, and a Unix
//! socket if asked for.

use std::future::ready;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::Server;
use crate::config::LocalAddress;
use crate::exit::Exit;
use crate::files;

/// Kernel buffer of a client's socket. Small, so that a slow reader gets the newest market data, not
/// minutes-old frames.
const SEND_BUFFER: u32 = 32 * 1024;

const BACKLOG: u32 = 128;

/// Tries to find a port that is free in both families.
const PORT_TRIES: u32 = 16;

/// Pause after the system would not accept a connection (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Sockets that listen.
pub struct Listeners {
    tcp: Vec<TcpListener>,
    tls: Option<TlsAcceptor>,
    unix: Option<(UnixListener, PathBuf)>,
    /// The port taken.
    pub port: u16,
}

/// Listens at the configured addresses; with `tls` the port speaks nothing else.
///
/// # Errors
/// The port is in use, or the Unix socket is (69); or its path cannot be used (78).
pub fn bind(
    local: &LocalAddress,
    tls: Option<TlsAcceptor>,
    unix_socket: Option<&Path>,
) -> Result<Listeners, Exit> {
    let tcp = bind_tcp(local, ("local", "ws"))?;
    let port = tcp.first().and_then(|listener| listener.local_addr().ok()).map_or(local.port, |at| at.port());
    let unix =
        unix_socket.map(|path| bind_unix(path).map(|listener| (listener, path.to_owned()))).transpose()?;
    Ok(Listeners { tcp, tls, unix, port })
}

/// Listens at the address of the pages for monitors; the sockets, and the port taken.
///
/// # Errors
/// The port is in use (69).
pub fn bind_metrics(at: &LocalAddress) -> Result<(Vec<std::net::TcpListener>, u16), Exit> {
    let bound = bind_tcp(at, ("metrics", "http"))?;
    let port = bound.first().and_then(|listener| listener.local_addr().ok()).map_or(at.port, |at| at.port());
    let plain = bound.into_iter().map(TcpListener::into_std).collect::<io::Result<_>>();
    plain.map(|listeners| (listeners, port)).map_err(|error| Exit::failure(format!("no socket: {error}")))
}

/// At that address, which stands under that key of the configuration.
fn bind_tcp(local: &LocalAddress, (key, scheme): (&str, &str)) -> Result<Vec<TcpListener>, Exit> {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    let taken = |at: SocketAddr, error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => Exit::unreachable(format!(
            "{at} is in use by another program; stop it, or set \"{key}\" to another port, e.g. \"{scheme}://localhost:{}\"",
            at.port().saturating_add(1)
        )),
        _ => Exit::unreachable(format!("cannot listen at {at}: {error}")),
    };
    let one = |ip: IpAddr, port: u16| {
        let at = SocketAddr::new(ip, port);
        listen(at).map_err(|error| (at, error))
    };
    match local.host.as_str() {
        "127.0.0.1" => return Ok(vec![one(v4, local.port).map_err(|(at, error)| taken(at, error))?]),
        "[::1]" => return Ok(vec![one(v6, local.port).map_err(|(at, error)| taken(at, error))?]),
        "localhost" => {}
        name => {
            let ips = resolved(name).map_err(|error| {
                Exit::configuration(format!("\"{key}\": {name:?} is no address of this machine: {error}"))
            })?;
            let listening = ips.into_iter().map(|ip| one(ip, local.port));
            return listening.collect::<Result<_, _>>().map_err(|(at, error)| taken(at, error));
        }
    }
    let mut tries = 0;
    loop {
        tries += 1;
        let first = one(v4, local.port).map_err(|(at, error)| taken(at, error))?;
        let port = first.local_addr().map_or(local.port, |at| at.port());
        match one(v6, port) {
            Ok(second) => return Ok(vec![first, second]),
            Err((_, error))
                if error.kind() == io::ErrorKind::AddrInUse && local.port == 0 && tries < PORT_TRIES => {}
            Err((at, error)) if error.kind() == io::ErrorKind::AddrInUse => return Err(taken(at, error)),
            // A machine without IPv6.
            Err(_) => return Ok(vec![first]),
        }
    }
}

/// The first address of a name.
fn resolved(name: &str) -> io::Result<Vec<IpAddr>> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    Ok((bare, 0).to_socket_addrs()?.map(|at| at.ip()).take(1).collect())
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // So that a restart need not wait for the last run's connections to be forgotten.
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

fn bind_unix(path: &Path) -> Result<UnixListener, Exit> {
    let failed =
        |error: io::Error| Exit::configuration(format!("cannot listen at {}: {error}", path.display()));
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(Exit::unreachable(format!(
                "{} is in use by another program; set \"unix_socket\" to another path",
                path.display()
            )));
        }
        remove_stale(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    files::restrict_file(path).map_err(failed)?;
    Ok(listener)
}

/// Removes a socket nobody listens at; any other kind of file stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    if std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return std::fs::remove_file(path);
    }
    Err(io::Error::other("the file is there and is no socket"))
}

impl Listeners {
    /// The address to show.
    pub fn url(&self) -> String {
        let at = self.tcp.first().and_then(|listener| listener.local_addr().ok());
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        at.map_or_else(String::new, |at| format!("{scheme}://{at}"))
    }

    /// Accepts until dropped. Must be called within a `LocalSet`.
    pub fn serve(self, server: &Rc<Server>) {
        for listener in self.tcp {
            let (server, tls) = (Rc::clone(server), self.tls.clone());
            tokio::task::spawn_local(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => {
                            // Without it a small frame could wait for the one before to be acknowledged.
                            let _ = stream.set_nodelay(true);
                            let server = Rc::clone(&server);
                            match &tls {
                                // Whom the name leads to is known by the certificate: a page whose name was
                                // pointed here cannot show one, and no browser would go on.
                                Some(tls) => {
                                    tokio::task::spawn_local(server.serve(tls.accept(stream), false))
                                }
                                None => tokio::task::spawn_local(server.serve(ready(Ok(stream)), true)),
                            };
                        }
                        Err(error) => refused(&error).await,
                    }
                }
            });
        }
        if let Some((listener, path)) = self.unix {
            let server = Rc::clone(server);
            tokio::task::spawn_local(async move {
                let _remove = RemoveOnDrop(path);
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => {
                            tokio::task::spawn_local(Rc::clone(&server).serve(ready(Ok(stream)), false));
                        }
                        Err(error) => refused(&error).await,
                    }
                }
            });
        }
    }
}

async fn refused(error: &io::Error) {
    tracing::warn!(target: "door", reason = %error, "accept_failed");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
