//! What evidence is worth, and that no guess is ever taken for more.

use super::{
    targets::{Evidence, Index, Strength, all, decide},
    *,
};
use crate::model::{
    GroupPartition, Hpa, HpaMetric, KafkaCluster, KafkaTrigger, KubePod, KubeWorkload, Member, Mentions, MetricSource,
    PodOwner, ScaledObject, SignalKey, Trigger, TriggerSource,
};
use proptest::prelude::*;

fn object(target: &str, mentions: &[(&str, &str)]) -> KubeWorkload {
    KubeWorkload {
        target: target.parse().unwrap(),
        uid: "u".into(),
        image: None,
        desired: 2,
        current: 2,
        ready: 2,
        observed: true,
        at: Time::default(),
        unheard: None,
        last_writer: None,
        gitops: None,
        requests: Vec::new(),
        mentions: Arc::new(Mentions::of(mentions.iter().copied())),
    }
}

/// A pod of `target` with an address; `unread`: its owners were not read to the top.
fn pod(target: &str, name: &str, address: &str, unread: bool) -> KubePod {
    let target: Target = target.parse().unwrap();
    let namespace = target.kubernetes().unwrap().1.clone();
    let owner = PodOwner {
        path: "ReplicaSet r → Deployment d".into(),
        target: Some(target),
        unread: unread.then(|| "ReplicaSet r cannot be read".into()),
    };
    KubePod { namespace, name: name.into(), addresses: vec![address.parse().unwrap()], owner: Some(Arc::new(owner)) }
}

fn group(id: &str, topic: &str, members: &[(&str, &str)]) -> Group {
    let member = |(host, client): &(&str, &str)| Member {
        id: "m".into(),
        client_id: (*client).into(),
        host: (*host).into(),
        instance_id: None,
        partitions: 1,
    };
    Group {
        group: id.into(),
        members: members.iter().map(member).collect(),
        partitions: vec![GroupPartition { topic: topic.into(), ..GroupPartition::default() }],
        ..Group::default()
    }
}

fn kube(workloads: Vec<KubeWorkload>, pods: Vec<KubePod>) -> KubeState {
    KubeState { workloads, pods, ..KubeState::default() }
}

fn cluster(name: &str, groups: Vec<Group>) -> KafkaCluster {
    KafkaCluster { name: name.into(), groups, ..KafkaCluster::default() }
}

/// What is found for one group: the target, whether it is certain, and why.
fn of(kube: &KubeState, group: &Group) -> Option<(String, bool, String)> {
    let cluster = cluster("k", vec![group.clone()]);
    let index = Index::new(kube, [&cluster].into_iter());
    index.of_group(group).map(|(t, f)| (t.to_string(), f.certain, f.why().to_owned()))
}

const WEB: &str = "deploy/shop/web";

#[test]
fn members_at_addresses_of_pods_are_proof_from_two_pods_on() {
    let pods = |unread| vec![pod(WEB, "web-1", "10.0.0.1", unread), pod(WEB, "web-2", "10.0.0.2", unread)];
    let two = group("orders", "t", &[("/10.0.0.1", "c-1"), ("web.local/10.0.0.2", "c-2")]);
    let (target, certain, why) = of(&kube(vec![object(WEB, &[])], pods(false)), &two).unwrap();
    assert_eq!((target.as_str(), certain), (WEB, true));
    assert_eq!(why, "2 of 2 members come from addresses of its pods: web-1 → ReplicaSet r → Deployment d");
    let (_, certain, why) = of(&kube(vec![object(WEB, &[])], pods(true)), &two).unwrap();
    assert!(!certain && why.contains("cannot be read"), "{why}");
    let stranger = group("orders", "t", &[("/10.0.0.1", "c"), ("/10.0.0.2", "c"), ("/10.9.9.9", "c")]);
    let (_, certain, why) = of(&kube(vec![object(WEB, &[])], pods(false)), &stranger).unwrap();
    assert!(!certain && why.starts_with("2 of 3"), "{why}");
    assert_eq!(of(&kube(Vec::new(), pods(false)), &two), None, "a count that is not seen is not proposed");
}

