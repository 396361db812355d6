//! An operator without a screen, for tests that end it at a chosen point: opens its ledger, joins the shared one, brings
//! what an earlier run left to rest, and then makes one change of one command's count.
//!
//! ```text
//! operator DIR BOOTSTRAP PREFIX NAME SCRIPT TO [AT]
//! ```
//!
//! Its ledger lies in DIR; the topics are PREFIX.decisions and PREFIX.state; SCRIPT get prints the count and SCRIPT set TO
//! writes it. At the AT-th point before or behind a sync or a request it ends itself by SIGKILL. Each point is printed to
//! standard error, each state that it recorded to standard output.

use highwater::{
    act::{Actuator, Change, Outcome},
    engine::Gate,
    ledger::{
        Ledger,
        kafka::Shared,
        machine::{self, Event, SETTLE, Transition},
    },
    model::{
        Action, ActionId, ActionState, Actor, CommandSettings, KafkaSettings, LedgerSettings, PlanHash, Property,
        Target, Terms, Time,
    },
    process::{BOUNDARY, Clock},
};
use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tracing::{Event as Trace, Metadata, Subscriber, span};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Ends the process at one of the trace's boundaries.
struct Crash {
    at: u64,
    passed: AtomicU64,
}

/// The words of a trace event.
struct Words(String);

impl tracing::field::Visit for Words {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0 = format!("{value:?}");
    }
}

