//! The two lines at the top: what this is, whether it can be trusted, whether it can change anything.

use super::{
    super::{Cx, alerts, format, past::not_kept, theme::Slot},
    text::{Line, put, width},
};
use crate::model::{Health, Mode, Severity, SourceKind, SourceStatus, Time};
use ratatui::{buffer::Buffer, layout::Rect};
use unicode_width::UnicodeWidthStr;

/// Lines that it takes.
pub(super) const LINES: u16 = 2;
/// Fewest columns in which what is wrong with a source is begun.
const DETAIL: usize = 24;
/// Characters of what is wrong with the ledger.
const LEDGER: usize = 40;

/// How much the first line says, from everything to the least that still tells a good source from a bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// Brand, title, and of each source its kind, state, what it says of itself, and age.
    All,
    /// Without what good sources say of themselves.
    Plain,
    /// With short names.
    Short,
    /// Without the brand.
    Unbranded,
    /// The title goes to the second line.
    Untitled,
    /// Without the word "ok": the glyph and the age remain, and every word that is not "ok".
    Wordless,
}

impl Level {
    const ALL: [Self; 6] = [Self::All, Self::Plain, Self::Short, Self::Unbranded, Self::Untitled, Self::Wordless];
}

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let right = mode(cx, area.width);
    let room = usize::from(area.width).saturating_sub(width(&right) + 2);
    let fitting = Level::ALL.into_iter().map(|level| (level, sources(cx, level))).find(|(_, l)| width(l) <= room);
    let (titled, left) = fitting.map_or_else(|| tally(cx, room), |(level, l)| (level < Level::Untitled, l));
    put(buf, cx.theme, (area.x, area.y), room as u16, &left);
    let x = area.right().saturating_sub(width(&right) as u16 + 1);
    put(buf, cx.theme, (x, area.y), area.width, &right);
    let ledger = ledger(cx);
    let room = area.width.saturating_sub(width(&ledger) as u16 + 2);
    put(buf, cx.theme, (area.x, area.y + 1), room, &counts(cx, titled, usize::from(room)));
    let x = area.right().saturating_sub(width(&ledger) as u16 + 1);
    put(buf, cx.theme, (x, area.y + 1), area.width, &ledger);
}

/// How many need the operator, where there is room for nothing else.
pub(super) fn in_brief(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    if !area.is_empty() {
        put(buf, cx.theme, (area.x, area.y), area.width, &counts(cx, true, usize::from(area.width)));
    }
}

/// Who may do what, and the time. The words stand out by colour and by being words.
fn mode(cx: &Cx<'_>, columns: u16) -> Line {
    let mut line = Line::new();
    if cx.state.frozen.is_some() {
        let age = format::age(cx.now.since(cx.picture.at).max(0.0));
        line.push((Slot::Look, format!(" FROZEN {} ({age} ago) ", cx.clock_seconds(cx.picture.at))));
        line.push((Slot::Text, " ".into()));
    }
    match cx.picture.mode {
        Mode::Operate => line.push((Slot::Operate, " OPERATE ".into())),
        Mode::Watch => line.push((Slot::Watch, " WATCH ".into())),
    }
    if let Some(identity) = cx.picture.identity.as_ref().filter(|_| columns >= 100) {
        line.push((Slot::Text, format!("  {identity}")));
    }
    let clock = if columns >= 80 { cx.clock_seconds(cx.now) } else { cx.clock(cx.now) };
    line.push((Slot::Dim, format!("  {clock} {}", cx.zone(cx.now))));
    line
}

/// The title and each source with its state and age.
fn sources(cx: &Cx<'_>, level: Level) -> Line {
    let mut line = match level {
        Level::All | Level::Plain | Level::Short => title(cx),
        Level::Unbranded => vec![(Slot::Title, format!(" {}", cx.picture.title))],
        Level::Untitled | Level::Wordless => Line::new(),
    };
    let many = |kind: SourceKind| cx.picture.sources.iter().filter(|s| s.kind == kind).count() > 1;
    for source in &cx.picture.sources {
        let kind = if level < Level::Short { source.kind.name() } else { short(source.kind) };
        let named = many(source.kind) && source.name != *source.kind.name();
        let name = if named { format!("{kind} {}", source.name) } else { kind.to_owned() };
        let (glyph, slot, word) = health(cx, source);
        let good = slot == Slot::Good;
        let word = if level == Level::Wordless && good { String::new() } else { format!(" {word}") };
        let detail = if level == Level::All && good { format!(" {}", source.detail) } else { String::new() };
        // How old its last answer is; of one that is down, for how long.
        let seconds = match source.health {
            Health::Down => Some(at(cx).since(source.since).max(0.0)),
            _ => source.age(at(cx)),
        };
        let age = seconds.map_or_else(String::new, |seconds| format!(" {}", format::age(seconds)));
        let gap = if line.is_empty() { " " } else { "  " };
        line.push((Slot::Text, format!("{gap}{name} ")));
        line.push((slot, format!("{glyph}{word}")));
        line.push((Slot::Dim, format!("{detail}{age}")));
    }
    if cx.picture.sources.is_empty() {
        let why =
            if not_kept(cx.picture, cx.state).is_some() { "sources not known" } else { "no source is configured" };
        line.push((Slot::Unknown, format!("  {why}")));
    }
    line
}

