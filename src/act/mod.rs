//! Carries an action out: one actuator a file. `watch` never constructs one; it may construct an [`Observer`].
//!
//! Three rules hold for every actuator. A change is made only while the target is still as it was on screen. A write is
//! tried once. An outcome is [`Outcome::Applied`] or [`Outcome::Refused`] only when that is certain; anything else is
//! [`Outcome::Unknown`], and then the target is looked at instead of being written again.

mod command;
mod http;
mod kubernetes;
mod observer;
mod patch_file;
mod webhook;

use crate::{
    model::{
        ActionId, CommandSettings, JobSettings, Label, Lever, LeverState, PatchFileSettings, Replicas, Target,
        WebhookSettings,
    },
    process::Clock,
};
pub use kubernetes::{FIELD_MANAGER, Leases, NoLease, TTL as LEASE_TTL, Told};
pub use observer::Observer;
use std::time::Duration;

/// One change of one count, as it was approved.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The action that it belongs to.
    pub action: ActionId,
    /// What is changed.
    pub target: Target,
    /// `metadata.uid` that was on screen, for objects.
    pub uid: Option<Label>,
    /// The count that must be found.
    pub from: u32,
    /// The count to write.
    pub to: u32,
    /// What it rests on, for commands and services that pass it on.
    pub reason: Label,
    /// What is written when the count has an owner: one of the [`Plan::offers`]. `None`: the count itself.
    pub lever: Option<Lever>,
}

/// What a change would do, checked against the target as it is now. Nothing was changed to learn it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The exact request, line by line.
    pub request: Vec<Label>,
    /// Who else writes this count, in words.
    pub owner: Label,
    /// Who the target says we are, and whether it lets us.
    pub identity: Label,
    /// The dry run's answer.
    pub dry_run: Result<Label, Label>,
    /// What stands against it, each with the mend; empty: may be done.
    pub refused: Vec<Label>,
    /// The writes that would stick where this one would not, best first: plan again with one as [`Change::lever`].
    pub offers: Vec<Offer>,
}

/// A write that sticks although the count has an owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// What is written.
    pub lever: Lever,
    /// The count that it leads to: the one that was asked for, or the present one where that is only kept.
    pub to: u32,
    /// What it does and what it leaves behind, for the dialog.
    pub words: Label,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The target accepted it.
    Applied,
    /// The target refused it, or it was never sent: certainly nothing was done.
    Refused(Label),
    /// It may or may not have been done.
    Unknown(Label),
}

/// A count and who wrote it last.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The count.
    pub replicas: Replicas,
    /// Manager that last wrote it, where the server says so. A hint: servers forget it (kubernetes.md §7).
    pub writer: Option<Label>,
    /// How the change's lever was found; `None`: it has none.
    pub lever: Option<LeverState>,
}

/// The one door to changing anything. Constructed in operate mode only.
#[derive(Clone, Debug)]
pub struct Actuator {
    kubernetes: Option<kubernetes::Scaler>,
    commands: command::Commands,
    webhooks: webhook::Webhooks,
    files: patch_file::PatchFiles,
    clock: Clock,
    /// Why Kubernetes targets cannot be changed although Kubernetes is configured.
    lost: Option<Label>,
}

impl Actuator {
    /// `kubernetes`: a client and the name of its context. The client must not retry by itself (the one of
    /// `source::kubernetes::connect` does not).
    pub fn new(kubernetes: Option<(kube::Client, Label)>, commands: &[CommandSettings], clock: Clock) -> Self {
        Self {
            kubernetes: kubernetes.map(|(client, context)| kubernetes::Scaler::new(client, context, clock)),
            commands: command::Commands::new(commands, clock),
            webhooks: webhook::Webhooks::new(&[], clock),
            files: patch_file::PatchFiles::new(&[], clock),
            clock,
            lost: None,
        }
    }

    /// Kubernetes is configured, and cannot be reached to change anything.
    #[must_use]
    pub fn without_kubernetes(self, why: Label) -> Self {
        Self { kubernetes: None, lost: Some(why), ..self }
    }

    /// Why Kubernetes targets cannot be changed although Kubernetes is configured.
    pub fn lost_kubernetes(&self) -> Option<&Label> {
        self.lost.as_ref()
    }

    fn no_kubernetes(&self) -> Label {
        let none = || "no Kubernetes is configured: set [kubernetes] context, or choose another target".into();
        self.lost.clone().unwrap_or_else(none)
    }