#[test]
fn one_pod_needs_a_second_word_and_a_shared_address_is_no_address() {
    let one = |id: &str, client: &str| group(id, "t", &[("/10.0.0.1", client)]);
    let seen = kube(vec![object(WEB, &[])], vec![pod(WEB, "web-1", "10.0.0.1", false)]);
    assert!(!of(&seen, &one("orders", "c")).unwrap().1);
    assert!(of(&seen, &one("orders", "web-1-consumer-3")).unwrap().1, "seen and said alike");
    assert!(of(&seen, &one("web", "c")).unwrap().1, "seen, and of that name");
    let mut twice = seen.clone();
    twice.pods.push(pod(WEB, "web-2", "10.0.0.1", false));
    assert_eq!(of(&twice, &one("orders", "c")), None);
}

#[test]
fn what_clients_say_of_themselves_and_names_are_guesses() {
    let seen =
        kube(vec![object(WEB, &[])], vec![pod(WEB, "web-1", "10.0.0.1", false), pod(WEB, "web-2", "10.0.0.2", false)]);
    let said = group("orders", "t", &[("/192.168.0.1", "web-1"), ("/192.168.0.1", "web-2-StreamThread-1")]);
    let (target, certain, why) = of(&seen, &said).unwrap();
    assert_eq!((target.as_str(), certain), (WEB, false), "{why}");
    assert!(why.starts_with("the client ids of 2 of 2 members"), "{why}");
    assert_eq!(
        of(&seen, &group("web", "t", &[])).unwrap(),
        (WEB.to_owned(), false, "it has the name of the group".to_owned())
    );
    let two = kube(vec![object(WEB, &[]), object("deploy/test/web", &[])], Vec::new());
    assert_eq!(of(&two, &group("web", "t", &[])), None, "two of that name");
}

fn scaled(topic: Option<&str>, source: Option<TriggerSource>) -> ScaledObject {
    let kafka = KafkaTrigger { group: "orders".into(), topic: topic.map(Into::into), ..KafkaTrigger::default() };
    let source = source.unwrap_or(TriggerSource::Kafka(kafka));
    let trigger = Trigger { source, ..Trigger::from(KafkaTrigger::default()) };
    ScaledObject {
        namespace: "shop".into(),
        name: "web".into(),
        target_name: "web".into(),
        triggers: vec![trigger],
        ..ScaledObject::default()
    }
}

#[test]
fn an_autoscaler_that_names_the_group_proves_it_unless_another_cluster_or_its_members_say_otherwise() {
    let orders = group("orders", "t", &[]);
    let with =
        |object_: ScaledObject| KubeState { scaled_objects: vec![object_], ..kube(vec![object(WEB, &[])], Vec::new()) };
    assert!(of(&with(scaled(Some("t"), None)), &orders).unwrap().1);
    assert!(!of(&with(scaled(Some("another"), None)), &orders).unwrap().1, "the topic is not one that the group reads");
    let query = |q: &str| TriggerSource::Prometheus {
        query: q.into(),
        threshold: crate::model::Quantity::from_milli(1),
        activation: 0.0,
    };
    let said =
        of(&with(scaled(None, Some(query("sum(lag{topic=\"x\", consumergroup=\"orders\"})")))), &orders).unwrap();
    assert!(!said.1 && said.2.contains("ScaledObject shop/web"), "{said:?}");
    assert_eq!(of(&with(scaled(None, Some(query("sum(lag{topic=\"orders\"})")))), &orders), None);

    let state = with(scaled(Some("t"), None));
    let (a, b) = (cluster("a", vec![orders.clone()]), cluster("b", vec![orders.clone()]));
    let index = Index::new(&state, [&a, &b].into_iter());
    assert!(!index.of_group(&orders).unwrap().1.certain, "which of the two clusters is not known");

    let mut state = with(scaled(Some("t"), None));
    state.workloads.push(object("deploy/shop/other", &[]));
    state.pods = vec![pod("deploy/shop/other", "o-1", "10.0.0.1", false)];
    let torn = group("orders", "t", &[("/10.0.0.1", "c"), ("/10.0.0.7", "c")]);
    let index = Index::new(&state, [&a].into_iter());
    let (target, found) = index.of_group(&torn).unwrap();
    assert_eq!((target.to_string().as_str(), found.certain), (WEB, false));
    assert!(found.because[1].as_str().starts_with("against it, for deploy/shop/other: 1 of 2"), "{found:?}");
}

