//! Where the operator is: the view, the rows under the cursors, what is filtered, frozen, zoomed and asked. Plain data.

use super::{
    action::Action,
    backtest::Backtest,
    command::Commands,
    dialog::Dialog,
    keymap::{Chord, Keymap},
    log::Log,
    past::Past,
};
use crate::model::{ActionId, Grid, Label, Link, Picture, Severity, SignalKey, Time, Zone};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// A page of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// Every workload of both kinds, worst first.
    #[default]
    Overview,
    /// One workload: chart, signals, recommendation. Which one: [`State::selected`] of [`Pane::Workloads`].
    Workload,
    /// The same workload's plan of the next 24 hours.
    Day,
    /// Brokers, topics, groups, partitions.
    Kafka,
    /// GPUs, inference services, queues, training runs.
    Ml,
    /// Actions in flight and done.
    Actions,
    /// What is wrong, worst first.
    Alerts,
    /// What flows into what.
    Pipeline,
    /// What changed since the start.
    Log,
    /// Who would have cost what.
    Backtest,
}

impl View {
    /// Every view, in the order of the number keys.
    pub const ALL: [Self; 10] = [
        Self::Overview,
        Self::Kafka,
        Self::Ml,
        Self::Actions,
        Self::Alerts,
        Self::Pipeline,
        Self::Log,
        Self::Backtest,
        Self::Workload,
        Self::Day,
    ];

    /// The name in commands (`snapshot --view NAME`), footer and palette.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Workload => "workload",
            Self::Day => "day",
            Self::Kafka => "kafka",
            Self::Ml => "ml",
            Self::Actions => "actions",
            Self::Alerts => "alerts",
            Self::Pipeline => "pipeline",
            Self::Log => "log",
            Self::Backtest => "backtest",
        }
    }

    /// The action that goes there; `None`: one goes there from a row.
    pub fn action(self) -> Option<Action> {
        match self {
            Self::Overview => Some(Action::Overview),
            Self::Kafka => Some(Action::Kafka),
            Self::Ml => Some(Action::Ml),
            Self::Actions => Some(Action::Actions),
            Self::Alerts => Some(Action::Alerts),
            Self::Pipeline => Some(Action::Pipeline),
            Self::Log => Some(Action::Log),
            Self::Backtest => Some(Action::Backtest),
            Self::Workload | Self::Day => None,
        }
    }

    /// Whether the page is about the one workload that was chosen.
    pub fn is_of_one(self) -> bool {
        matches!(self, Self::Workload | Self::Day | Self::Backtest)
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.name() == name)
    }

    /// The tables of this view; Tab goes through them in this order. The first one has the cursor at the start.
    pub fn panes(self) -> &'static [Pane] {
        match self {
            Self::Overview | Self::Workload | Self::Day | Self::Backtest => &[Pane::Workloads],
            Self::Kafka => &[Pane::Groups, Pane::Partitions, Pane::Topics, Pane::Brokers],
            Self::Ml => &[Pane::Services, Pane::Gpus, Pane::Queues, Pane::Trainings],
            Self::Actions => &[Pane::Actions],
            Self::Alerts => &[Pane::Alerts],
            Self::Pipeline => &[Pane::Stages],
            Self::Log => &[Pane::Log],
        }
    }
}

/// A table with a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pane {
    /// Workloads; the id is the workload's name.
    Workloads,
    /// Brokers; the id is `CLUSTER/ID`.
    Brokers,
    /// Topics; the id is `CLUSTER/NAME`.
    Topics,
    /// Consumer groups; the id is `CLUSTER/GROUP`.
    Groups,
    /// Partitions of the group under the cursor of [`Pane::Groups`]; the id is `CLUSTER/GROUP/TOPIC/PARTITION`.
    Partitions,
    /// GPUs; the id is `SOURCE/HOST/GPU`.
    Gpus,
    /// Inference services; the id is `SOURCE/NAME`.
    Services,
    /// Work queues; the id is `SOURCE/NAME`.
    Queues,
    /// Training runs; the id is `SOURCE/NAME`.
    Trainings,
    /// Actions; the id is the action's.
    Actions,
    /// What is wrong; the id is the alert's.
    Alerts,
    /// Stages of pipelines; the id is `PIPELINE/STAGE`.
    Stages,
    /// What changed; the id is the entry's number.
    Log,
}

