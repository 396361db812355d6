//! `highwater init`: three questions, then a commented configuration.

use super::{Failure, Outcome, args::Common, print};
use crate::config::{Config, url_problem};
use clap::Args;
use std::{
    fs::{DirBuilder, OpenOptions},
    io::{BufRead, IsTerminal, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Write over a configuration that is there.
    #[arg(long)]
    pub force: bool,
}

/// What was answered; empty: there is none.
#[derive(Clone, Debug, Default, PartialEq)]
struct Answers {
    kafka: String,
    prometheus: String,
    context: String,
}

pub(super) fn run(common: &Common, args: &Init) -> Outcome {
    let path = common.config.clone().or_else(Config::usual_place);
    let path = path.ok_or_else(|| Failure::usage("no home directory: say where with --config FILE"))?;
    if path.exists() && !args.force {
        return Err(Failure::usage(format!("{} is there already; --force writes over it", path.display())));
    }
    let told = Answers {
        kafka: common.kafka.clone().unwrap_or_default(),
        prometheus: common.prometheus.clone().unwrap_or_default(),
        context: common.kube_context.clone().unwrap_or_default(),
    };
    let answers = if told == Answers::default() { ask()? } else { told };
    let text = text(&answers);
    Config::parse(&text, &path.display().to_string(), true).map_err(|e| Failure::usage(e.to_string()))?;
    write(&path, &text).map_err(|e| Failure::failed(format!("cannot write {}: {e}", path.display())))?;
    let named = if common.config.is_some() { format!(" --config {}", path.display()) } else { String::new() };
    print(&format!(
        "wrote {}\n  highwater check{named}     what works, what does not, and the mend\n  highwater watch{named}     the dashboard, read-only\n",
        path.display()
    ))
}

/// Asks on the terminal; what cannot be right is asked again.
fn ask() -> Result<Answers, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "init asks on a terminal; without one say --kafka HOST:PORT, --prometheus URL or --kube-context NAME",
        ));
    }
    let any = |_: &str| None;
    Ok(Answers {
        kafka: question("Kafka brokers to ask first (host:port, …; empty: none): ", brokers_problem)?,
        prometheus: question("Prometheus (http://host:9090; empty: none): ", |t| url_problem(t).map(str::to_owned))?,
        context: question("Context of your kubeconfig (empty: none): ", any)?,
    })
}

fn question(text: &str, problem: impl Fn(&str) -> Option<String>) -> Result<String, Failure> {
    loop {
        print(text)?;
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        match read {
            Ok(0) => return Err(Failure::usage("nothing was answered, nothing was written")),
            Err(e) => return Err(Failure::failed(format!("cannot read the answer: {e}"))),
            Ok(_) => {}
        }
        let answer = line.trim();
        match problem(answer).filter(|_| !answer.is_empty()) {
            Some(problem) => {
                print(&format!("  {problem}\n"))?;
            }
            None => return Ok(answer.to_owned()),
        }
    }
}

fn brokers_problem(text: &str) -> Option<String> {
    let has_port =
        |b: &str| b.trim().rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    (!text.split(',').all(has_port)).then(|| format!("{text:?}: write host:port, several with commas between"))
}

/// The configuration; what was not answered stands in it as a comment.
fn text(answers: &Answers) -> String {
    // JSON's and TOML's basic strings are written alike.
    let quoted = |s: &str| serde_json::Value::from(s).to_string();
    let on = |answer: &str| if answer.is_empty() { "# " } else { "" };
    let or = |answer: &str, example: &str| quoted(if answer.is_empty() { example } else { answer });
    let (k, p, c) = (on(&answers.kafka), on(&answers.prometheus), on(&answers.context));
    format!(
        "# Highwater. `highwater config example` shows everything that can stand here.\n\
         \n\
         [ui]\n\
         # theme = \"harbor-dark\"        # `highwater themes` lists them\n\
         # alarm = \"bell\"               # off | bell | desktop: when something becomes critical\n\
         \n\
         {k}[kafka.main]                 # needs Describe on cluster, topics and groups; never Read or Write\n\
         {k}\"bootstrap.servers\" = {}\n\
         # \"security.protocol\" = \"SASL_SSL\"\n\
         # \"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\
         # \"sasl.username\" = \"viewer\"\n\
         # \"sasl.password\" = {{ env = \"KAFKA_PASSWORD\" }}   # {{ env | file | command }} for every secret\n\
         \n\
         {p}[prometheus.main]\n\
         {p}url = {}\n\
         # bearer_token = {{ file = \"/run/secrets/prometheus-token\" }}\n\
         \n\
         {c}[kubernetes]                 # `highwater config example --rbac` prints the roles that are needed\n\
         {c}context = {}\n\
         # namespaces = [\"payments\", \"ml\"]\n\
         \n\
         # Workloads are discovered; what is written here completes them.\n\
         # [[workload]]\n\
         # name = \"fraud-scorer\"\n\
         # group = \"fraud-scorer\"\n\
         # target = \"deploy/payments/fraud-scorer\"     # absent: recommendation only\n\
         # replicas = {{ min = 2, max = 24 }}\n\
         # slo = {{ time_lag = \"30s\" }}\n",
        or(&answers.kafka, "broker:9092"),
        or(&answers.prometheus, "http://prometheus:9090"),
        or(&answers.context, "prod-eu"),
    )
}

/// Writes the file for the owner only: secrets may come to stand in it.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder: PathBuf = path.parent().map(Path::to_owned).unwrap_or_default();
    if !folder.as_os_str().is_empty() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_answered_is_a_configuration_that_can_be_read() {
        for (kafka, prometheus, context) in [
            ("", "", ""),
            ("k1:9092,k2:9092", "", ""),
            ("", "http://p:9090", "a \"strange\" \\ one"),
            ("k:1", "https://p", "c"),
        ] {
            let answers = Answers { kafka: kafka.into(), prometheus: prometheus.into(), context: context.into() };
            let config = Config::parse(&text(&answers), "f.toml", true).unwrap_or_else(|e| panic!("{answers:?}: {e}"));
            assert_eq!(config.kafka.len(), usize::from(!kafka.is_empty()));
            assert_eq!(config.prometheus.first().map_or("", |p| p.url.as_str()), prometheus);
            assert_eq!(config.kubernetes.and_then(|k| k.context).unwrap_or_default(), context);
        }
    }

    #[test]
    fn what_is_no_broker_is_asked_again() {
        assert_eq!(brokers_problem("k1:9092, k2:9092"), None);
        assert!(
            brokers_problem("k1").is_some() && brokers_problem("k1:9092,").is_some() && brokers_problem(":1").is_some()
        );
    }
}
