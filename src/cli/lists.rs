//! Lists made from the code itself, so they cannot drift: keys, themes, packs, configuration, paths, completions, manual.

use super::{
    Failure, Outcome,
    args::{self, Common, ConfigCommand, ListFormat},
    common, from_live, print,
};
use crate::{
    config::Config,
    model::{Confirm, Label, Property, SecretSource, Time, UserCommand, Workload},
    source::prometheus::packs,
    tui::{
        keymap::{Keymap, Listed},
        theme,
    },
};
use serde_json::json;
use std::fmt::Write;

/// The example configuration, as `config example` prints it.
const EXAMPLE: &str = include_str!("../../config/example.toml");

/// The roles that Kubernetes needs, as `config example --rbac` prints them.
const RBAC: &str = include_str!("../../config/rbac.yaml");

/// The schema of the configuration; a test holds it to the keys that the parser knows.
const SCHEMA: &str = include_str!("../../config/schema.json");

pub(super) fn keys(common: &Common, format: ListFormat) -> Outcome {
    let config = common::config(common)?;
    let keymap = common::keymap(&config)?;
    if format == ListFormat::Json {
        let one = |l: &Listed| {
            let a = l.action;
            json!({ "action": a.name(), "keys": l.keys, "section": l.section.title(), "what": a.doc() })
        };
        let mut all: Vec<_> = keymap.listed().iter().map(one).collect();
        all.extend(config.user_commands.iter().map(|c| {
            let keys: Vec<String> = keymap.command_key(&c.name).into_iter().collect();
            json!({ "action": c.name, "keys": keys, "section": OWN, "what": c.about, "read_only": c.read_only })
        }));
        return print(&format!("{:#}\n", json!({ "version": 1, "keys": all })));
    }
    print(&(keys_text(&keymap) + &commands_text(&keymap, &config.user_commands)))
}

/// Keys under their headings.
fn keys_text(keymap: &Keymap) -> String {
    let mut out = String::new();
    let mut section = None;
    for Listed { section: own, action, keys } in keymap.listed() {
        if section.replace(own) != Some(own) {
            let _ = writeln!(out, "{}{}", if out.is_empty() { "" } else { "\n" }, own.title());
        }
        let _ = writeln!(out, "  {:<16} {:<16} {}", keys.join(" "), action.name(), action.doc());
    }
    out
}

/// The heading of the operator's own commands.
const OWN: &str = "Your commands";

/// The operator's own commands; which of them a watching process does not run.
fn commands_text(keymap: &Keymap, commands: &[UserCommand]) -> String {
    let mut out = String::new();
    for (i, command) in commands.iter().enumerate() {
        if i == 0 {
            let _ = writeln!(out, "\n{OWN}");
        }
        let key = keymap.command_key(&command.name).unwrap_or_default();
        let where_ = if command.read_only { "" } else { " (operate only)" };
        let _ = writeln!(out, "  {key:<16} {:<16} {}{where_}", command.name, command.about);
    }
    out
}

pub(super) fn themes(slots: bool) -> Outcome {
    let mut out = String::new();
    if slots {
        for slot in theme::Slot::ALL {
            let _ = writeln!(out, "{:<16} {}", slot.name(), slot.about());
        }
        return print(&out);
    }
    for t in theme::themes() {
        let _ = writeln!(out, "{:<20} {}", t.name, t.about);
    }
    print(&out)
}

pub(super) fn packs() -> Outcome {
    let mut out = String::new();
    for pack in packs::all() {
        let _ = writeln!(
            out,
            "{:<22} {:>3} expressions   detected by {}",
            pack.name,
            pack.concepts.len(),
            pack.detect.join(", ")
        );
    }
    print(&out)
}