#[test]
fn an_hpa_names_the_group_in_its_selector() {
    let metric = HpaMetric {
        source: MetricSource::External,
        name: "kafka_consumergroup_lag".into(),
        selects: [("consumergroup".into(), "orders".into())].into(),
        target: None,
    };
    let hpa = Hpa {
        namespace: "shop".into(),
        name: "web".into(),
        target_name: "web".into(),
        metrics: vec![metric],
        ..Hpa::default()
    };
    let mut state = KubeState { hpas: vec![hpa], ..kube(vec![object(WEB, &[])], Vec::new()) };
    assert!(of(&state, &group("orders", "t", &[])).unwrap().1);
    state.hpas[0].keda = true;
    assert_eq!(of(&state, &group("orders", "t", &[])), None, "KEDA's own HPA says what its ScaledObject says");
}

/// A group whose pods are told of a model and of a topic, the group that reads that topic, and the model.
#[test]
fn a_pipeline_is_proposed_from_what_pods_are_told_and_each_link_is_a_guess() {
    let told = [("MODEL_URL", "http://scorer.ml.svc:8000/v1"), ("OUT", "scored"), ("IN", "raw")];
    let model = pod("deploy/ml/scorer", "scorer-1", "10.0.1.1", false);
    let mut state = kube(vec![object("deploy/shop/score", &told), object("deploy/ml/scorer", &[])], vec![model]);
    state.pods.extend([
        pod("deploy/shop/score", "score-1", "10.0.0.1", false),
        pod("deploy/shop/score", "score-2", "10.0.0.2", false),
    ]);
    let score = group("score", "raw", &[("/10.0.0.1", "c"), ("/10.0.0.2", "c")]);
    let mut kafka = cluster("k", vec![score, group("alerts", "scored", &[])]);
    let topic = |name: &str| crate::model::Topic { name: name.into(), ..crate::model::Topic::default() };
    kafka.topics = vec![topic("raw"), topic("scored")];
    let service = Service { name: "fraud-7b".into(), pods: vec!["ml/scorer-1".into()], ..Service::default() };
    let ml = MlState { source: "p".into(), services: vec![service], ..MlState::default() };
    let mut latest = Latest::default();
    latest.clusters.insert("k".into(), Arc::new(kafka));
    latest.ml.insert("p".into(), Arc::new(ml));
    latest.kube = Some(Objects::new(Arc::new(state)));
    let workloads = workloads(&[], &latest, &Confirmed::default());
    let target = |name: &str| {
        let w = workloads.iter().find(|w| w.name == *name).unwrap();
        w.target.as_ref().map(|t| (t.to_string(), w.found.as_ref().unwrap().certain))
    };
    assert_eq!(target("score"), Some(("deploy/shop/score".to_owned(), true)));
    assert_eq!(target("fraud-7b"), Some(("deploy/ml/scorer".to_owned(), true)));
    assert_eq!(target("alerts"), None);
    let all = pipelines(&[], &workloads, &latest);
    let shown: Vec<String> = all
        .iter()
        .map(|p| {
            let words: Vec<&str> = p.workloads.iter().map(Label::as_str).collect();
            let links: Vec<String> = p.links.iter().map(|l| format!("{} ({})", l.why(), l.certain)).collect();
            format!("{}: {}: {}", p.name, words.join(" > "), links.join("; "))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "score to alerts: score > alerts: OUT of deploy/shop/score names scored, and it does not read that (false)",
            "score to fraud-7b: score > fraud-7b: MODEL_URL of deploy/shop/score names fraud-7b (false)",
        ]
    );
    assert!(pipelines(&all, &workloads, &latest).len() == 2, "what is configured is not proposed too");
}

#[test]
fn an_object_that_runs_two_workloads_is_a_guess_for_each_of_them() {
    let pods = vec![pod(WEB, "web-1", "10.0.0.1", false), pod(WEB, "web-2", "10.0.0.2", false)];
    let members = [("/10.0.0.1", "c"), ("/10.0.0.2", "c")];
    let mut latest = Latest::default();
    latest.kube = Some(Objects::new(Arc::new(kube(vec![object(WEB, &[])], pods))));
    let certain = |latest: &Latest, configured: &[Arc<Workload>]| -> Vec<(String, bool)> {
        let all = workloads(configured, latest, &Confirmed::default());
        all.iter().filter_map(|w| Some((w.found.as_ref()?.why().to_owned(), w.found.as_ref()?.certain))).collect()
    };
    latest.clusters.insert("k".into(), Arc::new(cluster("k", vec![group("orders", "t", &members)])));
    let alone = certain(&latest, &[]);
    assert!(matches!(alone.as_slice(), [(_, true)]), "{alone:?}");
    let configured = Arc::new(Workload {
        name: "billing".into(),
        target: Some(WEB.parse().unwrap()),
        found: None,
        configured: true,
        ..Workload::clone(&workloads(&[], &latest, &Confirmed::default())[0])
    });
    let mut other = Workload::clone(&configured);
    other.entity.id = "billing".into();
    let beside = certain(&latest, &[Arc::new(other)]);
    assert!(matches!(beside.as_slice(), [(why, false)] if why.contains("it runs billing too")), "{beside:?}");
    let both = vec![group("audit", "t", &members), group("orders", "t", &members)];
    latest.clusters.insert("k".into(), Arc::new(cluster("k", both)));
    let both = certain(&latest, &[]);
    assert!(
        matches!(both.as_slice(), [(a, false), (b, false)] if a.contains("runs orders too") && b.contains("runs audit too")),
        "{both:?}"
    );
}

