//! Asks commands, webhooks and files for the present count. It can change nothing: it holds no way to.

use super::{command, patch_file, webhook};
use crate::{
    model::{
        CommandSettings, Health, Label, Observation, PatchFileSettings, SourceKind, SourceStatus, Target, Time,
        WebhookSettings,
    },
    process::{Clock, run},
};
use std::time::Duration;
use tokio::{
    sync::mpsc::Sender,
    time::{MissedTickBehavior, interval},
};

/// Reads the counts of targets outside of Kubernetes. What has no way to be observed is left out.
#[derive(Clone, Debug)]
pub struct Observer {
    watched: Vec<Watched>,
    clock: Clock,
}

#[derive(Clone, Debug)]
struct Watched {
    target: Target,
    name: Label,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    Command {
        observe: Vec<String>,
        deadline: Duration,
    },
    /// Without what would sign a message.
    Webhook(Box<WebhookSettings>),
    File(PatchFileSettings),
}

impl Observer {
    /// Keeps of each command what is needed to observe, nothing else.
    pub fn new(commands: &[CommandSettings], clock: Clock) -> Self {
        let watched = |c: &CommandSettings| {
            let deadline = Duration::from_secs_f64(c.timeout.clamp(0.1, 3600.0));
            let how = How::Command { observe: c.observe.clone()?, deadline };
            Some(Watched { target: Target::Command(c.name.clone()), name: c.name.clone(), how })
        };
        Self { watched: commands.iter().filter_map(watched).collect(), clock }
    }

    /// Adds the webhooks that can be observed, and the patch files.
    #[must_use]
    pub fn with(mut self, webhooks: &[WebhookSettings], files: &[PatchFileSettings]) -> Self {
        let observable = webhooks.iter().filter(|w| w.observe.is_some());
        self.watched.extend(observable.map(|w| {
            let how = How::Webhook(Box::new(WebhookSettings { secret: None, ..w.clone() }));
            Watched { target: Target::Webhook(w.name.clone()), name: w.name.clone(), how }
        }));
        self.watched.extend(files.iter().map(|f| {
            let how = How::File(f.clone());
            Watched { target: Target::PatchFile(f.name.clone()), name: f.name.clone(), how }
        }));
        self
    }

    /// Whether there is anything to observe.
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// The present count of a target.
    pub async fn count(&self, target: &Target) -> Result<u32, String> {
        match self.watched.iter().find(|w| w.target == *target) {
            Some(watched) => watched.count().await,
            None => Err(format!("[actuator.{}] has no way to be observed", target.to_string().replace('/', "."))),
        }
    }

    /// Observes each target every `refresh` seconds until `out` is closed: a count or the reason why there is none.
    pub async fn run(self, refresh: f64, out: Sender<Observation>) {
        let tasks = self.watched.into_iter().map(|watched| {
            let out = out.clone();
            follow(watched, refresh, self.clock, out)
        });
        futures_util::future::join_all(tasks).await;
    }
}

impl Watched {
    async fn count(&self) -> Result<u32, String> {
        match &self.how {
            How::Command { observe, deadline } => {
                let argv = command::fill_observe(observe, &self.name)?;
                let env = [("SCALE_TARGET", self.name.as_str().to_owned())];
                let output = run(&argv, &env, *deadline).await.map_err(|e| e.to_string())?;
                command::parse_count(&self.name, &output)
            }
            How::Webhook(webhook) => webhook::count(webhook).await,
            How::File(file) => patch_file::count(file.clone()).await,
        }
    }
}

async fn follow(watched: Watched, refresh: f64, clock: Clock, out: Sender<Observation>) {
    let mut ticks = interval(Duration::from_secs_f64(refresh.clamp(0.1, 3600.0)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut status = SourceStatus {
        name: watched.name.clone(),
        kind: SourceKind::Command,
        health: Health::Connecting,
        since: clock.now(),
        answered: None,
        cadence: refresh * clock.speed(),
        detail: Label::default(),
    };
    loop {
        ticks.tick().await;
        let answer = watched.count().await;
        let at = clock.now();
        take(&mut status, &answer, at);
        if let Ok(count) = answer {
            let seen = Observation::Count { target: watched.target.clone(), count, at };
            if out.send(seen).await.is_err() {
                return;
            }
        }
        if out.send(Observation::Health(status.clone())).await.is_err() {
            return;
        }
    }
}

/// Takes an answer into the health.
fn take(status: &mut SourceStatus, answer: &Result<u32, String>, at: Time) {
    let health = if answer.is_ok() { Health::Ok } else { Health::Down };
    if health != status.health {
        status.health = health;
        status.since = at;
    }
    match answer {
        Ok(count) => {
            status.answered = Some(at);
            status.detail = format!("count {count}").into();
        }
        Err(why) => status.detail = why.as_str().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(observe: &str) -> CommandSettings {
        CommandSettings {
            name: "pool".into(),
            apply: vec!["false".into()],
            observe: Some(vec!["sh".into(), "-c".into(), observe.into()]),
            dry_run: None,
            timeout: 10.0,
        }
    }

    #[tokio::test]
    async fn a_count_and_its_health_arrive_and_a_failure_is_a_sentence() {
        let (out, mut inbox) = tokio::sync::mpsc::channel(8);
        let task = tokio::spawn(Observer::new(&[settings("echo 7")], Clock::wall()).run(60.0, out));
        let Some(Observation::Count { target, count, .. }) = inbox.recv().await else { panic!("a count first") };
        assert_eq!((target.to_string().as_str(), count), ("command/pool", 7));
        let Some(Observation::Health(status)) = inbox.recv().await else { panic!("then its health") };
        assert_eq!(status.health, Health::Ok);
        task.abort();

        let (out, mut inbox) = tokio::sync::mpsc::channel(8);
        let task = tokio::spawn(Observer::new(&[settings("echo nope; exit 3")], Clock::wall()).run(60.0, out));
        let Some(Observation::Health(status)) = inbox.recv().await else { panic!("only health without a count") };
        assert_eq!((status.health, status.answered), (Health::Down, None));
        assert!(status.detail.as_str().contains('3'), "{}", status.detail);
        task.abort();
    }
}