/// `packs lint`: every problem of these packs with its line, and what could be better; exit 0 when all can be used.
pub(super) fn lint_packs(files: &[std::path::PathBuf]) -> Outcome {
    let (mut out, mut code) = (String::new(), 0);
    for file in files {
        let name = file.display();
        let text = std::fs::read_to_string(file).map_err(|e| Failure::usage(format!("cannot read {name}: {e}")))?;
        match packs::examine(&text) {
            Ok(pack) => {
                let _ = writeln!(out, "{name}: {}: {} expressions parse", pack.name, pack.concepts.len());
                for note in packs::notes(&pack) {
                    let _ = writeln!(out, "{name}: note: {note}");
                }
            }
            Err(problems) => {
                code = 1;
                for problem in problems {
                    let _ = writeln!(out, "{name}{problem}");
                }
            }
        }
    }
    print(&out).map(|_| code)
}

pub(super) fn config(common: &Common, command: &ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Example { rbac: true, .. } => print(RBAC),
        ConfigCommand::Example { from_live: true, settle, .. } => from_live::run(common, *settle),
        ConfigCommand::Example { .. } => print(EXAMPLE),
        ConfigCommand::Schema => print(SCHEMA),
        ConfigCommand::Show => print(&show(&common::config(common)?)),
    }
}

/// What is in force. Secrets are named by where they come from.
fn show(config: &Config) -> String {
    let mut out = String::new();
    let file = config.file.as_ref().map_or_else(|| "no file".to_owned(), |f| f.display().to_string());
    let _ = writeln!(out, "# {file}\n\n[ui]\ntheme = {:?}\nrefresh = \"{}s\"", config.ui.theme, config.ui.refresh);
    show_sources(&mut out, config);
    for c in &config.user_commands {
        let _ = writeln!(out, "\n[[command]]\nname = {:?}\nargv = {:?}", c.name.as_str(), c.argv);
        let _ = writeln!(out, "read_only = {}\ntimeout = \"{}s\"", c.read_only, c.timeout);
    }
    config.workloads().iter().for_each(|w| show_workload(&mut out, w));
    let names = |all: &[Label]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    for b in &config.budgets {
        let (name, of) = (b.name.as_str(), names(&b.workloads));
        let _ = writeln!(out, "\n[[budget]]\nname = {name:?}\ngpus = {}\nworkloads = {of:?}", b.gpus);
    }
    for p in &config.pipelines {
        let (name, of) = (p.name.as_str(), names(&p.workloads));
        let _ = writeln!(out, "\n[[pipeline]]\nname = {name:?}\nworkloads = {of:?}");
    }
    show_actuators(&mut out, config);
    show_limits(&mut out, config);
    out
}

/// What an approval sends out, to whom.
fn show_actuators(out: &mut String, config: &Config) {
    for c in &config.commands {
        let _ = writeln!(out, "\n[actuator.command.{}]\napply = {:?}", c.name, c.apply);
        for (key, argv) in [("observe", &c.observe), ("dry_run", &c.dry_run)] {
            if let Some(argv) = argv {
                let _ = writeln!(out, "{key} = {argv:?}");
            }
        }
        let _ = writeln!(out, "timeout = \"{}s\"", c.timeout);
    }
    for w in &config.webhooks {
        // A query may hold a key.
        let base = |url: &str| url.split('?').next().unwrap_or_default().to_owned();
        let _ = writeln!(out, "\n[actuator.webhook.{}]\nurl = {:?}\nmethod = {:?}", w.name, base(&w.url), w.method);
        if let Some(observe) = &w.observe {
            let _ = writeln!(out, "observe = {:?}\nobserve_field = {:?}", base(observe), w.observe_field);
        }
        for (key, source) in [("secret", &w.secret), ("bearer_token", &w.bearer)] {
            if let Some(source) = source {
                let _ = writeln!(out, "{key} = {}", secret(source));
            }
        }
        for (header, value) in &w.headers {
            let _ = writeln!(out, "headers.{header:?} = {}", secret(value));
        }
        let _ = writeln!(out, "dry_run = {}\ntimeout = \"{}s\"", w.dry_run, w.timeout);
    }
    for f in &config.patch_files {
        let (file, key) = (f.file.display().to_string(), &f.key);
        let _ = writeln!(out, "\n[actuator.patch-file.{}]\nfile = {file:?}\nkey = {key:?}", f.name);
    }
    for j in &config.jobs {
        let _ = writeln!(out, "\n[actuator.job.{}]", j.name);
    }
}