const NOW: Time = Time::from_millis(1_700_000_000_000);

/// A configured service on four ready pods of [`WEB`], which have been so for `calm` seconds; `exporting` of them are in
/// Prometheus.
fn served(exporting: f64, calm: f64) -> (Workload, Latest) {
    let entity = Entity { kind: WorkloadKind::Inference, source: "p".into(), id: "chat".into() };
    let mut latest = Latest::default();
    let replicas = Reading::new(exporting, NOW, "prometheus");
    let service = Service { name: "chat".into(), replicas, ..Service::default() };
    let ml = MlState { source: "p".into(), at: NOW, services: vec![service], ..MlState::default() };
    latest.ml.insert("p".into(), Arc::new(ml));
    let found = workloads(&[], &latest, &Confirmed::default()).remove(0);
    let four = KubeWorkload { desired: 4, ready: 4, at: NOW.plus(-calm), ..object(WEB, &[]) };
    let kube = KubeState { at: NOW, ..kube(vec![four], Vec::new()) };
    latest.kube = Some(Objects::new(Arc::new(kube)));
    (Workload { entity, target: WEB.parse().ok(), ..(*found).clone() }, latest)
}

#[test]
fn a_service_that_is_scraped_in_part_is_known_in_part() {
    let coverage = |exporting: f64, calm: f64| {
        let (workload, latest) = served(exporting, calm);
        state(&workload, &latest, None, NOW).coverage
    };
    assert_eq!(coverage(2.0, 600.0).to_bits(), 0.5_f64.to_bits(), "two of four are missing from every sum");
    assert_eq!(coverage(4.0, 600.0).to_bits(), 1.0_f64.to_bits());
    assert_eq!(coverage(5.0, 600.0).to_bits(), 1.0_f64.to_bits(), "one that ended is still looked back at");
    assert_eq!(coverage(3.0, 10.0).to_bits(), 1.0_f64.to_bits(), "one that became ready just now is scraped soon");
}

#[test]
fn a_partial_load_is_no_input_for_advice() {
    let (workload, mut latest) = served(4.0, 600.0);
    let mut service = latest.ml[&Label::new("p")].services[0].clone();
    service.waiting = Reading::new(3.0, NOW, "prometheus").map(|r| r.with_quality(Quality::Partial));
    let ml = MlState { source: "p".into(), at: NOW, services: vec![service], ..MlState::default() };
    latest.ml.insert("p".into(), Arc::new(ml));
    let coverage = state(&workload, &latest, None, NOW).coverage;
    assert_eq!(coverage.to_bits(), 0.0_f64.to_bits(), "a store did not answer: the load is more than this");
    let (workload, mut latest) = served(4.0, 600.0);
    let key = |role| SignalKey { entity: workload.entity.clone(), role };
    let mut untold = |role| {
        Arc::make_mut(latest.ml.get_mut(&Label::new("p")).unwrap()).untold = vec![key(role)];
        state(&workload, &latest, None, NOW).coverage.to_bits()
    };
    assert_eq!(untold(Role::Backlog), 0.0_f64.to_bits(), "its exporter is silent: nobody knows what waits");
    assert_eq!(untold(Role::Latency), 1.0_f64.to_bits());
}

