//! What can lie above the page: one dialog asks one thing.

use super::{
    command::{Ask, Ran},
    input::Input,
    keymap::Chord,
};
use crate::{
    advise::what_if::Answer,
    model::{ActionId, Label, Limits, PlanHash, Prepared, Unprepared},
};
use std::{sync::Arc, time::Duration};

/// One dialog. The topmost of [`super::State::dialogs`] has the keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Dialog {
    /// The keys; scrolled by so many lines.
    Help(usize),
    /// The command palette.
    Palette {
        /// What is typed.
        input: Input,
        /// The line under the cursor among what matches.
        cursor: usize,
    },
    /// The filter line at the bottom; the rows follow while it is typed.
    Filter {
        /// What is typed.
        input: Input,
        /// The filter that Esc brings back.
        before: String,
    },
    /// A change is checked and waits for the confirming key.
    Approve(Box<Approve>),
    /// An instant of the past is typed.
    Travel {
        /// The time.
        input: Input,
        /// Why the time typed is not possible.
        problem: Option<String>,
    },
    /// An instant is typed, for the approval below it.
    At {
        /// The time.
        input: Input,
        /// Why the time typed is not possible.
        problem: Option<String>,
    },
    /// A reason is typed.
    Reject {
        /// What is rejected.
        plan: Plan,
        /// The reason.
        input: Input,
    },
    /// Another count is typed.
    Count {
        /// What it replaces.
        plan: Plan,
        /// The count now.
        current: u32,
        /// What is allowed.
        limits: Limits,
        /// The number.
        input: Input,
        /// Why the number typed is not possible.
        problem: Option<String>,
    },
    /// For how long not to ask.
    Snooze {
        /// What is put off.
        plan: Plan,
        /// Index into [`SNOOZES`].
        cursor: usize,
    },
    /// Something is chosen from a list.
    Choose {
        /// What.
        choice: Choice,
        /// The line under the cursor.
        cursor: usize,
    },
    /// Where every number of a recommendation comes from.
    Explain {
        /// Workload's name.
        workload: Label,
        /// Scrolled by so many lines.
        scroll: usize,
    },
    /// What would happen if.
    WhatIf {
        /// Workload's name.
        workload: Label,
        /// Which question it is, so that an older answer is not taken for its answer.
        number: u64,
        /// What was played, or why it could not be; `None`: it is being played.
        answer: Option<Result<Arc<Answer>, String>>,
        /// Scrolled by so many lines.
        scroll: usize,
    },
    /// A command of the operator's own waits for the confirming key.
    Ask(Box<Ask>),
    /// What a command of the operator's own wrote.
    Ran {
        /// The command.
        ran: Ran,
        /// Scrolled by so many lines.
        scroll: usize,
    },
    /// Everything about one action.
    Action {
        /// Which.
        id: ActionId,
        /// Scrolled by so many lines.
        scroll: usize,
    },
}

impl Dialog {
    /// Whether it only shows a text, which can be scrolled.
    pub fn is_text(&self) -> bool {
        matches!(
            self,
            Self::Help(_) | Self::Explain { .. } | Self::WhatIf { .. } | Self::Ran { .. } | Self::Action { .. }
        )
    }
}

/// The recommendation that was on screen when the key was pressed.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Workload's name.
    pub workload: Label,
    /// Its identity.
    pub hash: PlanHash,
}

/// What is chosen from a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A theme; Esc brings this one back.
    Theme {
        /// The theme before.
        before: String,
    },
    /// Which columns the overview shows.
    Columns,
    /// A link of a workload.
    Link {
        /// The workload.
        workload: Label,
    },
}

/// What can be chosen in the snooze dialog: words and seconds.
pub const SNOOZES: [(&str, f64); 3] = [("15 minutes", 900.0), ("1 hour", 3_600.0), ("4 hours", 14_400.0)];

/// An approval between its two keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Approve {
    /// What is approved.
    pub plan: Plan,
    /// The count asked for.
    pub to: u32,
    /// The key that opened the dialog; it never confirms.
    pub opener: Chord,
    /// When it was asked, on the monotonic clock.
    pub asked: Duration,
    /// The prepared change that lay there before we asked; it is not the answer.
    pub before: Option<ActionId>,
    /// The server's answer as it stands on screen.
    pub shown: Option<Shown>,
    /// The refusal that lay there before we asked; it is not the answer either.
    pub refused_before: Option<Arc<Unprepared>>,
    /// Why no answer will come.
    pub refused: Option<Label>,
    /// The target's name, where it must be typed.
    pub typed: Input,
    /// Another dialog lies above it.
    pub covered: bool,
    /// The first line below the head; the last one that can be shown is the end, which is where it begins.
    pub scroll: usize,
}

/// A prepared change on screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// What was checked.
    pub prepared: Arc<Prepared>,
    /// Since when it can be read in this form; the dead time of the confirming key runs from here.
    pub since: Duration,
    /// It is no longer what the engine holds ready: replaced, begun elsewhere or expired.
    pub gone: bool,
}

impl Shown {
    /// The name that must be typed under [`crate::model::Confirm::TypeName`].
    pub fn name_to_type(&self) -> Label {
        match self.prepared.target.kubernetes() {
            Some((_, _, name)) => name.clone(),
            None => match &self.prepared.target {
                crate::model::Target::Command(name) => name.clone(),
                other => Label::new(&other.to_string()),
            },
        }
    }
}