fn show_sources(out: &mut String, config: &Config) {
    for kafka in &config.kafka {
        let _ = writeln!(out, "\n[kafka.{}]", kafka.name);
        for (key, value) in &kafka.properties {
            match value {
                Property::Text(text) => {
                    let _ = writeln!(out, "{key:?} = {text:?}");
                }
                Property::Secret(source) => {
                    let _ = writeln!(out, "{key:?} = {}", secret(source));
                }
            }
        }
    }
    for p in &config.prometheus {
        let urls: Vec<&String> = [&p.url].into_iter().chain(&p.others).filter(|url| !url.is_empty()).collect();
        let _ = writeln!(out, "\n[prometheus.{}]\nurl = {urls:?}\nrefresh = \"{}s\"", p.name, p.refresh);
        for (job, urls) in &p.scrape {
            let _ = writeln!(out, "scrape.{job} = {urls:?}");
        }
        if let Some(bearer) = &p.bearer {
            let _ = writeln!(out, "bearer_token = {}", secret(bearer));
        }
        if let Some((user, password)) = &p.basic {
            let _ = writeln!(out, "basic = {{ user = {user:?}, password = {} }}", secret(password));
        }
        if let Some(oauth2) = &p.oauth2 {
            let (id, url, own) = (&oauth2.client_id, &oauth2.token_url, secret(&oauth2.client_secret));
            let _ = writeln!(out, "oauth2 = {{ client_id = {id:?}, client_secret = {own}, token_url = {url:?} }}");
        }
        if let Some(sigv4) = &p.sigv4 {
            let credentials =
                sigv4.credentials.as_ref().map_or_else(String::new, |c| format!(", credentials = {}", secret(c)));
            let _ =
                writeln!(out, "sigv4 = {{ region = {:?}, service = {:?}{credentials} }}", sigv4.region, sigv4.service);
        }
        for (header, value) in &p.headers {
            let _ = writeln!(out, "headers.{header:?} = {}", secret(value));
        }
    }
    if let Some(k) = &config.kubernetes {
        let _ = writeln!(
            out,
            "\n[kubernetes]\ncontext = {:?}\nnamespaces = {:?}",
            k.context.as_deref().unwrap_or("(in cluster)"),
            k.namespaces
        );
    }
}

fn show_workload(out: &mut String, w: &Workload) {
    let _ = writeln!(out, "\n[[workload]]\nname = {:?}\nkind = {:?}", w.name.as_str(), w.entity.kind.name());
    let _ = writeln!(out, "# signals of {:?} on {}", w.entity.id.as_str(), w.entity.source);
    if let Some(target) = &w.target {
        let _ = writeln!(out, "target = \"{target}\"");
    }
    let _ = writeln!(out, "replicas = {{ min = {}, max = {} }}", w.limits.min, w.limits.max);
    let of_day = |s: f64| format!("{:02}:{:02}", s as u32 / 3600, s as u32 / 60 % 60);
    let slo = [
        ("time_lag", w.slo.time_lag),
        ("ttft_p95", w.slo.ttft_p95),
        ("inter_token_p95", w.slo.inter_token_p95),
        ("queue_p95", w.slo.queue_p95),
        ("latency_p95", w.slo.latency_p95),
        ("within", w.slo.within),
    ];
    let mut slo: Vec<String> = slo.iter().filter_map(|(key, s)| Some(format!("{key} = \"{}s\"", (*s)?))).collect();
    slo.extend(w.slo.deadline.map(|s| format!("deadline = \"{}\"", of_day(s))));
    if !slo.is_empty() {
        let _ = writeln!(out, "slo = {{ {} }}", slo.join(", "));
    }
    let p = &w.price;
    let (pod, minute, action) = (p.pod_hour, p.slo_minute, p.action);
    let _ = writeln!(out, "price = {{ pod_hour = {pod}, slo_minute = {minute}, action = {action} }}");
    let g = &w.guard;
    let confirm = match g.confirm {
        Confirm::None => "none",
        Confirm::Yes => "yes",
        Confirm::TypeName => "type-name",
    };
    let _ = writeln!(
        out,
        "guard = {{ cooldown_up = \"{}s\", cooldown_down = \"{}s\", max_step_up = {}, max_step_down = {}, \
         surge = \"{}s\", protected = {}, confirm = \"{confirm}\" }}",
        g.cooldown_up, g.cooldown_down, g.max_step_up, g.max_step_down, g.surge, g.protected
    );
}