#[test]
fn a_workload_of_its_own_series_alone_is_known_as_far_as_they_are_told() {
    let (mut workload, mut latest) = served(4.0, 600.0);
    workload.signals = [Role::Demand, Role::Backlog, Role::Latency].map(|role| (role, "sum(x)".to_owned())).into();
    let mut coverage = |services: Vec<Service>, untold: &[Role]| {
        let untold = untold.iter().map(|role| SignalKey { entity: workload.entity.clone(), role: *role }).collect();
        let ml = MlState { source: "p".into(), at: NOW, services, untold, ..MlState::default() };
        latest.ml.insert("p".into(), Arc::new(ml));
        state(&workload, &latest, None, NOW).coverage
    };
    let known = |value: f64, share: f64| assert_eq!(value.to_bits(), share.to_bits());
    known(coverage(Vec::new(), &[]), 1.0); // no pack knows a server of one's own
    known(coverage(Vec::new(), &[Role::Latency]), 1.0); // nobody asked it anything
    known(coverage(Vec::new(), &[Role::Demand]), 0.5);
    let service = Service { name: "chat".into(), ..Service::default() };
    known(coverage(vec![service], &[Role::Demand, Role::Backlog]), 0.0); // what was told before is old
}

#[test]
fn members_that_nobody_tells_are_no_count_and_workers_of_connect_are_at_work() {
    let count = |group: Group| {
        let mut latest = Latest::default();
        latest.apply(
            crate::model::Observation::Kafka(Arc::new(cluster("k", vec![group]))),
            &mut crate::engine::latest::Samples::default(),
        );
        let found = workloads(&[], &latest, &Confirmed::default()).remove(0);
        replicas(&found, &latest).map(|r| (r.desired, r.ready))
    };
    assert_eq!(count(Group { untold: true, ..group("etl", "orders", &[]) }), None, "unknown is not 0");
    assert_eq!(count(group("etl", "orders", &[])), Some((0, 0)));
    let mut connect = Group { kind: GroupType::Connect, ..group("sinks", "", &[("h", "w1"), ("h", "w2")]) };
    connect.members.iter_mut().for_each(|m| m.partitions = 0);
    assert_eq!(count(connect), Some((2, 2)));
}

#[test]
fn a_count_of_an_api_server_that_is_down_grows_old() {
    let (workload, mut latest) = served(4.0, 600.0);
    let later = NOW.plus(3_600.0);
    latest.ml.insert("p".into(), Arc::new(MlState { at: later, ..(*latest.ml[&Label::new("p")]).clone() }));
    let age = |latest: &Latest| state(&workload, latest, None, later).data_age;
    let mut health = |health| {
        let name = latest.kube.as_ref().unwrap().state.context.clone();
        let status = crate::model::SourceStatus {
            name: name.clone(),
            kind: SourceKind::Kubernetes,
            health,
            since: NOW,
            answered: Some(NOW),
            cadence: 5.0,
            detail: "".into(),
        };
        latest.sources.insert((SourceKind::Kubernetes, name), status);
        age(&latest)
    };
    assert!(health(Health::Ok) < 1.0, "what does not change is still so");
    assert!(health(Health::Down) > 3_599.0, "an HPA may have changed it since");
    assert!(health(Health::Degraded) < 1.0);
    let kube = latest.kube.take().unwrap().state;
    let unheard = KubeWorkload { unheard: Some(NOW.plus(-60.0)), ..kube.workloads[0].clone() };
    latest.kube = Some(Objects::new(Arc::new(KubeState { workloads: vec![unheard], ..(*kube).clone() })));
    let state = state(&workload, &latest, None, later);
    assert!(state.data_age > 3_659.0 && state.is_stale(), "its watch is broken, whatever else the server answers");
}

fn strengths() -> impl Strategy<Value = Strength> {
    prop_oneof![Just(Strength::Name), Just(Strength::Said), Just(Strength::Seen), Just(Strength::Proven)]
}

