//! A broker that lets nobody in, on loopback.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Asks for PLAIN and refuses every password.
pub(super) struct Door {
    pub(super) address: String,
    /// The password that was tried last.
    pub(super) tried: watch::Receiver<String>,
}

impl Door {
    pub(super) async fn shut() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (heard, tried) = watch::channel(String::new());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(refuse(stream, heard.clone()));
            }
        });
        Self { address, tried }
    }
}

async fn refuse(mut stream: TcpStream, tried: watch::Sender<String>) -> Option<()> {
    loop {
        let length = stream.read_i32().await.ok()?;
        let mut frame = vec![0; usize::try_from(length).ok()?];
        stream.read_exact(&mut frame).await.ok()?;
        let body: &[u8] = match i16::from_be_bytes([frame[0], frame[1]]) {
            // ApiVersions 3: itself from 0 to 3, SaslHandshake and SaslAuthenticate from 0 to 1.
            18 => b"\0\0\x04\0\x12\0\0\0\x03\0\0\x11\0\0\0\x01\0\0\x24\0\0\0\x01\0\0\0\0\0\0",
            // SaslHandshake 1: PLAIN.
            17 => b"\0\0\0\0\0\x01\0\x05PLAIN",
            // SaslAuthenticate 1: SASL_AUTHENTICATION_FAILED.
            36 => {
                let said = String::from_utf8_lossy(&frame).into_owned();
                tried.send_replace(said.rsplit('\0').next().unwrap_or_default().to_owned());
                b"\0\x3a\0\x08no entry\0\0\0\0\0\0\0\0\0\0\0\0"
            }
            _ => return None,
        };
        stream.write_i32(4 + i32::try_from(body.len()).ok()?).await.ok()?;
        stream.write_all(&frame[4..8]).await.ok()?;
        stream.write_all(body).await.ok()?;
    }
}
