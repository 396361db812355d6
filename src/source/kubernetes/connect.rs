//! Makes a client of the pinned context. What a plug-in or a key says never reaches an error.

use crate::model::{KubernetesSettings, Label};
use kube::{
    Client, Config,
    config::{ExecConfig, ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::{io, time::Duration};
use tokio::time::timeout;

const CONNECT: Duration = Duration::from_secs(5);
const WRITE: Duration = Duration::from_secs(15);
/// For everything that happens before the first request: files, and a plug-in that logs in.
const DEADLINE: Duration = Duration::from_secs(20);

/// A client of the context in the configuration, or in a pod of its service account.
///
/// It retries nothing by itself: `kube` would send a write again after a 503 or 504, when the first may have been done.
/// It has no read time-out either, since watches are silent for long; every request brings its own deadline.
///
/// # Errors
/// A sentence with the mend: no such context, an unreadable file, a plug-in that fails.
pub async fn connect(settings: &KubernetesSettings) -> Result<Client, String> {
    let config = config(settings).await?;
    // Making the client runs the log-in plug-in, which blocks.
    let made = tokio::task::spawn_blocking(move || Client::try_from(config).map_err(|error| words(&error)));
    match timeout(DEADLINE, made).await {
        Ok(Ok(client)) => client,
        Ok(Err(_)) => Err("the client could not be made: the log-in ended unexpectedly".to_owned()),
        Err(_) => Err(format!("the log-in plug-in of the context did not end within {DEADLINE:?}: log in outside")),
    }
}

/// As [`connect`], for changing things: refuses a server that does not prove who it is, since an approval must not go to
/// whoever answers. Plain http is good enough on loopback, where there is nobody in between.
pub async fn connect_to_change(settings: &KubernetesSettings) -> Result<Client, String> {
    match unproven(&config(settings).await?) {
        Some(why) => Err(format!("nothing is changed over context {}: {why}", super::name(settings))),
        None => connect(settings).await,
    }
}

/// Why the server does not prove who it is, with the mend; `None`: it does.
pub(super) async fn distrust(settings: &KubernetesSettings) -> Option<&'static str> {
    unproven(&config(settings).await.ok()?)
}

fn unproven(config: &Config) -> Option<&'static str> {
    let host = config.cluster_url.host().unwrap_or("");
    let loopback = matches!(host, "127.0.0.1" | "[::1]" | "localhost");
    match config.cluster_url.scheme_str() {
        Some("https") if config.accept_invalid_certs => {
            Some("insecure-skip-tls-verify is set, so anybody could answer: give certificate-authority instead")
        }
        Some("https") => None,
        _ if loopback => None,
        _ => Some("its server is spoken to without TLS: give an https URL"),
    }
}

async fn config(settings: &KubernetesSettings) -> Result<Config, String> {
    let mut config = match &settings.context {
        Some(context) => pinned(settings, context).await?,
        None => in_cluster()?,
    };
    config.connect_timeout = Some(CONNECT);
    config.write_timeout = Some(WRITE);
    config.read_timeout = None;
    config.default_retry = false;
    Ok(config)
}

fn in_cluster() -> Result<Config, String> {
    Config::incluster().map_err(|_| {
        "no context is named and this is no pod with a service account: set [kubernetes] context, or --kube-context"
            .to_owned()
    })
}

async fn pinned(settings: &KubernetesSettings, context: &str) -> Result<Config, String> {
    let path = settings.kubeconfig.clone();
    let read = move || path.map_or_else(Kubeconfig::read, Kubeconfig::read_from);
    let read = tokio::task::spawn_blocking(read).await;
    let mut file = read.map_err(|_| "reading the kubeconfig ended unexpectedly".to_owned())?.map_err(file_words)?;
    if !file.contexts.iter().any(|c| c.name == context) {
        let known: Vec<String> = file.contexts.iter().map(|c| Label::new(&c.name).to_string()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!("the kubeconfig has no context {:?}; it has: {known}", Label::new(context).as_str()));
    }
    for user in &mut file.auth_infos {
        if let Some(exec) = user.auth_info.as_mut().and_then(|a| a.exec.as_mut()) {
            without_terminal(exec);
        }
    }
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    match timeout(DEADLINE, Config::from_custom_kubeconfig(file, &options)).await {
        Ok(config) => config.map_err(file_words),
        Err(_) => Err(format!("the kubeconfig's files could not be read within {DEADLINE:?}")),
    }
}

