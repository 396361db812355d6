//! Inference services.

use super::*;

/// A service of five replicas for which twenty requests a second come all day, in a burst every other day, and `now` times
/// as many in the last two minutes.
fn service(now: f64) -> (History, Memory) {
    let workload = workload(WorkloadKind::Inference);
    let key = |role| SignalKey { entity: workload.entity.clone(), role };
    let mut history = History::new(crate::history::Bounds { span: 30.0 * 86_400.0, ..Default::default() });
    let demand = |minute: usize| {
        let burst = if minute % 2_003 < 10 { 1.8 } else { 1.0 };
        20.0 * burst * (1.0 + 0.02 * ((minute * minute * 31 % 101) as f64 / 50.0 - 1.0))
    };
    let days: Vec<Sample> = (0..4 * 1_440)
        .map(|m| Sample { at: NOW.plus(-86_400.0 * 4.0 - 7_200.0 + 60.0 * m as f64), value: demand(m) })
        .collect();
    history.backfill(&key(Role::Demand), &days);
    for i in 0..=480 {
        let at = NOW.plus(STEP * f64::from(i) - 7_200.0);
        let high = i > 472;
        let rate = if high { 20.0 * now } else { 20.0 };
        let late = if high && now > 1.0 { 3.0 } else { 0.4 };
        for (role, value) in [
            (Role::Demand, rate),
            (Role::Throughput, rate),
            (Role::Backlog, 0.0),
            (Role::Latency, late),
            (Role::Replicas, 5.0),
            (Role::Desired, 5.0),
        ] {
            history.record(&key(role), Sample { at, value });
        }
    }
    let mut memory = Memory::default();
    memory.learn(&history, &workload.entity, NOW);
    (history, memory)
}

#[test]
fn a_burst_that_no_day_knows_is_met_with_more_replicas_though_the_days_are_known() {
    let (workload, state) = (workload(WorkloadKind::Inference), state(5));
    let ask = |now: f64| {
        let (history, memory) = service(now);
        assert!(memory.profile().is_some(), "four days have a shape");
        recommended(&Input { memory: Some(&memory), ..input(&workload, &state, &history) })
    };
    let calm = ask(1.0);
    assert!((5..=7).contains(&calm.recommended), "a burst may come: {} {:?}", calm.recommended, calm.reasons);
    let r = ask(1.8);
    assert!(r.recommended >= 9, "{} {:?}", r.recommended, r.reasons);
    assert!(r.reasons.iter().any(|s| s.starts_with("a burst is on")), "{:?}", r.reasons);
}
