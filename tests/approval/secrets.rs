//! What credentials and children may not do: be seen anywhere, touch the terminal.

use super::*;
use crate::cli::support::{Manner, Server};
use base64::Engine as _;

/// What every credential begins with.
const CANARY: &str = "canary-7f3a";

/// A credential in every place that an operating process reads one from.
fn credentials(stage: &Stage) -> String {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let kubeconfig = stage.path("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{closed}'}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{token: {CANARY}-kube}}}}]\n"
    );
    fs::write(&kubeconfig, text).unwrap();
    let key = base64::engine::general_purpose::STANDARD.encode(format!("{CANARY}-signing"));
    fs::write(stage.path("token"), format!("{CANARY}-file")).unwrap();
    format!(
        r#"
[kubernetes]
context = "c"
kubeconfig = "{}"

[actuator.webhook.x]
url = "http://127.0.0.1:{closed}/scale"
observe = "http://127.0.0.1:{closed}/count"
secret = "whsec_{key}"
bearer_token = "{CANARY}-hook"
headers = {{ X-Api-Key = "{CANARY}-hook-header" }}

[kafka.x]
"bootstrap.servers" = "127.0.0.1:{closed}"
"security.protocol" = "SASL_PLAINTEXT"
"sasl.mechanism" = "PLAIN"
"sasl.username" = "viewer"
"sasl.password" = "{CANARY}-sasl"

[prometheus.x]
url = "http://127.0.0.1:{closed}/x"
bearer_token = {{ command = ["sh", "-c", "echo {CANARY}-$(echo command)"] }}

[prometheus.y]
url = "http://127.0.0.1:{closed}"
bearer_token = {{ file = "{}" }}
headers = {{ X-Api-Key = "{CANARY}-header" }}

[prometheus.z]
url = "http://127.0.0.1:{closed}"
basic = {{ user = "viewer", password = "{CANARY}-basic" }}
"#,
        kubeconfig.display(),
        stage.path("token").display()
    )
}

/// A log-in plug-in that does everything a plug-in may not do on our terminal, a command that does too, and a server that
/// hears the token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_log_in_plug_in_nor_a_command_touches_the_terminal() {
    on_stage(|stage| {
        let server = Server::start(Manner::Answers(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
        let said = format!(
            r#"{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"{CANARY}-exec"}}}}"#
        );
        let plugin = format!(
            "echo GARBLED-STDERR $SECRET >&2\n(echo GARBLED-TTY >/dev/tty) 2>/dev/null\n\
             (IFS= read -r x </dev/tty) 2>/dev/null\ncat >/dev/null\necho '{said}'\n"
        );
        fs::write(stage.path("plugin.sh"), plugin).unwrap();
        let dir = stage.home.path().display();
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{}'}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, \
             args: ['{dir}/plugin.sh'], env: [{{name: SECRET, value: {CANARY}-env}}], interactiveMode: Always}}}}}}]\n",
            server.port
        );
        fs::write(stage.path("kubeconfig"), kubeconfig).unwrap();
        stage.configure(&format!(
            "\n[kubernetes]\ncontext = \"c\"\nkubeconfig = \"{dir}/kubeconfig\"\n\
             [actuator.command.rude]\napply = [\"true\", \"{{to}}\"]\ntimeout = \"2s\"\n\
             observe = [\"sh\", \"-c\", \"touch {dir}/observed; echo GARBLED-COMMAND >/dev/tty; echo 1\"]\n"
        ));
        let mut t = stage.approving();
        wait_for("the server hears the plug-in's token", || {
            server.heard().contains(&format!("{CANARY}-exec")).then_some(())
        });
        wait_for("the rude command has begun", || stage.path("observed").exists().then_some(()));
        stage.approve(&mut t, ActionState::Applying, |t| t.press("y")); // nobody else reads the keys
        stage.wait_for_state(ActionState::Applied);
        t.press("q");
        assert_eq!(t.code(), 0);
        assert!(!t.ever_showed("GARBLED"), "{}", t.text());
        for secret in ["exec", "env"].map(|s| format!("{CANARY}-{s}")) {
            assert!(!t.ever_showed(&secret), "{secret} was on the screen");
            assert!(stage.written().iter().all(|(_, text)| !text.contains(&secret)), "{secret} was written");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credential_reaches_screen_log_ledger_or_history() {
    on_stage(|stage| {
        stage.configure(&credentials(&stage));
        let mut t = stage.approving();
        let mut screens = t.text();
        stage.approve(&mut t, ActionState::Applying, |t| t.press("y"));
        stage.wait_for_state(ActionState::Applied);
        for (page, shows) in
            [("4", "under way"), ("2", "Brokers,"), ("3", "GPUs"), ("1", "Workloads"), ("?", "view-kafka")]
        {
            t.press(page);
            t.wait_text(shows);
            screens += &t.text();
        }
        t.signal("-TERM");
        assert_eq!(t.code(), 143);
        let written = stage.written();
        assert!(
            written.iter().any(|(p, text)| p.ends_with("ledger.jsonl") && text.contains("applied")),
            "a ledger is there"
        );
        assert!(written.iter().any(|(p, text)| p.ends_with("trace.log") && text.lines().count() > 20), "and a log");
        let slots = ["kube", "sasl", "command", "file", "header", "basic", "hook", "hook-header"];
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{CANARY}-signing"));
        for secret in slots.map(|s| format!("{CANARY}-{s}")).into_iter().chain([encoded]) {
            assert!(!screens.contains(&secret) && !t.ever_showed(&secret), "{secret} is on the screen");
            let holder = written.iter().find(|(_, text)| text.contains(&secret));
            assert_eq!(holder.map(|(p, _)| p), None, "{secret} was written");
        }
    })
    .await;
}
