//! An operator without a screen, for tests that end it at a chosen point: opens its ledger, joins the shared one, brings
//! what an earlier run left to rest, and then makes one change of one command's count.
//!
//! ```text
//! operator DIR BOOTSTRAP PREFIX NAME SCRIPT TO [AT]
//! ```
//!
//! Its ledger lies in DIR; the topics are PREFIX.decisions and PREFIX.state; SCRIPT get prints the count and SCRIPT set TO
//! writes it. At the AT-th point before or behind a sync or a request it ends itself by SIGKILL. Each point is printed to
//! standard error.

#[path = "../tests/support/boundary.rs"]
mod boundary;
#[path = "../tests/support/operator.rs"]
mod operator;

use highwater::{
    act::{Actuator, Change},
    ledger::machine::{Event, Look, SETTLE},
    model::{Action, ActionId, ActionState, CommandSettings, KafkaSettings, Property, Target, Time},
    process::{BOUNDARY, Clock},
};
use operator::{Operator, Result};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Instant,
};
use tracing::{Event as Trace, Metadata, Subscriber, span};

/// Ends the process at one of the trace's boundaries.
struct Crash {
    at: u64,
    passed: AtomicU64,
}

impl Subscriber for Crash {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == BOUNDARY
    }

    fn event(&self, event: &Trace<'_>) {
        let passed = self.passed.fetch_add(1, SeqCst) + 1;
        eprintln!("{passed} {}", boundary::words(event));
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

/// The operator and the pool that it moves.
struct Hand {
    operator: Operator,
    pool: Actuator,
}

impl Hand {
    /// Brings to rest what an earlier run left: by the shared ledger where it knows, else by a look at the target.
    async fn reconcile(&mut self) -> Result<()> {
        let left: Vec<Action> = self.operator.ledger.to_watch().cloned().collect();
        for action in left {
            let claim = self.operator.ledger.interrupted().get(&action.id).copied();
            let view = self.operator.shared.view().borrow().clone();
            let verdict = claim.and_then(|seq| view.earlier_claim(self.operator.shared.ledger(), seq));
            let never = verdict.and_then(std::result::Result::err);
            let event = match never {
                Some(reason) if action.state == ActionState::Unknown => Event::Refused { reason },
                _ => {
                    let replicas = self.pool.observe(&action.target).await?.replicas;
                    // Who starts this again has seen to it that no write is still under way.
                    let (verify_by, waited) = (Time::now().plus(60.0), SETTLE + 1.0);
                    Event::Observed(Look { replicas, lever: None, writer: None, verify_by, expects: None, waited })
                }
            };
            self.operator.step(&action, &event)?;
        }
        Ok(())
    }

    async fn change(&mut self, by: u32) -> Result<()> {
        let Self { operator, pool } = self;
        let target = Target::Command("pool".into());
        let from = pool.observe(&target).await?.replicas.desired;
        let now = Time::now();
        let id = ActionId(format!("{}-{}-{}", operator.actor, now.millis(), std::process::id()).into());
        let actor = operator.actor.clone();
        let action = Action { actor, ..Action::proposed(id, "pool".into(), target, (from, from + by), now) };
        operator.record(&action)?;
        let approved = Instant::now();
        let action = operator.intend(&action)?;
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
            pool.apply(&change).await
        };
        operator.carry(&action, write).await?;
        // The log has all of it before this process goes.
        let (ledger, last) = (operator.shared.ledger().clone(), operator.ledger.last());
        operator.until("all is told", |v| v.arbiter.last_of(&ledger).is_some_and(|seq| seq >= last)).await
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
    let bootstrap = Property::Text(bootstrap.clone());
    let kafka = KafkaSettings::new("test", BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap)]));
    let words = |w: &[&str]| w.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let command = CommandSettings {
        name: "pool".into(),
        apply: words(&[script, "set", "{to}"]),
        observe: Some(words(&[script, "get"])),
        dry_run: None,
        timeout: 20.0,
    };
    let mut hand = Hand {
        operator: Operator::open(Path::new(dir), &operator::settings(kafka, prefix), name).await?,
        pool: Actuator::new(None, &[command], Clock::wall()),
    };
    hand.reconcile().await?;
    match to.parse()? {
        0 => Ok(()),
        by => Box::pin(hand.change(by)).await,
    }
}
