//! The operator's word that a guessed target is the right one: kept on disk, then the change is checked anew.

use super::Desk;
use crate::{
    engine::{
        confirmed::{self, Confirmation},
        run::Event,
    },
    model::{ActionId, Label, PlanHash, Prepared, Severity},
};

impl Desk {
    /// Confirms the target of the change that is in the dialog and shows the change again, checked anew: the confirming
    /// key of the change itself is another one.
    pub(super) async fn confirm_link(&mut self, id: &ActionId, plan: &PlanHash) {
        let shown = self.prepared.as_ref().filter(|(p, _)| p.action == *id && p.guess.is_some());
        let Some((Prepared { asked, way, .. }, action)) = shown.cloned() else {
            self.notice(Severity::Look, "there is no guess to confirm any more: look again").await;
            return;
        };
        let picture = self.picture();
        let view = picture.workload(action.workload.as_str());
        let Some(view) = view.filter(|v| v.workload.target.as_ref() == Some(&action.target)) else {
            let text = format!("{} is no longer found on {}: look again", action.workload, action.target);
            self.notice(Severity::Look, text).await;
            return;
        };
        let by = Label::new(&self.actor.to_string());
        let (entity, target) = (view.workload.entity.clone(), action.target.clone());
        let word = Confirmation { at: self.now(), by, entity, target };
        if let Err(why) = self.keep_word(&word).await {
            self.notice(Severity::Act, format!("not confirmed: {why}")).await;
            return;
        }
        self.confirmed.add(word.clone());
        self.send(Event::Confirmed(word)).await;
        self.notice(Severity::Ok, format!("{} runs on {}: confirmed", action.workload, action.target)).await;
        if action.waits_for_second() {
            self.prepare_second(&action.id).await;
        } else {
            // As it was asked for: a way that only keeps the present count leads to another one.
            self.prepare(&action.workload, asked, plan, way).await;
        }
    }

    async fn keep_word(&self, word: &Confirmation) -> Result<(), String> {
        let Some(dir) = self.options.state.clone() else { return Ok(()) }; // nothing outlives this process
        let word = word.clone();
        let kept = tokio::task::spawn_blocking(move || confirmed::keep(&dir, &word)).await;
        kept.unwrap_or_else(|e| Err(e.to_string()))
    }
}
