//! The approval dialog: restates what will happen, by whose right, how it is known and when it lapses.

use super::{
    super::{Cx, action::Action, dialog::Approve, dialog::Shown, format, theme::Slot, update::DEAD_TIME},
    footer::field,
    text::{Line, lines, plain, popup, wrap},
};
use crate::model::{Confirm, Prepared, Second};
use ratatui::{buffer::Buffer, layout::Rect};

/// After so long without an answer the dialog says so.
const SLOW: f64 = 10.0;

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer, approve: &Approve) {
    let columns = 92.min(area.width.saturating_sub(2));
    let room = usize::from(columns.saturating_sub(4));
    let text = match &approve.shown {
        Some(shown) => answer(cx, approve, shown, room),
        None => waiting(cx, approve, room),
    };
    // On a small screen the end is what counts: it says what the keys do.
    let height = usize::from(area.height.saturating_sub(4));
    let inner = popup(cx, area, buf, "Approve", columns, text.len());
    lines(cx, inner, buf, &text, text.len().saturating_sub(height));
}

fn waiting(cx: &Cx<'_>, approve: &Approve, room: usize) -> Vec<Line> {
    let waited = cx.state.uptime.saturating_sub(approve.asked).as_secs_f64();
    let mut text = wrap("", Slot::Title, &format!("{} to {} replicas", approve.plan.workload, approve.to), room);
    text.push(Line::new());
    if let Some(why) = &approve.refused {
        text.extend(wrap("", Slot::Act, why.as_str(), room));
        text.push(plain("nothing was changed; Esc leaves, then ask again"));
        return text;
    }
    text.push(vec![(Slot::Dim, "asking the server: owner, permission, dry run...".into())]);
    if waited > SLOW {
        text.push(vec![(
            Slot::Look,
            format!("no answer for {}; Esc leaves, nothing was changed", format::age(waited)),
        )]);
    }
    text
}

fn answer(cx: &Cx<'_>, approve: &Approve, shown: &Shown, room: usize) -> Vec<Line> {
    let p: &Prepared = &shown.prepared;
    let arrow = cx.theme.glyphs().arrow;
    let mut text = vec![
        vec![
            (Slot::Title, format!("{}   replicas  ", p.workload)),
            (Slot::Text, p.from.to_string()),
            (Slot::Dim, format!("  {arrow}  ")),
            (Slot::Accent, p.to.to_string()),
        ],
        vec![(Slot::Text, p.target.to_string()), (Slot::Dim, format!("  on {}", cx.picture.title))],
        Line::new(),
    ];
    for request in &p.request {
        text.extend(wrap("", Slot::Text, request.as_str(), room));
    }
    text.push(Line::new());
    let mut labelled = |label: &str, slot: Slot, words: &str| {
        text.extend(wrap(&format!("{label:<10}"), slot, words, room));
    };
    labelled("owner", Slot::Text, p.owner.as_str());
    labelled("you", Slot::Text, p.identity.as_str());
    match &p.dry_run {
        Ok(said) => labelled("dry run", Slot::Good, said.as_str()),
        Err(said) => labelled("dry run", Slot::Act, &format!("refused: {said}")),
    }
    let left = p.expires.since(cx.now);
    let expiry = if left > 0.0 { format!("expires in {}", format::countdown(left)) } else { "expired".to_owned() };
    let evidence = format!("{}, evidence {} old, {expiry}", p.plan_hash, format::age(p.evidence_age));
    labelled("plan", if left > 0.0 { Slot::Text } else { Slot::Act }, &evidence);
    if let Some(words) = p.ways.get(p.way) {
        labelled("writes", Slot::Text, words.as_str());
    }
    labelled("after it", Slot::Text, p.after.as_str());
    if let Some((_, words)) = p.next_way() {
        labelled("or else", Slot::Text, words.as_str());
    }
    if let Some((_, words)) = &p.second {
        labelled("two people", Slot::Look, words.as_str());
    }
    for (i, why) in p.guess.iter().flat_map(|g| &g.because).enumerate() {
        labelled(if i == 0 { "a guess" } else { "" }, Slot::Look, why.as_str());
    }
    for why in &p.refused {
        labelled("refused", Slot::Act, why.as_str());
    }
    text.push(Line::new());
    text.extend(keys(cx, approve, shown, room));
    text
}

/// What can be done, in words: the keys of this dialog from the live keymap.
fn keys(cx: &Cx<'_>, approve: &Approve, shown: &Shown, room: usize) -> Vec<Line> {
    let key = |action: Action| cx.state.keymap.hint(action).unwrap_or_else(|| "no key".to_owned());
    let mut line = Line::new();
    let mut offer = |key: String, word: &str| {
        if key.is_empty() {
            return line.push((Slot::Dim, format!("{word}     ")));
        }
        line.push((Slot::Key, format!("[{key}]")));
        line.push((Slot::Text, format!(" {word}     ")));
    };
    let p = &shown.prepared;
    let asks = p.second.as_ref().is_some_and(|(second, _)| *second == Second::Needed);
    let does = if asks { "ask for a second person" } else { "do it" };
    let mut text = Vec::new();
    // As long as the confirming key does nothing it is not offered.
    let listens = cx.state.uptime.saturating_sub(shown.since) >= DEAD_TIME;
    let may = p.may_confirm(cx.now) && !shown.gone;
    if shown.gone {
        text.extend(wrap("", Slot::Act, "this change is no longer held ready; leave and ask again", room));
    } else if may {
        match p.confirm {
            Confirm::Yes | Confirm::None if !listens => offer(String::new(), "read it first"),
            Confirm::Yes => offer(key(Action::Confirm), does),
            Confirm::None => offer("enter".to_owned(), does),
            Confirm::TypeName => {
                let mut typed = vec![(Slot::Dim, format!("type {} and press Enter: ", shown.name_to_type()))];
                typed.extend(field(&approve.typed));
                text.push(typed);
            }
        }
    } else {
        text.extend(wrap("", Slot::Act, "this cannot be done as it stands", room));
        if p.guess.is_some() && listens {
            offer(key(Action::ConfirmLink), &format!("{} runs on {}", p.workload, p.target));
        }
    }
    if p.confirm != Confirm::TypeName || p.guess.is_some() {
        if may && listens && !asks {
            offer(key(Action::ConfirmAt), "at a time");
        }
        if p.second.as_ref().is_none_or(|_| asks) {
            offer(key(Action::ChangeCount), "another number");
        }
        if p.next_way().is_some() {
            offer(key(Action::OtherWay), "another way");
        }
    }
    offer("esc".to_owned(), "no");
    text.push(line);
    if text.is_empty() {
        text.push(plain(""));
    }
    text
}
