//! What targets are asked before something is decided about them, away from the desk: one that hangs (a log-in plug-in, an
//! API server, a command) holds nobody else up, and whoever waits for it is told so.

use super::{Desk, change, checks, share::Deciding};
use crate::{
    act::{Actuator, Plan, Seen},
    engine::Options,
    ledger::machine::Event as Step,
    model::{Action, Label, Lever, PlanHash, Severity, Time, WorkloadView, duration},
    source,
};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinError, time};

/// How long a target is waited for, beside what its command or webhook may take: a log-in may take 20 s.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 6 } else { 25 });
/// How long a cluster may take to say who we are.
const WHO: Duration = Duration::from_secs(5);

/// What an answer is for.
pub(super) enum For {
    /// A dialog, with one of the ways that stick.
    Dialog { view: Arc<WorkloadView>, way: usize },
    /// The dialog of a second person.
    Second { view: Arc<WorkloadView> },
    /// The one write, which was just confirmed: the step that approves it, and the lease that the dialog held.
    Confirmed { approve: Box<Step>, deciding: Option<Box<Deciding>> },
    /// The one write, whose time has come.
    Due,
}

/// A connection to the cluster, or why there is none; and who we are there.
pub(super) struct Connected {
    actuator: Actuator,
    user: Option<Label>,
}

/// A question with its answer.
pub(super) struct Asked {
    pub(super) action: Action,
    /// What would be done; with the reason where the target did not answer.
    pub(super) plan: Plan,
    /// The count that was asked for, and the ways that stick.
    pub(super) wanted: u32,
    pub(super) ways: Vec<Label>,
    /// The bound that a way back would move, as it is.
    pub(super) bound: Option<Result<Seen, String>>,
    what: For,
    /// Nothing was answered.
    silent: bool,
    connected: Option<Connected>,
}

/// What can be done without the cluster; it is still to be connected to.
pub(super) fn unconnected(options: &Options) -> Actuator {
    let config = &options.config;
    let actuator = Actuator::new(None, &config.commands, options.clock).with(&config.webhooks, &config.patch_files);
    match config.kubernetes {
        Some(_) => actuator.without_kubernetes("Kubernetes targets cannot be changed: not connected yet".into()),
        None => actuator,
    }
}

/// Connects to the cluster and asks who we are there.
pub(super) async fn connect(options: &Options) -> Connected {
    let Some(settings) = &options.config.kubernetes else {
        return Connected { actuator: unconnected(options), user: None };
    };
    let config = &options.config;
    let actuator = match source::kubernetes::connect_to_change(settings).await {
        Ok(client) => {
            let context = Label::new(settings.context.as_deref().unwrap_or("in-cluster"));
            Actuator::new(Some((client, context)), &config.commands, options.clock)
                .with(&config.webhooks, &config.patch_files)
                .with_jobs(&config.jobs)
        }
        Err(why) => {
            unconnected(options).without_kubernetes(Label::new(&format!("Kubernetes targets cannot be changed: {why}")))
        }
    };
    let user = who(&actuator).await;
    Connected { actuator, user }
}

async fn who(actuator: &Actuator) -> Option<Label> {
    time::timeout(WHO, actuator.identity()).await.ok().flatten()
}

impl Asked {
    /// Asks; `known`: who we are is known.
    async fn answer(&mut self, mut actuator: Actuator, options: &Options, known: bool, now: Time) {
        // We may have logged in since it failed.
        if self.action.target.is_kubernetes() && actuator.lost_kubernetes().is_some() {
            let connected = connect(options).await;
            actuator = connected.actuator.clone();
            self.connected = Some(connected);
        } else if !known {
            let user = who(&actuator).await;
            self.connected = Some(Connected { actuator: actuator.clone(), user });
        }
        if self.action.is_put_back() && matches!(self.what, For::Due) {
            self.bound = Some(actuator.look(&change(&self.action)).await);
        }
        self.plan = actuator.plan(&change(&self.action)).await;
        if let For::Dialog { view, way } = &self.what {
            let (surge, way) = (view.workload.guard.surge, *way);
            self.choose(&actuator, surge, way, now).await;
        }
    }

