//! Everything that a key or the palette can do. One table makes the enum, its names in files, its help and its default keys.

use super::state::View;
use crate::model::Mode;

/// The heading that an action stands under in the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Views, in and out.
    Go,
    /// The cursor.
    Move,
    /// What is shown and how.
    Show,
    /// Decisions; they exist in operate mode only.
    Decide,
    /// The program itself.
    Program,
}

impl Section {
    /// Every section, in the order of the help.
    pub const ALL: [Self; 5] = [Self::Go, Self::Decide, Self::Show, Self::Move, Self::Program];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Go => "Go",
            Self::Move => "Move",
            Self::Show => "Show",
            Self::Decide => "Decide",
            Self::Program => "Program",
        }
    }
}

macro_rules! actions {
    ($($variant:ident $name:literal $short:literal $section:ident $keys:tt $doc:literal;)*) => {
        /// What a key does. The doc line of each is its line in the help.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $(#[doc = $doc] $variant,)* }

        impl Action {
            /// Every action, in the order of help and footer.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in key files, the palette and `highwater keys`; it never changes.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One or two words for the footer.
            pub fn short(self) -> &'static str {
                match self { $(Self::$variant => $short,)* }
            }

            /// What it does, one line.
            pub fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }

            /// Its heading in the help.
            pub fn section(self) -> Section {
                match self { $(Self::$variant => Section::$section,)* }
            }

            /// Its keys, as a key file would write them, before the operator changes them.
            pub fn default_keys(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &$keys,)* }
            }
        }
    };
}

