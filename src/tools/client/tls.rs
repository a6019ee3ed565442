//! TLS as a client, for a server at an https address. The server itself speaks none. The only user
//! of `rustls`.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::{env, fs};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::connection::{Connection, Wire};

/// A connection that is encrypted, with an end that was verified.
pub type TlsConnection = StreamOwned<ClientConnection, Connection>;

impl Wire for TlsConnection {
    fn connection(&mut self) -> &mut Connection {
        &mut self.sock
    }
}

/// Speaks TLS over `connection` with `host`, whose certificate must come from an authority that
/// browsers know (Mozilla's list), or from one in `authorities_pem`.
///
/// # Errors
/// Those of the connection; [`ErrorKind::InvalidData`] if the other end speaks no TLS, or its
/// certificate is not to be trusted; [`ErrorKind::InvalidInput`] if `host` cannot be in a
/// certificate or `authorities_pem` holds none.
pub fn start_tls(
    mut connection: Connection,
    host: &str,
    authorities_pem: Option<&[u8]>,
) -> io::Result<TlsConnection> {
    let invalid = |text: String| io::Error::new(ErrorKind::InvalidInput, text);
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| invalid(error.to_string()))?;
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in authorities_pem.into_iter().flat_map(CertificateDer::pem_slice_iter) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut connection).map_err(in_plain_words)?;
    }
    Ok(StreamOwned::new(session, connection))
}

/// The certificates of further authorities: those in the file that the environment's
/// `SSL_CERT_FILE` names, as OpenSSL and curl have it.
///
/// # Errors
/// Those of reading that file, which the error names.
pub(super) fn authorities() -> io::Result<Option<Vec<u8>>> {
    let Some(file) = env::var_os("SSL_CERT_FILE") else { return Ok(None) };
    fs::read(&file).map(Some).map_err(|error| {
        io::Error::new(error.kind(), format!("SSL_CERT_FILE={}: {error}", file.display()))
    })
}

fn in_plain_words(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidMessage(_)) => {
            io::Error::new(ErrorKind::InvalidData, "it speaks no TLS; is it an http address?")
        }
        _ => error,
    }
}