    /// Adds the configured webhooks and patch files.
    #[must_use]
    pub fn with(self, webhooks: &[WebhookSettings], files: &[PatchFileSettings]) -> Self {
        Self {
            webhooks: webhook::Webhooks::new(webhooks, self.clock),
            files: patch_file::PatchFiles::new(files, self.clock),
            ..self
        }
    }

    /// Adds the templates that Jobs are started from.
    #[must_use]
    pub fn with_jobs(mut self, jobs: &[JobSettings]) -> Self {
        self.kubernetes = self.kubernetes.map(|scaler| scaler.with_jobs(jobs));
        self
    }

    /// How long one request to Kubernetes may take; 15 s unless said.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.kubernetes = self.kubernetes.map(|scaler| scaler.with_deadline(deadline));
        self
    }

    /// Who the Kubernetes server says we are; `None` without Kubernetes or when it does not say.
    pub async fn identity(&self) -> Option<Label> {
        self.kubernetes.as_ref()?.identity().await.ok()
    }

    /// The leases of the cluster; `None`: without Kubernetes there are none.
    pub fn leases(&self) -> Option<Leases> {
        self.kubernetes.clone().map(Leases::new)
    }

    /// Puts a notice on a target where there is a place for one. Best effort: nothing rests on it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn tell(&self, target: &Target, uid: Option<&Label>, told: &Told) -> Result<(), String> {
        match &self.kubernetes {
            Some(scaler) if target.is_kubernetes() => scaler.tell(target, uid, told).await,
            _ => Ok(()),
        }
    }

    /// Checks owner, permission and present state and dry-runs the change. Ask again right before [`Actuator::apply`].
    pub async fn plan(&self, change: &Change) -> Plan {
        match (&change.target, &self.kubernetes) {
            (Target::Command(name), _) => self.commands.plan(name, change).await,
            (Target::Webhook(name), _) => self.webhooks.plan(name, change).await,
            (Target::PatchFile(name), _) => self.files.plan(name, change).await,
            (_, Some(scaler)) => scaler.plan(change).await,
            (_, None) => Plan::impossible(self.no_kubernetes()),
        }
    }

    /// Makes the change: one conditional write, never repeated. The intent must be on disk before this is called.
    pub async fn apply(&self, change: &Change) -> Outcome {
        match (&change.target, &self.kubernetes) {
            (Target::Command(name), _) => self.commands.apply(name, change).await,
            (Target::Webhook(name), _) => self.webhooks.apply(name, change).await,
            (Target::PatchFile(name), _) => self.files.apply(name, change).await,
            (_, Some(scaler)) => scaler.apply(change).await,
            (_, None) => Outcome::Refused(self.no_kubernetes()),
        }
    }

    /// Looks at the target now, past every cache.
    pub async fn observe(&self, target: &Target) -> Result<Seen, String> {
        match (target, &self.kubernetes) {
            (Target::Command(name), _) => self.commands.observe(name).await,
            (Target::Webhook(name), _) => self.webhooks.observe(name).await,
            (Target::PatchFile(name), _) => self.files.observe(name).await,
            (_, Some(scaler)) => scaler.observe(target).await,
            (_, None) => Err(self.no_kubernetes().to_string()),
        }
    }

    /// Looks at everything that `change` writes: the target's count and, where it has one, the lever's fields.
    pub async fn look(&self, change: &Change) -> Result<Seen, String> {
        if let (Target::Jobs { namespace, name }, None, Some(scaler)) =
            (&change.target, &change.lever, &self.kubernetes)
        {
            return scaler.look_jobs(change, (namespace, name)).await;
        }
        let mut seen = self.observe(&change.target).await?;
        if let Some(lever) = &change.lever {
            let scaler = self.kubernetes.as_ref().ok_or_else(|| self.no_kubernetes().to_string())?;
            seen.lever = Some(scaler.look(lever).await?);
        }
        Ok(seen)
    }
}

impl Plan {
    /// A plan that cannot be carried out at all.
    pub fn impossible(why: impl Into<Label>) -> Self {
        let why = why.into();
        Self {
            request: Vec::new(),
            owner: Label::default(),
            identity: Label::default(),
            dry_run: Err(why.clone()),
            refused: vec![why],
            offers: Vec::new(),
        }
    }
}