actions! {
    Open         "open"          "open"      Go      ["enter"]            "Open what is under the cursor.";
    Back         "back"          "back"      Go      ["esc"]              "Leave the dialog, the filter or the page.";
    Approve      "approve"       "approve"   Decide  ["a"]                "Check the recommended change and show what would be done.";
    Reject       "reject"        "reject"    Decide  ["x"]                "Reject the recommendation, with a reason.";
    ChangeCount  "change-count"  "change"    Decide  ["c"]                "Ask for another count than the recommended one.";
    Snooze       "snooze"        "snooze"    Decide  ["z"]                "Do not ask again for a while, unless it gets worse.";
    Confirm      "confirm"       "do it"     Decide  ["y"]                "In the approval dialog: do what is shown.";
    ConfirmAt    "confirm-at"    "at a time" Decide  ["t"]                "In the approval dialog: do it at a time that you write.";
    ConfirmLink  "confirm-link"  "it is"     Decide  ["L"]                "In the approval dialog: say that a guessed target is the right one.";
    OtherWay     "other-way" "other way" Decide  ["w"]                "In the approval dialog: write something else that sticks, where an autoscaler owns the count.";
    Undo         "undo"          "undo"      Decide  ["U"]                "Go back to the count before the last change.";
    Explain      "explain"       "explain"   Show    ["e"]                "Show where every number of the recommendation comes from.";
    WhatIf       "what-if"       "what if"   Show    ["w"]                "Play the next half hour: more demand, a consumer lost, a broker lost, slow commits.";
    Day          "day"           "day plan"  Show    ["P"]                "Show the plan of the next 24 hours: when how many, and what that costs.";
    Filter       "filter"        "filter"    Show    ["/"]                "Show only the rows that match: words, kind:group, state:act, lag>10k.";
    Sort         "sort"          "sort"      Show    ["s"]                "Sort by the next column.";
    SortReverse  "sort-reverse"  "reverse"   Show    ["S"]                "Turn the order of the rows round.";
    Freeze       "freeze"        "freeze"    Show    ["space"]            "Freeze the screen, and go on.";
    Travel       "travel"        "at a time" Show    ["@"]                "Show what was on screen at a time: what was measured, and what was advised.";
    Earlier      "earlier"       "earlier"   Show    [","]                "Show what was on screen a minute earlier.";
    Later        "later"         "later"     Show    ["."]                "Show what was on screen a minute later; after the last one the screen goes on.";
    CrossLeft    "cross-left"    "read left" Show    ["left"]             "Read the charts at an instant: farther back.";
    CrossRight   "cross-right"   "read right" Show   ["right"]            "Read the charts at an instant: farther on.";
    Compare      "compare"       "compare"   Show    ["="]                "Draw the same time of yesterday, then of last week, into the charts.";
    ZoomOut      "zoom-out"      "longer"    Show    ["["]                "Show a longer past in the charts.";
    ZoomIn       "zoom-in"       "shorter"   Show    ["]"]                "Show a shorter past in the charts.";
    PanLeft      "pan-left"      "back"      Show    ["<"]                "Move the charts into the past, by a quarter of what they show.";
    PanRight     "pan-right"     "forth"     Show    [">"]                "Move the charts back towards the present.";
    Clock        "clock"         "clock"     Show    ["L"]                "Write times by this machine's own clock, and in UTC again.";
    Rivals       "rivals"        "rivals"    Show    ["v"]                "Show in the charts what the counts of HPA, KEDA and a CPU rule would hold.";
    Heat         "heat"          "heat"      Show    ["H"]                "Show in the map of a group's partitions the lag, how far behind each is, or arrivals.";
    Mark         "mark"          "mark"      Show    ["m"]                "Mark the workload: marked ones stand on top, and /marked shows them alone.";
    Columns      "columns"       "columns"   Show    ["C"]                "Choose the columns of the overview.";
    Theme        "theme"         "theme"     Show    ["T"]                "Choose a theme; the screen shows the one under the cursor.";
    Note         "note"          "note"      Show    ["n"]                "Save a hand-over note of the workload (Markdown) and send it to the terminal's clipboard.";
    Copy         "copy"          "copy"      Show    ["Y"]                "Send the row under the cursor to the terminal's clipboard.";
    Links        "links"         "links"     Show    ["o"]                "Send a link of the workload (dashboard, runbook) to the terminal's clipboard.";
    SaveScreen   "save-screen"   "save"      Show    ["p"]                "Save this screen as SVG, ANSI and text.";
    NextPane     "next-pane"     "next table" Move   ["tab"]              "Move the cursor to the next table.";
    PreviousPane "previous-pane" "last table" Move   ["shift-tab"]        "Move the cursor to the previous table.";
    Palette      "palette"       "command"   Program [":"]                "Run any of these by name, or jump to a workload.";
    Overview     "view-overview" "overview"  Go      ["1"]                "Go to the overview of every workload.";
    Kafka        "view-kafka"    "kafka"     Go      ["2"]                "Go to brokers, topics and consumer groups.";
    Ml           "view-ml"       "ml"        Go      ["3"]                "Go to GPUs, inference services and queues.";
    Actions      "view-actions"  "actions"   Go      ["4"]                "Go to the actions under way and done.";
    Alerts       "view-alerts"   "alerts"    Go      ["5"]                "Go to what is wrong, worst first, with the mend of each.";
    Pipeline     "view-pipeline" "pipeline"  Go      ["6"]                "Go to what flows into what, with the bottleneck of each pipeline.";
    Log          "view-log"      "log"       Go      ["7"]                "Go to what changed since this screen was started, newest first.";
    Backtest     "view-backtest" "backtest"  Go      ["8"]                "Go to what each rule would have cost on the demand that was seen.";
    Down         "down"          "down"      Move    ["j", "down"]        "Move down.";
    Up           "up"            "up"        Move    ["k", "up"]          "Move up.";
    PageDown     "page-down"     "page down" Move    ["pgdn"]             "Move down by a page.";
    PageUp       "page-up"       "page up"   Move    ["pgup"]             "Move up by a page.";
    Top          "top"           "first"     Move    ["g", "home"]        "Move to the first row.";
    Bottom       "bottom"        "last"      Move    ["G", "end"]         "Move to the last row.";
    Tour         "tour"          "tour"      Program ["t"]                "In the demo: be shown around; again: the next step.";
    Redraw       "redraw"        "redraw"    Program ["r", "ctrl-l"]      "Draw the whole screen anew.";
    Suspend      "suspend"       "suspend"   Program ["ctrl-z"]           "Give the terminal back to the shell; fg comes back.";
    Help         "help"          "help"      Program ["?", "f1"]          "Show the keys.";
    Quit         "quit"          "quit"      Program ["q", "ctrl-c"]      "Leave.";
}

impl Action {
    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|a| a.name() == name)
    }

    /// Whether it is done in the approval dialog only, so that its key may do something else on a page.
    pub fn is_of_approval(self) -> bool {
        matches!(self, Self::Confirm | Self::ConfirmAt | Self::ConfirmLink | Self::OtherWay)
    }

    /// The page that it goes to, if that is what it does.
    pub fn view(self) -> Option<View> {
        View::ALL.into_iter().find(|v| v.action() == Some(self))
    }

    /// Whether there is such an action at all: in watch mode nothing can be decided, so nothing is offered.
    pub fn exists_in(self, mode: Mode) -> bool {
        mode == Mode::Operate || self.section() != Section::Decide
    }
}