/// What holds changes of every workload back, and where decisions are recorded beside this machine.
fn show_limits(out: &mut String, config: &Config) {
    let l = &config.limits;
    let _ = writeln!(out, "\n[limits]\nactions_per_hour = {}\nin_flight = {}", l.actions_per_hour, l.in_flight);
    if let Some(file) = &l.freeze_file {
        let _ = writeln!(out, "freeze_file = {:?}", file.display().to_string());
    }
    for (key, spans) in [("freeze", &l.freeze), ("change", &l.change)] {
        let spans: Vec<String> = spans.iter().map(ToString::to_string).collect();
        if !spans.is_empty() {
            let _ = writeln!(out, "{key} = {spans:?}   # by the clocks of {}", l.zone.name(Time::now()));
        }
    }
    if let Some(kafka) = &config.ledger.kafka {
        let _ = writeln!(out, "\n[ledger]\nkafka = {:?}", kafka.name.as_str());
    }
}

fn secret(source: &SecretSource) -> String {
    match source {
        SecretSource::Value(_) => "\"(set, not shown)\"".to_owned(),
        SecretSource::Env(name) => format!("{{ env = {name:?} }}"),
        SecretSource::File(path) => format!("{{ file = {:?} }}", path.display().to_string()),
        SecretSource::Command(argv) => format!("{{ command = [{:?}, …] }}", argv.first().map_or("", String::as_str)),
    }
}

pub(super) fn info(common: &Common) -> Outcome {
    let file = match common.config.clone().or_else(Config::find) {
        Some(file) => file.display().to_string(),
        None => {
            Config::usual_place().map_or_else(|| "none".to_owned(), |p| format!("none (it would be {})", p.display()))
        }
    };
    let path = |p: Option<std::path::PathBuf>| p.map_or_else(|| "none".to_owned(), |p| p.display().to_string());
    let state = common::state_path();
    print(&format!(
        "highwater      {}\nconfiguration  {}\nstate          {}\nhistory        {}\nledger         {}\nconfirmed      {}\n\
         log            {}\nlibrdkafka     {}\n",
        env!("CARGO_PKG_VERSION"),
        file,
        path(state.clone()),
        path(state.clone().map(|s| s.join(crate::history::store::FILE))),
        path(state.clone().map(|s| s.join("ledger").join(crate::ledger::FILE))),
        path(state.clone().map(|s| s.join(crate::engine::CONFIRMED))),
        path(common.log_file.clone().or_else(|| state.map(|s| s.join("highwater.log")))),
        rdkafka::util::get_rdkafka_version().1,
    ))
}

pub(super) fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "highwater", &mut out);
    print(&String::from_utf8_lossy(&out))
}

pub(super) fn man() -> Outcome {
    let mut out = Vec::new();
    let made = clap_mangen::Man::new(args::command()).render(&mut out);
    made.map_err(|e| Failure::failed(format!("cannot make the manual: {e}")))?;
    print(&format!("{}{}", String::from_utf8_lossy(&out), keys_roff()))
}