    /// Where the count has an owner that would take it back, what sticks is asked for instead, and the dialog says so.
    async fn choose(&mut self, actuator: &Actuator, surge: f64, way: usize, now: Time) {
        let offers = std::mem::take(&mut self.plan.offers);
        self.ways = offers.iter().map(|o| o.words.clone()).collect();
        let action = &mut self.action;
        let Some(offer) = offers.into_iter().nth(way).filter(|_| action.terms.lever.is_none()) else { return };
        let restore_at = (action.to > action.from).then(|| now.plus(surge));
        action.to = offer.to;
        action.plan_hash = PlanHash::of(&[&action.plan_hash.to_string(), &offer.lever.to_string()]);
        action.terms.lever = Some(Lever { restore_at, ..offer.lever });
        self.plan = actuator.plan(&change(action)).await;
    }

    /// What stands against the write by what the target said last.
    pub(super) fn against(&self) -> Vec<Label> {
        let mut refused: Vec<Label> = self.plan.refused.clone();
        if !self.silent {
            refused.extend(checks::same_request(&self.action, &self.plan));
            refused.extend(self.plan.dry_run.clone().err());
        }
        refused
    }
}

impl Desk {
    /// Asks the target of an action; [`Desk::answered`] hears of it.
    pub(super) fn ask(&mut self, action: Action, what: For) {
        let patience = PATIENCE + Duration::from_secs_f64(2.0 * self.longest_write(&action.target));
        let silence = format!(
            "{} did not answer within {}: is it slow, or does its log-in wait for somebody?",
            action.target,
            duration(patience.as_secs_f64())
        );
        let (actuator, options, now) = (self.actuator.clone(), self.options.clone(), self.now());
        let known = self.actor.server_user.is_some();
        let is_last = matches!(what, For::Confirmed { .. } | For::Due);
        if is_last {
            self.asking.insert(action.id.clone());
        }
        let (plan, wanted) = (Plan::impossible(silence), action.to);
        let mut asked = Asked {
            action,
            plan: plan.clone(),
            wanted,
            ways: Vec::new(),
            bound: None,
            what,
            silent: false,
            connected: None,
        };
        let question = async move {
            if time::timeout(patience, asked.answer(actuator, &options, known, now)).await.is_err() {
                (asked.plan, asked.silent) = (plan, true);
            }
            asked
        };
        // Several requests at once: too big for the stack.
        let set = if is_last { &mut self.last_looks } else { &mut self.dialogs };
        set.spawn(Box::pin(question));
    }

    /// Goes on with what a target was asked for.
    pub(super) async fn answered(&mut self, asked: Result<Asked, JoinError>) {
        let mut asked = match asked {
            Ok(asked) => asked,
            Err(e) => {
                self.asking.clear(); // it is not known which
                return self.notice(Severity::Act, format!("a question to a target broke: {e}; ask again")).await;
            }
        };
        self.asking.remove(&asked.action.id);
        if let Some(connected) = asked.connected.take() {
            self.take_over(connected).await;
        }
        match std::mem::replace(&mut asked.what, For::Due) {
            For::Dialog { .. } | For::Second { .. } if asked.silent => {
                let why = asked.plan.refused.iter().map(Label::as_str).collect::<String>();
                self.not_ready(&asked.action.workload, why).await;
            }
            For::Dialog { view, way } => self.offer(&view, asked, way).await,
            For::Second { view } => self.offer_second(&view, asked).await,
            For::Confirmed { approve, deciding } => {
                let begun = self.approve_and_begin(asked, &approve).await;
                if let Some(deciding) = deciding.filter(|_| !begun) {
                    self.give_up_lease(*deciding);
                }
            }
            For::Due => self.begin_now(asked).await,
        }
    }

    /// The first connection is made, or cannot be.
    pub(super) async fn connected(&mut self, connected: Result<Connected, JoinError>) {
        match connected {
            Ok(connected) => self.take_over(connected).await,
            Err(e) => self.notice(Severity::Act, format!("connecting to Kubernetes broke: {e}")).await,
        }
        self.learn_identity().await;
        for intent in std::mem::take(&mut self.early) {
            self.hear(intent).await;
        }
    }

    /// Takes over a connection where there was none, and who we are where that was not known.
    async fn take_over(&mut self, connected: Connected) {
        let Connected { actuator, user } = connected;
        if let Some(before) = self.actuator.lost_kubernetes().cloned() {
            self.actuator = actuator;
            self.leases = self.actuator.leases();
            if let Some(why) = self.actuator.lost_kubernetes().filter(|why| **why != before).cloned() {
                self.notice(Severity::Look, why.to_string()).await;
            }
        }
        if let Some(user) = user.filter(|_| self.actor.server_user.is_none()) {
            self.known_as(user, "kubernetes".into()).await;
        }
    }
}