proptest! {
    /// Whatever speaks for whatever: certain is only what is proven, or seen and more, with nothing but names against it;
    /// the order in which evidence was found does not matter.
    #[test]
    fn certain_is_only_what_nothing_contradicts(
        evidence in proptest::collection::vec((0usize..3, strengths()), 0..8), seed in any::<u64>(),
    ) {
        let targets = ["deploy/a/x", "deploy/a/y", "sts/a/z"];
        let make = |(at, strength): &(usize, Strength)| Evidence {
            target: targets[*at].parse().unwrap(), strength: *strength, why: format!("{at} {strength:?}"),
        };
        let all: Vec<Evidence> = evidence.iter().map(make).collect();
        let mut other = all.clone();
        if !other.is_empty() {
            let n = other.len();
            other.rotate_left(seed as usize % n);
        }
        let (one, two) = (decide(all.clone()), decide(other));
        prop_assert_eq!(one.as_ref().map(|(t, f)| (t, f.certain)), two.as_ref().map(|(t, f)| (t, f.certain)));
        if let Some((target, found)) = one {
            let best = all.iter().map(|e| e.strength).max().unwrap();
            prop_assert!(all.iter().all(|e| e.strength < best || e.target == target));
            prop_assert!(!found.because.is_empty());
            if found.certain {
                prop_assert!(best >= Strength::Seen);
                prop_assert!(all.iter().all(|e| e.target == target || e.strength == Strength::Name));
                prop_assert!(best == Strength::Proven || all.iter().filter(|e| e.target == target).count() > 1);
            }
        }
    }

    /// Hosts and client ids are what strangers send: nothing breaks on any, and none makes a target out of nothing.
    #[test]
    fn any_host_and_any_client_id_are_read(host in "\\PC{0,40}", client in "\\PC{0,60}") {
        let seen = kube(vec![object(WEB, &[])], vec![pod(WEB, "web-1", "10.0.0.1", false)]);
        let cluster = cluster("k", vec![group("orders", "t", &[(host.as_str(), client.as_str())])]);
        let index = Index::new(&seen, [&cluster].into_iter());
        for (target, found) in all(&index, [&cluster].into_iter(), std::iter::empty()).into_values() {
            prop_assert!(target.to_string() == WEB && (client.starts_with("web-1") || host.ends_with("10.0.0.1")), "{:?}", found);
        }
    }
}

#[test]
fn a_group_that_its_cluster_does_not_have_is_said_to_be_missing() {
    let mut latest = Latest::default();
    let see = |latest: &mut Latest, groups| {
        let seen = crate::model::Observation::Kafka(Arc::new(cluster("k", groups)));
        latest.apply(seen, &mut super::super::latest::Samples::default());
    };
    see(&mut latest, vec![group("orders", "t", &[])]);
    let workload = workloads(&[], &latest, &Confirmed::default()).remove(0);
    assert!(state(&workload, &latest, None, NOW).notices.is_empty());
    see(&mut latest, Vec::new());
    assert_eq!(state(&workload, &latest, None, NOW).notices, [Label::new("kafka k lists no group orders")]);
}

#[test]
fn what_runs_a_group_and_a_service_of_one_name_is_a_guess_for_both() {
    let pods = vec![pod(WEB, "web-1", "10.0.0.1", false), pod(WEB, "web-2", "10.0.0.2", false)];
    let members = [("/10.0.0.1", "c"), ("/10.0.0.2", "c")];
    let mut latest = Latest::default();
    latest.kube = Some(Objects::new(Arc::new(kube(vec![object(WEB, &[])], pods))));
    latest.clusters.insert("k".into(), Arc::new(cluster("k", vec![group("chat", "t", &members)])));
    let pods = vec!["shop/web-1".into(), "shop/web-2".into()];
    let service = Service { name: "chat".into(), pods, ..Service::default() };
    let ml = MlState { source: "p".into(), services: vec![service], ..MlState::default() };
    latest.ml.insert("p".into(), Arc::new(ml));
    let all = workloads(&[], &latest, &Confirmed::default());
    let found: Vec<_> = all.iter().filter_map(|w| w.found.as_ref()).map(|f| (f.certain, f.why().to_owned())).collect();
    let why = |other: &str| (false, format!("it runs {other} too, and has one count"));
    assert_eq!(found, [why("inference chat of p"), why("consumer-group chat of k")]);
}

#[test]
fn what_only_compaction_took_is_no_loss_on_the_groups_page_either() {
    let lost = Group { lost: Some(30), coverage: 1.0, ..group("orders", "t", &[]) };
    let mut latest = Latest::default();
    let mut said = |alerts: Vec<crate::model::Alert>| {
        let cluster = Arc::new(KafkaCluster { alerts, ..cluster("k", vec![lost.clone()]) });
        let mut samples = super::super::latest::Samples::default();
        latest.apply(crate::model::Observation::Kafka(cluster), &mut samples);
        let workload = workloads(&[], &latest, &Confirmed::default()).remove(0);
        state(&workload, &latest, None, NOW).notices
    };
    assert!(said(Vec::new()).is_empty());
    let alert = crate::model::Alert {
        rule: "lost",
        severity: crate::model::Severity::Act,
        subject: crate::model::Subject::Group("orders".into()),
        sentence: "30 records on 1 partition were deleted before this group read them".into(),
        mend: "".into(),
        since: NOW,
        evidence: "".into(),
        holds: crate::model::Holdback::Nothing,
    };
    assert_eq!(said(vec![alert.clone()]), [alert.sentence]);
}