/// When there are too many sources for a line; whether the title fits before it.
fn tally(cx: &Cx<'_>, room: usize) -> (bool, Line) {
    let bad = cx.picture.sources.iter().filter(|s| health(cx, s).1 != Slot::Good).count();
    let (glyph, slot) = if bad == 0 { (cx.theme.glyphs().up, Slot::Good) } else { (cx.theme.glyphs().half, Slot::Act) };
    let all = cx.picture.sources.len();
    let good = vec![(slot, format!("  {glyph} {}/{all} sources ok", all - bad))];
    let titled = [title(cx), good.clone()].concat();
    if width(&titled) <= room { (true, titled) } else { (false, good) }
}

fn title(cx: &Cx<'_>) -> Line {
    vec![(Slot::Accent, " highwater ".into()), (Slot::Title, cx.picture.title.to_string())]
}

fn short(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Kafka => "kafka",
        SourceKind::Prometheus => "prom",
        SourceKind::Kubernetes => "k8s",
        SourceKind::Command => "cmd",
    }
}

/// Against which instant sources are judged: on a frozen screen, the instant of the picture.
fn at(cx: &Cx<'_>) -> Time {
    if cx.state.frozen.is_some() { cx.picture.at } else { cx.now }
}

/// State as glyph, colour and word.
fn health(cx: &Cx<'_>, source: &SourceStatus) -> (&'static str, Slot, &'static str) {
    let glyphs = cx.theme.glyphs();
    match source.health {
        Health::Connecting => (glyphs.half, Slot::Unknown, "connecting"),
        Health::Down => (glyphs.down, Slot::Act, "down"),
        _ if source.is_stale(at(cx)) => (glyphs.half, Slot::Unknown, "stale"),
        Health::Degraded => (glyphs.half, Slot::Look, "degraded"),
        Health::Ok => (glyphs.up, Slot::Good, "ok"),
    }
}

/// Whether decisions can be recorded, in the corner where it is never cut.
fn ledger(cx: &Cx<'_>) -> Line {
    match (cx.picture.mode, cx.picture.ledger.writable) {
        (Mode::Watch, _) => Line::new(),
        (Mode::Operate, true) => vec![(Slot::Dim, "ledger ok".into())],
        (Mode::Operate, false) => {
            let why: String = cx.picture.ledger.detail.as_str().chars().take(LEDGER).collect();
            vec![(Slot::Act, format!("ledger: {why}"))]
        }
    }
}

/// How many need the operator, what is critical beside them, and what is under way; then what is wrong with a source, which may be cut: the alerts have
/// it whole. A count that has no room is not begun.
fn counts(cx: &Cx<'_>, titled: bool, room: usize) -> Line {
    let picture = cx.picture;
    let dot = cx.theme.glyphs().dot;
    let n = picture.workloads.len();
    let mut line = vec![(Slot::Text, format!(" {n} workload{}", if n == 1 { "" } else { "s" }))];
    if !titled {
        line.insert(0, (Slot::Title, format!(" {}  ", picture.title)));
    }
    let mut part = |slot: Slot, text: String| {
        let counts = text.chars().next().is_some_and(|c| c.is_ascii_digit());
        let left = room.saturating_sub(width(&line) + 3);
        if left >= text.width() || !counts && left >= DETAIL {
            line.push((Slot::Dim, format!(" {dot} ")));
            line.push((slot, text));
            return true;
        }
        false
    };
    let (mut act, mut look, mut unknown, mut put_off) = (0, 0, 0, 0);
    for glance in picture.workloads.glances() {
        match glance.severity {
            // It may be as bad as can be: who comes to this screen later did not say that it can wait.
            Severity::Act if glance.snoozed.is_some() => put_off += 1,
            _ if glance.snoozed.is_some() => {}
            Severity::Act => act += 1,
            Severity::Look => look += 1,
            Severity::Unknown => unknown += 1,
            Severity::Ok => {}
        }
    }
    match act {
        0 if n > 0 && unknown == 0 && put_off == 0 => part(Slot::Good, "none needs you".into()),
        0 => false,
        1 => part(Slot::Act, "1 needs you".into()),
        many => part(Slot::Act, format!("{many} need you")),
    };
    if put_off > 0 {
        part(Slot::Look, format!("{put_off} snoozed"));
    }
    let critical = alerts::found(picture).iter().filter(|a| a.severity == Severity::Act).count();
    if critical > 0 {
        let s = if critical == 1 { "" } else { "s" };
        if !part(Slot::Act, format!("{critical} critical alert{s}")) {
            part(Slot::Act, format!("{critical} alert{s}"));
        }
    }
    if look > 0 {
        part(Slot::Look, format!("{look} to look at"));
    }
    if unknown > 0 {
        part(Slot::Unknown, format!("{unknown} not known"));
    }
    let under_way = picture.actions.iter().filter(|a| !a.state.is_final()).count();
    if under_way > 0 {
        part(Slot::Accent, format!("{under_way} under way"));
    }
    let ill = |s: &&SourceStatus| matches!(s.health, Health::Down | Health::Degraded) && !s.detail.is_empty();
    let worst = picture.sources.iter().filter(ill).min_by_key(|s| s.health != Health::Down);
    if let Some(source) = worst {
        let (_, slot, word) = health(cx, source);
        let since = cx.clock(source.since);
        part(slot, format!("{} {word} since {since}: {}", format::source(source), source.detail));
    }
    line
}