impl Subscriber for Crash {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == BOUNDARY
    }

    fn event(&self, event: &Trace<'_>) {
        let passed = self.passed.fetch_add(1, SeqCst) + 1;
        let mut words = Words(String::new());
        event.record(&mut words);
        eprintln!("{passed} {}", words.0);
        if passed == self.at {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Operator {
    ledger: Ledger,
    shared: Arc<Shared>,
    settings: LedgerSettings,
    actuator: Actuator,
    actor: Actor,
}

impl Operator {
    async fn open(dir: &Path, bootstrap: &str, prefix: &str, name: &str, script: &str) -> Result<Self> {
        let bootstrap = Property::Text(bootstrap.to_owned());
        let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap)]);
        let settings = LedgerSettings {
            kafka: Some(KafkaSettings::new("test", properties)),
            history: format!("{prefix}.decisions"),
            state: format!("{prefix}.state"),
            ..LedgerSettings::default()
        };
        let actor = Actor { server_user: Some(name.into()), ..Actor::default() };
        let mut ledger = Ledger::open(dir, actor.clone(), Time::now())?;
        if ledger.id().is_none() {
            ledger.note("begins", Time::now())?;
        }
        let id = ledger.id().ok_or("the ledger has no identity")?;
        let shared = Shared::open(&settings, dir, id, ledger.last()).await?;
        let mut view = shared.view();
        tokio::time::timeout(Duration::from_secs(60), view.wait_for(|v| v.link().is_ok())).await??;
        let words = |w: &[&str]| w.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let command = CommandSettings {
            name: "pool".into(),
            apply: words(&[script, "set", "{to}"]),
            observe: Some(words(&[script, "get"])),
            dry_run: None,
            timeout: 20.0,
        };
        let actuator = Actuator::new(None, &[command], Clock::wall());
        Ok(Self { ledger, shared: Arc::new(shared), settings, actuator, actor })
    }

    fn step(&mut self, action: &Action, event: &Event) -> Result<Option<Action>> {
        let now = self.ledger.last_at().map_or(Time::now(), |t| t.max(Time::now()));
        let Transition::To(next) = machine::next(action, event, now)? else { return Ok(None) };
        self.record(&next)?;
        Ok(Some(*next))
    }

    fn record(&mut self, action: &Action) -> Result<()> {
        let seq = self.ledger.record(action)?;
        self.shared.publish(seq);
        println!("{} {}", action.id, action.state.name());
        Ok(())
    }

    /// Brings to rest what an earlier run left: by the shared ledger where it knows, else by a look at the target.
    async fn reconcile(&mut self) -> Result<()> {
        for action in self.ledger.to_watch().cloned().collect::<Vec<_>>() {
            let claim = self.ledger.interrupted().get(&action.id).copied();
            let view = self.shared.view().borrow().clone();
            let never =
                claim.and_then(|seq| view.earlier_claim(self.shared.ledger(), seq)).and_then(std::result::Result::err);
            let event = match never {
                Some(reason) if action.state == ActionState::Unknown => Event::Refused { reason },
                _ => {
                    let seen = self.actuator.observe(&action.target).await?;
                    // Who starts this again has seen to it that no write is still under way.
                    let verify_by = Time::now().plus(60.0);
                    Event::Observed { replicas: seen.replicas, writer: None, verify_by, waited: SETTLE + 1.0 }
                }
            };
            self.step(&action, &event)?;
        }
        Ok(())
    }

    async fn change(&mut self, to: u32) -> Result<()> {
        let target = Target::Command("pool".into());
        let from = self.actuator.observe(&target).await?.replicas.desired;
        let now = Time::now();
        let id = format!("{}-{}-{}", self.actor, now.millis(), std::process::id());
        let action = Action {
            plan_hash: PlanHash::of(&[&id]),
            id: ActionId(id.as_str().into()),
            workload: "pool".into(),
            target,
            uid: None,
            from,
            to: from + to,
            state: ActionState::Proposed,
            actor: self.actor.clone(),
            reason: "test".into(),
            request: "set".into(),
            evidence: "none".into(),
            created: now,
            updated: now,
            expires: now.plus(300.0),
            verify_by: None,
            terms: Terms::default(),
        };
        self.record(&action)?;
        let (actor, plan_hash) = (self.actor.clone(), action.plan_hash.clone());
        let approved = Instant::now();
        let yes = Event::Approve { actor, plan_hash, refused: Vec::new(), when: None, protected: false };
        let Some(action) = self.step(&action, &yes)? else { return Ok(()) };
        let Some(action) = self.step(&action, &Event::Begin { refused: Vec::new() })? else { return Ok(()) };
        let gate = Gate {
            shared: Some((self.shared.clone(), self.ledger.last())),
            leases: None,
            settings: self.settings.clone(),
            protected: false,
        };
        let change = Change {
            action: action.id.clone(),
            target: action.target.clone(),
            uid: None,
            from: action.from,
            to: action.to,
            reason: "test".into(),
            lever: None,
        };
        let write = async {
            println!("{} ms from the approval to the request", approved.elapsed().as_millis());
            self.actuator.apply(&change).await
        };
        let event = match Box::pin(gate.pass(&action, write)).await {
            Outcome::Applied => Event::Accepted { verify_by: Time::now().plus(60.0) },
            Outcome::Refused(reason) => Event::Refused { reason },
            Outcome::Unknown(reason) => Event::Lost { reason },
        };
        self.step(&action, &event)?;
        // The log has all of it before this process goes.
        let (shared, last) = (self.shared.clone(), self.ledger.last());
        let mut view = shared.view();
        let all = view.wait_for(|v| v.arbiter.last_of(shared.ledger()).is_some_and(|seq| seq >= last));
        tokio::time::timeout(Duration::from_secs(60), all).await??;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, bootstrap, prefix, name, script, to, at @ ..] = args.as_slice() else {
        return Err("operator DIR BOOTSTRAP PREFIX NAME SCRIPT TO [AT]".into());
    };
    let at = at.first().map_or(Ok(0), |at| at.parse())?;
    tracing::subscriber::set_global_default(Crash { at, passed: AtomicU64::new(0) })?;
    let mut operator = Operator::open(&PathBuf::from(dir), bootstrap, prefix, name, script).await?;
    operator.reconcile().await?;
    match to.parse()? {
        0 => Ok(()),
        to => Box::pin(operator.change(to)).await,
    }
}