/// What the workloads (and, where it makes sense, the other tables) are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Worst first: the engine's order.
    #[default]
    Worst,
    /// By name.
    Name,
    /// Largest demand first.
    Demand,
    /// Largest backlog first.
    Backlog,
    /// Farthest behind first.
    Behind,
}

impl Sort {
    /// The order in which the sort key goes through them.
    pub const ALL: [Self; 5] = [Self::Worst, Self::Name, Self::Demand, Self::Backlog, Self::Behind];

    /// The words in the table's title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Worst => "worst first",
            Self::Name => "by name",
            Self::Demand => "by demand",
            Self::Backlog => "by backlog",
            Self::Behind => "farthest behind first",
        }
    }

    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        let i = Self::ALL.iter().position(|s| *s == self).unwrap_or(0);
        Self::ALL[(i + 1) % Self::ALL.len()]
    }
}

/// What is drawn into the charts beside what was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// Nothing.
    #[default]
    Nothing,
    /// The same time of yesterday.
    Yesterday,
    /// The same time a week ago.
    LastWeek,
}

impl Compare {
    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Nothing => Self::Yesterday,
            Self::Yesterday => Self::LastWeek,
            Self::LastWeek => Self::Nothing,
        }
    }

    /// How long ago that was, seconds; `None`: nothing is compared.
    pub fn ago(self) -> Option<f64> {
        match self {
            Self::Nothing => None,
            Self::Yesterday => Some(86_400.0),
            Self::LastWeek => Some(7.0 * 86_400.0),
        }
    }

    /// The word on the chart.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Yesterday => "yesterday",
            Self::LastWeek => "last week",
        }
    }
}

/// What the map of a group's partitions tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heat {
    /// Records that are not read yet.
    #[default]
    Lag,
    /// For how long the oldest of them has waited.
    Age,
    /// Records arriving each second.
    Rate,
}

impl Heat {
    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Lag => Self::Age,
            Self::Age => Self::Rate,
            Self::Rate => Self::Lag,
        }
    }

    /// The word before its scale.
    pub fn title(self) -> &'static str {
        match self {
            Self::Lag => "lag",
            Self::Age => "behind",
            Self::Rate => "arrivals/s",
        }
    }
}

/// A series of the stored history, moved to the present.
#[derive(Clone, Debug, PartialEq)]
pub struct Recalled {
    /// Which series.
    pub key: SignalKey,
    /// What it was asked for.
    pub compare: Compare,
    /// Up to when (of the present) it was asked for.
    pub until: Time,
    /// The samples; `None`: they are on their way.
    pub track: Option<Arc<Grid>>,
}

/// How much of the past the charts show. The future is always the forecast's whole horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zoom(usize);

impl Zoom {
    const HOURS: [f64; 6] = [0.25, 1.0, 3.0, 6.0, 12.0, 24.0];

    /// Seconds of the past on the chart.
    pub fn back(self) -> f64 {
        Self::HOURS[self.0.min(Self::HOURS.len() - 1)] * 3600.0
    }

