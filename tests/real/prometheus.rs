//! A real Prometheus, and an exporter for it to scrape.

use axum::{Router, routing::get};
use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinHandle,
    time::{Instant, sleep},
};

/// Time for a start on a loaded machine, the download of the package included.
const START: Duration = Duration::from_secs(120);

/// A running Prometheus; it ends, and its folder goes, when this is dropped or this process is killed.
pub struct Prometheus {
    /// `http://127.0.0.1:PORT`, or `https:` when it is secured.
    pub url: String,
    /// Its data and configuration and, when it is secured, the certificates of `certificates.sh`.
    pub folder: PathBuf,
    /// Its standard input is the script's life line.
    _script: Child,
}

/// What to scrape, every second: job and address; labels of the exporter win over those of the job.
pub type Target<'t> = (&'t str, SocketAddr);

/// Starts a real Prometheus that scrapes `targets` every second. `None`, with a line that says why, when none can be
/// had; with `CI=true` that is a failure.
pub async fn prometheus(targets: &[Target<'_>]) -> Option<Prometheus> {
    started(targets, false).await
}

/// One that speaks TLS, to clients with a certificate of its authority only. It scrapes nothing.
pub async fn secured_prometheus() -> Option<Prometheus> {
    started(&[], true).await
}

async fn started(targets: &[Target<'_>], secured: bool) -> Option<Prometheus> {
    for _ in 0..3 {
        match start(targets, secured).await {
            Ok(running) => return Some(running),
            Err(Some(why)) => {
                super::skipped("Prometheus", &why);
                return None;
            }
            Err(None) => {} // the port was taken between choosing and binding it
        }
    }
    panic!("three ports in a row were taken");
}

async fn start(targets: &[Target<'_>], secured: bool) -> Result<Prometheus, Option<String>> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap().keep(); // the script removes it
    let mut yml = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n".to_owned();
    for (job, address) in targets {
        // As a scrape configuration for brokers would say it: the job kafka-2 is broker 2. JMX is slow to answer.
        let more = job
            .strip_prefix("kafka-")
            .map_or_else(|| ("1s", String::new()), |id| ("3s", format!(", labels: {{broker: '{id}'}}")));
        let (every, labels) = more;
        writeln!(
            yml,
            "- {{job_name: {job}, honor_labels: true, scrape_interval: {every}, scrape_timeout: {every}, \
             static_configs: [{{targets: ['{address}']{labels}}}]}}"
        )
        .unwrap();
    }
    std::fs::write(folder.join("prometheus.yml"), yml).unwrap();
    if secured {
        secure(&folder).await;
    }
    let mut script = Command::new("sh")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/prometheus.sh"))
        .args([port.to_string().as_str(), folder.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut errors = script.stderr.take().unwrap();
    let deadline = Instant::now() + START;
    while !is_ready(port).await {
        if let Some(status) = script.try_wait().unwrap() {
            let mut said = String::new();
            let _ = errors.read_to_string(&mut said).await; // what there is will do
            let last = said.lines().last().unwrap_or("no word").to_owned();
            return Err((status.code() == Some(3)).then_some(last));
        }
        assert!(Instant::now() < deadline, "Prometheus is not ready after {START:?}");
        sleep(Duration::from_millis(50)).await;
    }
    tokio::spawn(async move {
        let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await; // a full pipe would stop it
    });
    let scheme = if secured { "https" } else { "http" };
    Ok(Prometheus { url: format!("{scheme}://127.0.0.1:{port}"), folder, _script: script })
}

/// Certificates, and a `web.yml` that demands them.
async fn secure(folder: &Path) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/certificates.sh");
    let made = Command::new(script).arg(folder).output().await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let web = "tls_server_config: {cert_file: broker.pem, key_file: broker.key, client_ca_file: ca.pem, \
               client_auth_type: RequireAndVerifyClientCert}\n";
    std::fs::write(folder.join("web.yml"), web).unwrap();
}

async fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return false };
    let request = b"GET /-/ready HTTP/1.0\r\n\r\n";
    let mut answer = String::new();
    let sent = tokio::io::AsyncWriteExt::write_all(&mut stream, request).await.is_ok();
    let answered = sent && stream.read_to_string(&mut answer).await.is_ok();
    // Behind TLS the words with which Go's server refuses plain HTTP say that it listens.
    answered && (answer.contains(" 200 ") || answer.contains("HTTPS server"))
}

/// An exporter on loopback; it is gone when this is dropped.
pub struct Exporter {
    /// Where `/metrics` is.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves what `text` says at each scrape.
pub async fn exporter(text: impl Fn() -> String + Send + Sync + 'static) -> Exporter {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let text = Arc::new(text);
    // One request a connection: an aborted server then leaves no connection behind that goes on answering.
    let metrics = move || {
        let text = Arc::clone(&text);
        async move { ([("connection", "close")], text()) }
    };
    let router = Router::new().route("/metrics", get(metrics));
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Exporter { address, task }
}
