//! The demo's tour: spotting, judging, approving, verifying. Each step says what to look at and what to press, and goes
//! on by itself when that was done.

use super::{
    dialog::Dialog,
    rows,
    state::{State, View},
};
use crate::model::{ActionState, Mode, Picture, Severity};

/// One step.
#[derive(Debug)]
pub struct Step {
    /// What it is about.
    pub title: &'static str,
    /// What to look at and what to press.
    pub text: &'static str,
    done: fn(&State, &Picture) -> bool,
}

/// The steps, in order.
pub const STEPS: [Step; 7] = [
    Step {
        title: "Spot",
        text: "The worst stands on top: its mark, its colour and its words say the same. NEXT 30 MIN is the forecast, \
               NOW → NEED what is advised. Wait for a row that needs more than it has, then press enter on it.",
        done: |state, _| state.view == View::Workload,
    },
    Step {
        title: "Judge: the chart",
        text: "Left of the dotted line is what was measured, right of it what is expected, as a band. Where the band \
               crosses the line of what the replicas hold, work piles up. Left and right read the chart at an instant; \
               [ and ] zoom. Press e to see where every number comes from.",
        done: |state, _| matches!(state.dialogs.last(), Some(Dialog::Explain { .. })),
    },
    Step {
        title: "Judge: what if",
        text: "Esc leaves the explanation. w plays the next half hour for this count and the advised one: more demand, \
               a consumer lost, a broker lost.",
        done: |state, _| matches!(state.dialogs.last(), Some(Dialog::WhatIf { .. })),
    },
    Step {
        title: "Approve: check",
        text: "Esc leaves it. a asks the (simulated) Kubernetes to check the change, without doing it: the very request, \
               who owns the count, by whose right, and how it is undone.",
        done: |state, _| matches!(state.dialogs.last(), Some(Dialog::Approve(_))),
    },
    Step {
        title: "Approve: do it",
        text: "Read it, then press y. It is another key than the one that opened the dialog, and it does nothing for the \
               first moment: no slip of the hand changes anything.",
        done: |_, picture| {
            use ActionState::{Expired, Proposed, Rejected, Superseded};
            picture.actions.iter().any(|a| !matches!(a.state, Proposed | Rejected | Expired | Superseded))
        },
    },
    Step {
        title: "Verify",
        text: "4 shows the action on its way: accepted, ready, verified. The lag on the overview falls. U undoes it.",
        done: |_, picture| picture.actions.iter().any(|a| a.state == ActionState::Verified),
    },
    Step {
        title: "That is all",
        text: "5 lists what is wrong with its mend, 6 shows what feeds what, n writes a note for a colleague, : finds \
               everything else. On your own systems: highwater init, then highwater watch. t ends the tour.",
        done: |_, _| false,
    },
];

/// Begins the tour, goes to the next step, or ends it after the last one.
pub fn next(state: &mut State) {
    state.tour = match state.tour {
        None => Some(0),
        Some(step) if step + 1 < STEPS.len() => Some(step + 1),
        Some(_) => None,
    };
}

/// Goes on when what the step asks for was done.
pub(super) fn watch(state: &mut State, picture: &Picture) {
    while state.tour.and_then(|i| STEPS.get(i)).is_some_and(|step| (step.done)(state, picture)) {
        next(state);
    }
}

/// What the tour waits for where it cannot go on; `None`: it can.
pub fn waits_for(state: &State, picture: &Picture) -> Option<&'static str> {
    if picture.mode == Mode::Watch && state.tour.is_some_and(|i| i >= 3) {
        return Some("this demo is read-only: highwater demo shows approvals");
    }
    let needs_more = |v: &&std::sync::Arc<crate::model::WorkloadView>| v.severity == Severity::Act;
    let ready = rows::workloads(picture, state).iter().any(needs_more);
    (state.tour == Some(0) && !ready).then_some("nothing needs you yet: the demo's surge comes within a minute")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture;

    #[test]
    fn it_goes_on_by_itself_and_ends() {
        let picture = fixture::picture(Mode::Operate);
        let mut state = State::default();
        next(&mut state);
        watch(&mut state, &picture);
        assert_eq!(state.tour, Some(0), "nothing was done yet");
        state.view = View::Workload;
        watch(&mut state, &picture);
        assert_eq!(state.tour, Some(1));
        state.tour = Some(4);
        let mut left = picture.clone();
        let open = picture.actions.iter().cloned().map(|a| crate::model::Action { state: ActionState::Expired, ..a });
        left.actions = std::sync::Arc::new(open.collect());
        watch(&mut state, &left);
        assert_eq!(state.tour, Some(4), "a dialog that was left decided nothing");
        watch(&mut state, &picture);
        assert_eq!(state.tour, Some(6), "an action was done and verified");
        next(&mut state);
        assert_eq!(state.tour, None);
    }
}