    /// A shorter span.
    #[must_use]
    pub fn nearer(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// A longer span.
    #[must_use]
    pub fn farther(self) -> Self {
        Self((self.0 + 1).min(Self::HOURS.len() - 1))
    }
}

impl Default for Zoom {
    /// One hour: the half hour ahead is a third of the chart, and what led to it is still seen.
    fn default() -> Self {
        Self(1)
    }
}

/// Everything that the screen remembers between two frames.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The page.
    pub view: View,
    /// The page that Esc goes back to from [`View::Workload`].
    pub back: View,
    /// The row under the cursor of each table, by what it is and not by its line. Absent: the first row.
    pub selected: BTreeMap<Pane, Label>,
    /// The table with the cursor, per view. Absent: the first of [`View::panes`].
    pub focus: BTreeMap<View, Pane>,
    /// Order of the workloads.
    pub sort: Sort,
    /// Whether that order is turned round.
    pub reverse: bool,
    /// Workloads that stand on top.
    pub marked: BTreeSet<Label>,
    /// Columns of the overview that are not shown, by [`crate::tui::view::overview::columns`].
    pub hidden: BTreeSet<String>,
    /// The theme's name.
    pub theme: String,
    /// Themes that can be chosen.
    pub themes: Vec<String>,
    /// Links out of the screen.
    pub links: Arc<Vec<Link>>,
    /// The operator's own commands.
    pub commands: Arc<Commands>,
    /// The one of them that runs: its number and its name.
    pub running: Option<(u64, Label)>,
    /// Whether this is the demo, which has a tour.
    pub demo: bool,
    /// The tour's step.
    pub tour: Option<usize>,
    /// The filter's text as typed; empty: everything is shown.
    pub filter: String,
    /// The picture that the screen is frozen at.
    pub frozen: Option<Arc<Picture>>,
    /// Pictures of the last hours.
    pub past: Past,
    /// Seconds from the present at which the charts are read; negative: before it. `None`: they are not.
    pub cross: Option<f64>,
    /// What the charts are compared with.
    pub compare: Compare,
    /// What was found of it.
    pub recalled: Option<Recalled>,
    /// What the backtest page plays or has played.
    pub backtest: Option<Backtest>,
    /// How much of the past the charts show.
    pub zoom: Zoom,
    /// Seconds by which the charts are moved into the past.
    pub pan: f64,
    /// By whose clocks times are written.
    pub zone: Zone,
    /// This machine's own clocks, for those who want them.
    pub local: Zone,
    /// Whether the charts show what other rules' counts would hold.
    pub rivals: bool,
    /// What the map of a group's partitions tells.
    pub heat: Heat,
    /// Terminal's columns and lines.
    pub size: (u16, u16),
    /// What lies above the page, the topmost last.
    pub dialogs: Vec<Dialog>,
    /// Sentences that are shown for a while, newest last.
    pub toasts: Vec<Toast>,
    /// The newest of the picture's notices that became a toast.
    pub noticed: Option<Time>,
    /// The last key and when it was pressed, on the monotonic clock: tells a held key from a second press.
    pub last_key: Option<(Chord, Duration)>,
    /// What changed since the start.
    pub log: Log,
    /// The picture before, to tell what changed.
    pub before: Option<Arc<Picture>>,
    /// The prepared change that we confirmed or let go, so that neither is said twice.
    pub settled: Option<ActionId>,
    /// How many questions of what would happen if were asked, and commands run, so far.
    pub asked: u64,
    /// Time since the start, on the monotonic clock, at the last event.
    pub uptime: Duration,
    /// Which key does what.
    pub keymap: Arc<Keymap>,
}

/// How long a toast stays.
const TOAST: Duration = Duration::from_secs(8);
/// Toasts kept; older ones go first.
const TOASTS: usize = 3;

impl State {
    /// The start: the overview with these keys.
    pub fn new(keymap: Keymap) -> Self {
        Self { keymap: Arc::new(keymap), ..Self::default() }
    }

    /// The table with the cursor in the current view.
    pub fn pane(&self) -> Pane {
        self.focus.get(&self.view).copied().unwrap_or_else(|| self.view.panes()[0])
    }

    /// The row under the cursor of a table, if one was chosen.
    pub fn selected(&self, pane: Pane) -> Option<&Label> {
        self.selected.get(&pane)
    }

    /// The picture that is on screen: the frozen one, else `live`.
    pub fn shown<'a>(&'a self, live: &'a Picture) -> &'a Picture {
        self.frozen.as_deref().unwrap_or(live)
    }

    /// Whether a dialog waits for the answer to this question of what would happen if.
    pub fn awaits(&self, question: u64) -> bool {
        let waits = |d: &Dialog| matches!(d, Dialog::WhatIf { number, answer: None, .. } if *number == question);
        self.dialogs.iter().any(waits)
    }

    /// The words in the workloads' title: `by demand`, `by demand, least first`.
    pub fn order(&self) -> String {
        let turned = if self.reverse { ", turned round" } else { "" };
        format!("{}{turned}", self.sort.title())
    }

    /// Shows a sentence for a while. Said again while it stands, it only stays longer.
    pub fn say(&mut self, severity: Severity, text: impl Into<String>) {
        let text = text.into();
        self.toasts.retain(|t| t.text != text);
        if self.toasts.len() >= TOASTS {
            self.toasts.remove(0);
        }
        self.toasts.push(Toast { severity, text, until: self.uptime + TOAST });
    }
}

/// A sentence that is shown for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Toast {
    /// How bad.
    pub severity: Severity,
    /// What.
    pub text: String,
    /// Shown until, on the monotonic clock.
    pub until: Duration,
}