/// The manual's section on keys.
fn keys_roff() -> String {
    // In roff a backslash, a dot at the start of a line and a minus have meanings of their own.
    let plain = |text: &str| text.replace('\\', "\\e").replace('-', "\\-");
    let mut out = String::from(".SH KEYS\nThe default keys; [keys] of the configuration changes them.\n");
    for Listed { action, keys, .. } in Keymap::default().listed() {
        let keys = plain(&keys.join(", "));
        let _ = writeln!(out, ".TP\n\\fB{keys}\\fR  {}\n{}", plain(action.name()), plain(action.doc()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_commands_are_listed_with_what_watch_may_not_run() {
        let text = "[[command]]\nname = \"drain\"\nkey = \"D\"\nabout = \"Drain it.\"\nargv = [\"x\"]\n\
                    [[command]]\nname = \"lag\"\nargv = [\"y\"]\nread_only = true\n";
        let config = Config::parse(text, "f.toml", false).unwrap();
        let keymap = common::keymap(&config).unwrap();
        let listed = commands_text(&keymap, &config.user_commands);
        let lines: Vec<&str> = listed.lines().collect();
        assert_eq!(lines[1], "Your commands");
        assert_eq!(lines[2], format!("  {:<16} {:<16} Drain it. (operate only)", "D", "drain"));
        assert_eq!(lines[3], format!("  {:<16} {:<16} Run y.", "", "lag"));
        let taken = Config::parse(&text.replace("\"D\"", "\"a\""), "f.toml", false).unwrap();
        let why = common::keymap(&taken).unwrap_err().to_string();
        assert!(why.contains(":3: command drain: the key a is bound to approve"), "{why}");
    }

    #[test]
    fn what_an_approval_sends_is_shown_and_no_secret_of_it() {
        let text = "[actuator.command.pool]\napply = [\"/opt/scale\", \"{to}\"]\nobserve = [\"/opt/scale\", \"get\"]\n\
                    [actuator.webhook.api]\nurl = \"https://ops/scale?key=canary\"\nsecret = { env = \"HOOK\" }\n\
                    headers = { X-Api-Key = \"canary\" }\n[actuator.patch-file.git]\nfile = \"/git/a.yaml\"\n\
                    [[workload]]\nname = \"a\"\nkind = \"inference\"\ntarget = \"command/pool\"\n\
                    price = { pod_hour = 4.0 }\n[prometheus.p]\nurl = \"http://p\"\n";
        let config = Config::parse(text, "f.toml", true).unwrap();
        let shown = show(&config);
        for part in [
            "[actuator.command.pool]\napply = [\"/opt/scale\", \"{to}\"]\nobserve = [\"/opt/scale\", \"get\"]\n",
            "url = \"https://ops/scale\"\nmethod = \"POST\"\nsecret = { env = \"HOOK\" }\n",
            "headers.\"X-Api-Key\" = \"(set, not shown)\"",
            "[actuator.patch-file.git]\nfile = \"/git/a.yaml\"\nkey = \"replicas\"\n",
            "price = { pod_hour = 4, slo_minute = 1, action = 0.05 }\n",
        ] {
            assert!(shown.contains(part), "{part:?} is not in\n{shown}");
        }
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn keys_and_manual_say_what_the_keymap_says() {
        let keymap = Keymap::default();
        let (text, roff) = (keys_text(&keymap), keys_roff().replace("\\-", "-").replace("\\e", "\\"));
        for Listed { action, keys, .. } in keymap.listed() {
            let (name, doc) = (action.name(), action.doc());
            let line = format!("  {:<16} {name:<16} {doc}", keys.join(" "));
            assert_eq!(text.lines().filter(|l| *l == line).count(), 1, "{line}");
            let entry = format!(".TP\n\\fB{}\\fR  {name}\n{doc}\n", keys.join(", "));
            assert_eq!(roff.matches(&entry).count(), 1, "{entry}\n{roff}");
        }
    }
}