/// Seconds after which a log-in plug-in is ended: each one that hangs would keep a thread, and there are few.
const LONGEST_LOGIN: &str = "60";

/// Keeps a log-in plug-in from the terminal, where it would garble the screen and take the operator's keys: its streams are
/// not ours, and in a session of its own /dev/tty leads nowhere. And it comes to an end, whatever it started. (Both where
/// `setsid` and `timeout` are installed: every Linux.)
fn without_terminal(exec: &mut ExecConfig) {
    exec.interactive_mode = Some(ExecInteractiveMode::Never);
    for words in [&["timeout", "-s", "KILL", LONGEST_LOGIN][..], &["setsid"]] {
        let Some(program) = in_path(words[0]) else { continue };
        if let Some(command) = exec.command.replace(program) {
            let before = words[1..].iter().map(|w| (*w).to_owned()).chain([command]);
            exec.args.get_or_insert_default().splice(0..0, before);
        }
    }
}

fn in_path(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())?;
    found.into_os_string().into_string().ok()
}

/// A kubeconfig error without the file's content, where tokens and keys stand.
fn file_words(error: KubeconfigError) -> String {
    use KubeconfigError as E;
    match error {
        E::ReadConfig(error, path) => format!("cannot read the kubeconfig {}: {error}", path.display()),
        E::FindPath => "there is no kubeconfig: set [kubernetes] kubeconfig or $KUBECONFIG".to_owned(),
        E::Parse(_) => "the kubeconfig is not valid YAML of kind Config: see `kubectl config view`".to_owned(),
        E::KindMismatch | E::ApiVersionMismatch => {
            "the files of $KUBECONFIG are of different kinds and cannot be merged".to_owned()
        }
        E::LoadContext(name) | E::LoadClusterOfContext(name) => {
            format!("the kubeconfig has no complete context or cluster {:?}", Label::new(&name).as_str())
        }
        E::MissingClusterUrl | E::ParseClusterUrl(_) => "the context's cluster has no valid server URL".to_owned(),
        E::ParseProxyUrl(_) => "the context's cluster has no valid proxy-url".to_owned(),
        E::LoadCertificateAuthority(_) | E::ParseCertificates(_) => {
            "the context's certificate authority cannot be read".to_owned()
        }
        E::LoadClientCertificate(_) => "the context's client certificate cannot be read".to_owned(),
        E::LoadClientKey(_) => "the context's client key cannot be read".to_owned(),
        E::CurrentContextNotSet => {
            "the kubeconfig's context is not complete: see `kubectl config view --minify`".to_owned()
        }
    }
}

/// A request's error in words. `kube::Error` is never shown as it is: an authentication plug-in's error holds its
/// environment and its output.
pub(super) fn words(error: &kube::Error) -> String {
    use kube::Error as E;
    match error {
        E::Api(status) => match status.code {
            401 => "the server does not know who we are (401): log in again".to_owned(),
            403 => format!("not allowed (403): {}", status.message),
            code => format!("the server answered {code}: {}", status.message),
        },
        E::Auth(_) => {
            "cannot sign in: the context's credentials cannot be had; log in outside and try again".to_owned()
        }
        E::HyperError(error) => transport(error),
        E::Service(error) => transport(&**error),
        E::SerdeError(error) => format!("the answer is not what Kubernetes sends: {error}"),
        E::RustlsTls(_) | E::TlsRequired => {
            "TLS cannot be set up with the context's certificates: see `kubectl config view --minify`".to_owned()
        }
        _ => "the server could not be asked".to_owned(),
    }
}

/// The deepest cause is the one that names what happened.
fn transport(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    match deepest.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => {
            "nothing listens at the server's address (connection refused)".to_owned()
        }
        Some(io::ErrorKind::TimedOut) => format!("the server did not answer within {CONNECT:?}"),
        _ => format!("the connection failed: {deepest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_in_plug_in_has_no_terminal_and_comes_to_an_end() {
        let file = serde_json::json!({"command": "aws", "args": ["eks", "get-token"]});
        let mut exec: ExecConfig = serde_json::from_value(file).unwrap();
        without_terminal(&mut exec);
        let words: Vec<String> = exec.command.into_iter().chain(exec.args.unwrap_or_default()).collect();
        assert!(words[0].ends_with("/setsid") && words[1].ends_with("/timeout"), "{words:?}");
        assert_eq!(words[2..], ["-s", "KILL", LONGEST_LOGIN, "aws", "eks", "get-token"]);
    }
}
