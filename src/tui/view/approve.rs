//! The approval dialog: restates what will happen, by whose right, how it is known and when it lapses.

use super::{
    super::{
        action::Action,
        dialog::{Approve, Shown},
        format,
        state::State,
        theme::Slot,
        update::DEAD_TIME,
        widget::chop,
    },
    footer::field,
    text::{Line, plain, width, wrap},
};
use crate::model::{Confirm, Picture, Prepared, Second, Time};
use unicode_width::UnicodeWidthStr;

/// After so long without an answer the dialog says so.
const SLOW: f64 = 10.0;

/// Lines at the top that stay while the rest is scrolled: what is approved, from which count to which, and where.
pub(super) fn head(text: &[Line]) -> usize {
    text.iter().take_while(|line| !line.is_empty()).count()
}

/// The text as lines of so many columns.
pub(super) fn lines(
    approve: &Approve,
    state: &State,
    picture: &Picture,
    now: Time,
    (columns, arrow): (usize, &str),
) -> Vec<Line> {
    match &approve.shown {
        Some(shown) => Page { approve, shown, state, now, columns }.write(picture, arrow),
        None => waiting(approve, state, columns),
    }
}

fn waiting(approve: &Approve, state: &State, room: usize) -> Vec<Line> {
    let waited = state.uptime.saturating_sub(approve.asked).as_secs_f64();
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

/// What was answered.
struct Page<'a> {
    approve: &'a Approve,
    shown: &'a Shown,
    state: &'a State,
    now: Time,
    columns: usize,
}

impl Page<'_> {
    fn write(&self, picture: &Picture, arrow: &str) -> Vec<Line> {
        let (room, p): (usize, &Prepared) = (self.columns, &self.shown.prepared);
        let counts: Line = vec![
            (Slot::Title, "   replicas  ".to_owned()),
            (Slot::Text, p.from.to_string()),
            (Slot::Dim, format!("  {arrow}  ")),
            (Slot::Accent, p.to.to_string()),
        ];
        // The counts are never cut, a long name is: the request says which object it is.
        let mut name = p.workload.to_string();
        let left = room.saturating_sub(width(&counts));
        if name.width() > left {
            name = chop(&name, left.saturating_sub(1)).swap_remove(0) + "…";
        }
        let mut text = vec![[vec![(Slot::Title, name)], counts].concat()];
        // On which cluster is never cut either: contexts of one's cloud differ in their last word.
        let place = vec![(Slot::Text, p.target.to_string()), (Slot::Dim, format!("  on {}", picture.title))];
        if width(&place) <= room {
            text.push(place);
        } else {
            text.extend(wrap("", Slot::Text, &format!("{} on {}", p.target, picture.title), room));
        }
        text.push(Line::new());
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
        let left = p.expires.since(self.now);
        let expiry = if left > 0.0 { format!("expires in {}", format::countdown(left)) } else { "expired".to_owned() };
        // It ages while it is read.
        let age = p.evidence_age + self.now.since(p.at).max(0.0);
        let evidence = format!("{}, evidence {} old, {expiry}", p.plan_hash, format::age(age));
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
        text.extend(self.keys());
        text
    }

    /// What can be done, in words: the keys of this dialog from the live keymap.
    fn keys(&self) -> Vec<Line> {
        let (shown, state, room) = (self.shown, self.state, self.columns);
        let key = |action: Action| state.keymap.hint(action).unwrap_or_else(|| "no key".to_owned());
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
        let listens = state.uptime.saturating_sub(shown.since) >= DEAD_TIME;
        let may = p.may_confirm(self.now) && !shown.gone;
        if shown.gone {
            text.extend(wrap("", Slot::Act, "this change is no longer held ready; leave and ask again", room));
        } else if may {
            match p.confirm {
                Confirm::Yes | Confirm::None if !listens => offer(String::new(), "read it first"),
                Confirm::Yes => offer(key(Action::Confirm), does),
                Confirm::None => offer("enter".to_owned(), does),
                Confirm::TypeName => {
                    let mut typed = vec![(Slot::Dim, format!("type {} and press Enter: ", shown.name_to_type()))];
                    typed.extend(field(&self.approve.typed));
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
}
