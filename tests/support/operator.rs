//! An operator without a screen: a ledger of its own, its place in the shared one, and the steps of an action. Used by the
//! tests and by `examples/operator.rs`, which is killed at every boundary.

use highwater::{
    act::Outcome,
    engine::Gate,
    ledger::{
        Ledger,
        kafka::{Shared, View},
        machine::{self, Event, Transition},
    },
    model::{Action, Actor, KafkaSettings, LedgerSettings, Time},
};
use std::{
    error::Error,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long anything that needs the brokers may take.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// The topics PREFIX.decisions and PREFIX.state.
pub fn settings(kafka: KafkaSettings, prefix: &str) -> LedgerSettings {
    LedgerSettings {
        kafka: Some(kafka),
        history: format!("{prefix}.decisions"),
        state: format!("{prefix}.state"),
        ..LedgerSettings::default()
    }
}

pub struct Operator {
    pub ledger: Ledger,
    pub shared: Arc<Shared>,
    pub settings: LedgerSettings,
    pub actor: Actor,
    /// When the last intent was recorded.
    pub intended: Instant,
}

impl Operator {
    /// Joins with the ledger in `dir`, whose owner a server calls `name`; returns when it is shared.
    pub async fn open(dir: &Path, settings: &LedgerSettings, name: &str) -> Result<Self> {
        let actor = Actor { server_user: Some(name.into()), ..Actor::default() };
        let mut ledger = Ledger::open(dir, actor.clone(), Time::now())?;
        if ledger.id().is_none() {
            ledger.note("begins", Time::now())?;
        }
        let id = ledger.id().ok_or("the ledger has no identity")?;
        let shared = Shared::open(settings, dir, id, ledger.last())?;
        let operator =
            Self { ledger, shared: Arc::new(shared), settings: settings.clone(), actor, intended: Instant::now() };
        operator.until("it is shared", |v| v.link().is_ok()).await?;
        Ok(operator)
    }

    /// Waits until what is known of the shared ledger is so.
    pub async fn until(&self, what: &str, holds: impl Fn(&View) -> bool) -> Result<()> {
        let mut view = self.shared.view();
        match tokio::time::timeout(PATIENCE, view.wait_for(|v| holds(v))).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(format!("not within {PATIENCE:?}: {what}; {:?}", self.shared.view().borrow().link()).into()),
        }
    }

    /// Writes an action down, and sends it on its way to the others.
    pub fn record(&mut self, action: &Action) -> Result<u64> {
        let seq = self.ledger.record(action)?;
        self.shared.publish(seq);
        Ok(seq)
    }

    /// The next state of an action; `None`: it is waited on.
    pub fn step(&mut self, action: &Action, event: &Event) -> Result<Option<Action>> {
        let now = self.ledger.last_at().map_or(Time::now(), |t| t.max(Time::now()));
        let Transition::To(next) = machine::next(action, event, now)? else { return Ok(None) };
        self.record(&next)?;
        Ok(Some(*next))
    }

    /// Approves an action and writes its intent down.
    pub fn intend(&mut self, action: &Action) -> Result<Action> {
        let (actor, plan_hash) = (self.actor.clone(), action.plan_hash.clone());
        let yes = Event::Approve { actor, plan_hash, refused: Vec::new(), when: None, protected: false };
        let action = self.step(action, &yes)?.ok_or("it is not approved")?;
        self.intended = Instant::now();
        Ok(self.step(&action, &Event::Begin { refused: Vec::new() })?.ok_or("it is not begun")?)
    }

    /// Takes an action whose intent was just written down through the gate, and writes down how it came out.
    pub async fn carry(&mut self, action: &Action, write: impl Future<Output = Outcome>) -> Result<Outcome> {
        let gate = Gate {
            shared: Some((self.shared.clone(), self.ledger.last())),
            leases: None,
            settings: self.settings.clone(),
            protected: false,
            intended: self.intended,
            intended_at: SystemTime::now(),
        };
        let outcome = Box::pin(gate.pass(action, write)).await;
        let event = match &outcome {
            Outcome::Applied => Event::Accepted { verify_by: Time::now().plus(60.0) },
            Outcome::Refused(reason) => Event::Refused { reason: reason.clone() },
            Outcome::Unknown(reason) => Event::Lost { reason: reason.clone() },
        };
        self.step(action, &event)?;
        Ok(outcome)
    }
}
