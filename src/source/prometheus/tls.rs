//! TLS for the HTTP client: rustls with ring, the platform's authorities or the one that is named.

use super::failure::Failure;
use crate::model::TlsSettings;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use std::{path::Path, sync::Arc};

/// The client's TLS configuration. Reads files and the platform's store: call it where blocking is allowed.
pub(super) fn config(settings: &TlsSettings, encrypted: bool) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(settings, encrypted, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Failure::settings(format!("TLS cannot be set up: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (&settings.cert, &settings.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, "tls.cert")?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|e| Failure::settings(format!("tls.key: no private key in {}: {e}", key.display())))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|e| Failure::settings(format!("tls.cert and tls.key do not work together: {e}")))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err(Failure::settings("tls.cert and tls.key go together: one of them is missing")),
    }
}

fn verifier(
    settings: &TlsSettings,
    encrypted: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Failure> {
    // Over plain HTTP nothing is verified, and a machine without any authority must still work.
    if settings.insecure || !encrypted {
        return Ok(Arc::new(AnyCertificate(Arc::clone(provider))));
    }
    let inner: Arc<dyn ServerCertVerifier> = if let Some(path) = &settings.ca {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path, "tls.ca")? {
            roots
                .add(certificate)
                .map_err(|e| Failure::settings(format!("tls.ca: {} holds no authority: {e}", path.display())))?;
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|e| Failure::settings(format!("tls.ca: {}: {e}", path.display())))?
    } else {
        Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(provider)).map_err(|e| {
            Failure::settings(format!("this machine has no certificate authorities ({e}): name one with `tls.ca`"))
        })?)
    };
    let Some(name) = &settings.server_name else { return Ok(inner) };
    let name = ServerName::try_from(name.clone())
        .map_err(|_| Failure::settings(format!("tls.server_name: {name:?} is no host name")))?;
    Ok(Arc::new(OtherName { inner, name }))
}

fn certificates(path: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Failure::settings(format!("{key}: {} holds no certificate in PEM form", path.display()))),
        Err(e) => {
            Err(Failure::settings(format!("{key}: cannot read {}: {e}; put it there, or remove {key}", path.display())))
        }
    }
}

/// Verifies the certificate for another name than the URL's host.
#[derive(Debug)]
struct OtherName {
    inner: Arc<dyn ServerCertVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for OtherName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// `tls.insecure`: any certificate will do; signatures are still checked, so that a broken handshake is seen.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
