use super::*;
use crate::model::{FallbackBehavior, Quantity, TriggerSource};
use serde_json::json;

const LIST: &str = "\
# two files in one
apiVersion: v1
kind: Service
metadata: {name: x}
---
apiVersion: v1
kind: List
items:
  - apiVersion: keda.sh/v1alpha1
    kind: ScaledObject
    metadata:
      name: orders
      namespace: payments
      annotations:
        autoscaling.keda.sh/paused-scale-in: \"yes\"
    spec:
      scaleTargetRef: {name: orders}
      minReplicaCount: 6
      maxReplicaCount: 30
      triggers:
        - type: kafka
          metadata:
            consumerGroup: orders
            topic: orders
            lagTreshold: \"1000\"
            lagThreshold: 1000
            bootstrapServers: kafka:9092
  - apiVersion: autoscaling/v2
    kind: HorizontalPodAutoscaler
    metadata: {name: web}
    spec:
      scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
      maxReplicas: 9
      metrics:
        - type: Resource
          resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
";

fn read(text: &str) -> (Vec<Manifest>, Vec<Document>) {
    let documents = documents(text).unwrap();
    (manifests(&documents), documents)
}

#[test]
fn objects_are_found_in_lists_and_complaints_have_places() {
    let (found, documents) = read(LIST);
    let titles: Vec<String> = found.iter().map(Manifest::title).collect();
    assert_eq!(titles, ["ScaledObject payments/orders", "HorizontalPodAutoscaler default/web"]);
    let said: Vec<(Grade, String, String)> = found[0]
        .complaints
        .iter()
        .map(|c| (c.grade, found[0].place(&documents, &c.pointer).unwrap().to_string(), c.what.clone()))
        .collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!((said[0].0, said[0].1.as_str()), (Grade::Refused, "26:27"), "a number where a text belongs");
    assert_eq!((said[1].0, said[1].1.as_str()), (Grade::Ignored, "25:26"), "a slip of the pen");
    assert_eq!(found[0].complaints[1].meant.as_deref(), Some("lagThreshold"));
    let Object::ScaledObject(scaled) = &found[0].object else { panic!() };
    assert!(matches!(&scaled.triggers[0].source, TriggerSource::Kafka(k) if (k.lag_threshold - 1_000.0).abs() < 1e-9));
    assert_eq!(scaled.paused.as_ref().map(ToString::to_string).as_deref(), Some("paused-scale-in=yes"));
    assert!(scaled.holds.scale_in && !scaled.holds.stopped);
    let Object::Hpa(hpa) = &found[1].object else { panic!() };
    assert_eq!(hpa.metrics[0].to_string(), "resource cpu Utilization 70");
    assert_eq!(found[1].complaints, []);
}

#[test]
fn a_place_that_is_not_there_is_that_of_its_parent() {
    let (found, documents) = read(LIST);
    let place = |pointer: &str| found[0].place(&documents, pointer).unwrap().to_string();
    assert_eq!(place("/spec/minReplicaCount"), "18:24", "of a value the value");
    assert_eq!(place("/spec/triggers/0/metadata"), "22:11", "of a block its key");
    assert_eq!(place("/spec/advanced/horizontalPodAutoscalerConfig"), "16:5");
    assert_eq!(place("/metadata/annotations/autoscaling.keda.sh~1paused-scale-in"), "15:46");
}

#[test]
fn broken_yaml_has_a_place() {
    for (text, line) in [("a: [1\nb: 2", 2), ("kind: X\n\tspec: 1\n", 2), ("a: 'x\n", 1), ("a: 1\na: 2\n", 2)] {
        let wrong = documents(text).unwrap_err();
        assert!(wrong.place.line >= 1 && wrong.place.line <= line + 1, "{text:?}: {wrong:?}");
    }
    let template = documents("kind: ScaledObject\nmetadata:\n  name: {{ .Values.name }}\n").unwrap_err();
    assert!(template.what.ends_with("what they come to is read, as of helm template"), "{template:?}");
    assert!(!template.what.contains(" at line "), "the place is told once: {template:?}");
    let many = "---\nkind: ScaledObject\nspec: {minReplicaCount: 1}\n".repeat(3_000);
    assert_eq!(documents(&many).unwrap().len(), 3_000);
    let nested = (1..9)
        .fold("- &a0 [x]\n".to_owned(), |t, i| format!("{t}- &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(",")));
    let laughs = documents(&nested).unwrap_err();
    assert!(laughs.what.starts_with("more than is read lies before it"), "{laughs:?}");
    assert!(documents("").unwrap().is_empty());
    assert!(documents("---\n---\n").unwrap().is_empty());
}

/// Pointers and grades of what is said about a ScaledObject's spec in YAML; it has a target unless it says otherwise.
fn said_of(spec: &str) -> Vec<(Grade, String)> {
    let target = if spec.contains("scaleTargetRef") { "" } else { "scaleTargetRef: {name: x}, " };
    let text = format!("{{kind: ScaledObject, spec: {{{target}{spec}}}}}");
    let (_, said) = scaled_object(&documents(&text).unwrap()[0].value);
    said.into_iter().map(|c| (c.grade, c.pointer)).collect()
}

fn kafka(metadata: &str) -> String {
    format!("triggers: [{{type: kafka, metadata: {{bootstrapServers: k, consumerGroup: g, {metadata}}}}}]")
}

fn trigger(text: &str) -> String {
    format!("minReplicaCount: 1, triggers: [{{{text}}}]")
}

#[test]
fn what_keda_refuses_is_said() {
    let metadata = |key: &str| format!("/spec/triggers/0/metadata/{key}");
    let of_kafka = |text: &str, key: &str| (kafka(text), metadata(key));
    let spec = |text: &str, pointer: &str| (format!("{text}, {}", kafka("topic: t")), pointer.to_owned());
    let of_trigger = |text: &str, pointer: &str| (trigger(text), format!("/spec/triggers/0{pointer}"));
    for (text, pointer) in [
        of_kafka("lagThreshold: '0'", "lagThreshold"),
        of_kafka("activationLagThreshold: '-5'", "activationLagThreshold"),
        of_kafka("offsetResetPolicy: Earliest", "offsetResetPolicy"),
        of_kafka("sasl: SCRAM-SHA-512", "sasl"),
        of_kafka("sasl: scram_sha512", "sasl"),
        of_kafka("fullMetadata: 'false'", "fullMetadata"),
        of_kafka("topic: t, allowIdleConsumers: 'true', limitToPartitionsWithLag: 'true'", "allowIdleConsumers"),
        of_kafka("ensureEvenDistributionOfPartitions: 'true'", "ensureEvenDistributionOfPartitions"),
        of_trigger("type: kafka, metadata: {consumerGroup: g, topic: t}", "/metadata"),
        of_trigger("type: kafka, metadata: {bootstrapServers: k, topic: t}", "/metadata"),
        of_trigger("type: prometheus, metadata: {query: q, threshold: '5'}", "/metadata"),
        of_trigger("type: cpu, metadata: {value: '70'}", ""),
        of_trigger("type: cpu, metricType: Utilization, metadata: {value: '70', type: Utilization}", "/metadata/type"),
        of_trigger(
            "type: cpu, metricType: Utilization, useCachedMetrics: true, metadata: {value: '70'}",
            "/useCachedMetrics",
        ),
        of_trigger("type: cron, useCachedMetrics: true, metadata: {}", "/useCachedMetrics"),
        spec("idleReplicaCount: 2, minReplicaCount: 2", "/spec/idleReplicaCount"),
        spec("idleReplicaCount: 0", "/spec/idleReplicaCount"),
        spec("maxReplicaCount: 0", "/spec/maxReplicaCount"),
        spec("pollingInterval: 0", "/spec/pollingInterval"),
        spec("scaleTargetRef: {kind: Deployment}", "/spec/scaleTargetRef"),
        spec("advanced: {scalingModifiers: {formula: a, target: '0'}}", "/spec/advanced/scalingModifiers/target"),
        spec("fallback: {failureThreshold: 3, replicas: 4, behavior: scalingModifiers}", "/spec/fallback/behavior"),
        ("triggers: [{type: cpu, metricType: Utilization, metadata: {value: '70'}}]".to_owned(), "/spec".to_owned()),
    ] {
        assert_eq!(said_of(&text), [(Grade::Refused, pointer)], "{text}");
    }
    let metadata = json!({"annotations": {"a": 3}});
    let object = json!({"apiVersion": "keda.k8s.io/v1alpha1", "kind": "ScaledObject", "metadata": metadata});
    let said: Vec<_> = scaled_object(&object).1.into_iter().map(|c| (c.grade, c.pointer)).collect();
    let refused = |pointer: &str| (Grade::Refused, pointer.to_owned());
    assert_eq!(said[..2], [refused("/apiVersion"), refused("/metadata/annotations/a")]);
    let long = "o".repeat(55);
    let named = |config: Value| {
        let spec = json!({
            "scaleTargetRef": {"name": "x"}, "triggers": [{"type": "cron", "metadata": {}}],
            "advanced": {"horizontalPodAutoscalerConfig": config},
        });
        let object = json!({"kind": "ScaledObject", "metadata": {"name": long}, "spec": spec});
        scaled_object(&object).1.into_iter().map(|c| c.what).collect::<Vec<_>>()
    };
    assert_eq!(named(json!({"name": "short"})), [""; 0]);
    assert!(named(json!({}))[0].starts_with("the name keda-hpa-ooo"), "of its HPA: {:?}", named(json!({})));
    let names = "triggers: [{name: a, type: cron, metadata: {}}, {name: a, type: cron, metadata: {}}]";
    assert_eq!(said_of(names), [(Grade::Refused, "/spec/triggers/1/name".to_owned())]);
    let only = "minReplicaCount: 1, fallback: {failureThreshold: 3, replicas: 4}, triggers: [{type: cpu, metricType: \
                Utilization, metadata: {value: '70'}}]";
    assert_eq!(said_of(only), [(Grade::Refused, "/spec/fallback".to_owned())]);
}

#[test]
fn what_keda_takes_is_not_complained_of() {
    for text in [
        kafka("partitionLimitation: ''"),
        kafka("topic: t, lagThreshold: '5', offsetResetPolicy: earliest, tls: enable, sasl: none"),
        trigger(
            "type: kafka, authenticationRef: {name: a}, metadata: {bootstrapServers: k, consumerGroup: g, sasl: scram_sha256}",
        ),
        trigger(
            "type: apache-kafka, metadata: {bootstrapServers: k, consumerGroup: g, sasl: aws_msk_iam, identityOwner: operator}",
        ),
        trigger("type: prometheus, metadata: {serverAddress: s, query: q, threshold: '1', authModes: apiKey, apiKey: a}"),
        format!("minReplicaCount: 0, idleReplicaCount: 0, {}", kafka("topic: t")),
        trigger("type: kafka, metadata: {bootstrapServersFromEnv: B, consumerGroupFromEnv: G, topicFromEnv: T}"),
        trigger("type: apache-kafka, metadata: {bootstrapServers: k, consumerGroup: g, sasl: aws_msk_iam}"),
        trigger("type: prometheus, metadata: {serverAddress: s, query: q, threshold: '1e3', activationThreshold: '-0.5'}"),
        trigger("type: memory, metricType: AverageValue, metadata: {value: 500Mi, containerName: app}"),
        "scaleTargetRef: {name: x, kind: Rollout}, triggers: [{type: cpu, metricType: Utilization, metadata: {value: '70'}}]"
            .to_owned(),
    ] {
        assert_eq!(said_of(&text), [], "{text}");
    }
}

#[test]
fn what_says_nothing_is_unreadable() {
    let metadata = |key: &str| format!("/spec/triggers/0/metadata/{key}");
    for (text, pointer) in [
        (kafka("lagThreshold: '1000.0'"), metadata("lagThreshold")),
        (kafka("topic: t, partitionLimitation: 0-2000000000"), metadata("partitionLimitation")),
        (kafka("topic: t, partitionLimitation: '1,'"), metadata("partitionLimitation")),
        (trigger("type: prometheus, metadata: {serverAddress: s, query: q, threshold: 10k}"), metadata("threshold")),
        (trigger("type: cpu, metricType: Utilization, metadata: {value: 500m}"), metadata("value")),
        (trigger("type: cpu, metricType: Utilization, metadata: {value: '0'}"), metadata("value")),
        (trigger("type: cpu, metricType: Value, metadata: {value: '7'}"), "/spec/triggers/0/metricType".to_owned()),
        (format!("advanced: fast, {}", kafka("topic: t")), "/spec/advanced".to_owned()),
    ] {
        assert_eq!(said_of(&text), [(Grade::Unreadable, pointer)], "{text}");
    }
    assert_eq!(
        said_of(&trigger(
            "type: prometheus, metadata: {serverAddress: s, query: q, threshold: '5', activationTreshold: '4'}"
        )),
        [(Grade::Ignored, metadata("activationTreshold"))]
    );
    let (scaled, _) = scaled_object(
        &documents(&format!("spec: {{{}}}", kafka("topic: t, partitionLimitation: '1-5,3-8'"))).unwrap()[0].value,
    );
    assert_eq!(scaled.kafka().next().unwrap().limited_to, Some(8), "each partition counts once");
}

/// Grade, pointer and place of what is said about an HPA's YAML.
fn said_of_hpa(text: &str) -> Vec<(Grade, String)> {
    let text = format!("apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: x}}\n{text}");
    hpa(&documents(&text).unwrap()[0].value).1.into_iter().map(|c| (c.grade, c.pointer)).collect()
}

#[test]
fn what_the_api_server_refuses_is_said() {
    let target = "scaleTargetRef: {kind: Deployment, name: x}";
    let external = "metrics: [{type: External, external: {metric: {name: jobs}, target: {type: Value, value: 5}}}]";
    let of = |spec: &str| said_of_hpa(&format!("spec: {{{target}, {spec}}}"));
    assert_eq!(of(&format!("minReplicas: 0, maxReplicas: 3, {external}")), []);
    assert_eq!(of("maxReplicas: 3, behavior: {scaleUp: {stabilizationWindowSeconds: 3}}"), []);
    for (spec, pointer) in [
        ("minReplicas: 0, maxReplicas: 0", "/spec/minReplicas /spec/maxReplicas"),
        ("minReplicas: 0, maxReplicas: 3", "/spec/minReplicas"),
        ("maxReplicas: 3, behavior: {scaleUp: {policies: []}}", "/spec/behavior/scaleUp/policies"),
        (
            "maxReplicas: 3, behavior: {scaleDown: {stabilizationWindowSeconds: 7200}}",
            "/spec/behavior/scaleDown/stabilizationWindowSeconds",
        ),
        (
            "maxReplicas: 3, behavior: {scaleDown: {policies: [{type: Pods, value: 0, periodSeconds: 60}]}}",
            "/spec/behavior/scaleDown/policies/0/value",
        ),
        (
            "maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, \
             averageUtilization: 70, averageValue: 500m}}}]",
            "/spec/metrics/0/resource/target/averageValue",
        ),
        (
            "maxReplicas: 3, metrics: [{type: External, external: {metric: {name: lag}, target: {type: AverageValue, \
             averageValue: 5, value: 50}}}]",
            "/spec/metrics/0/external/target/averageValue",
        ),
        (
            "maxReplicas: 3, metrics: [{type: External, external: {metric: {}, target: {type: Value, value: 5}}}]",
            "/spec/metrics/0/external/metric",
        ),
    ] {
        let said = of(spec);
        assert!(said.iter().all(|(grade, _)| *grade == Grade::Refused), "{spec}: {said:?}");
        let pointers: Vec<&str> = said.iter().map(|(_, pointer)| pointer.as_str()).collect();
        assert_eq!(pointers.join(" "), pointer, "{spec}");
    }
    assert_eq!(said_of_hpa("spec: {maxReplicas: 3}"), [(Grade::Refused, "/spec".to_owned())]);
}

#[test]
fn a_scalar_or_a_list_where_a_map_belongs_is_said() {
    let target = "scaleTargetRef: {kind: Deployment, name: x}, maxReplicas: 3";
    for (spec, pointer) in [
        (format!("spec: {{{target}, behavior: fast}}"), "/spec/behavior"),
        (format!("spec: {{{target}, behavior: {{scaleDown: 0}}}}"), "/spec/behavior/scaleDown"),
        (format!("spec: {{{target}, behavior: {{scaleUp: [1]}}}}"), "/spec/behavior/scaleUp"),
        (format!("spec: {{{target}, metrics: [5]}}"), "/spec/metrics/0"),
        ("spec: {scaleTargetRef: app, maxReplicas: 3}".to_owned(), "/spec/scaleTargetRef"),
        ("spec: 5".to_owned(), "/spec"),
    ] {
        let said = said_of_hpa(&spec);
        assert_eq!(said.first(), Some(&(Grade::Unreadable, pointer.to_owned())), "{spec}: {said:?}");
    }
}

#[test]
fn of_another_version_only_the_version_is_said() {
    let object = json!({"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler", "spec": {
        "maxReplicas": 5, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "targetAverageUtilization": 5}}],
    }});
    let pointers: Vec<String> = hpa(&object).1.into_iter().map(|c| c.pointer).collect();
    assert_eq!(pointers, ["/apiVersion"]);
}

#[test]
fn items_of_a_typed_list_are_of_its_version() {
    let (found, _) = read(
        "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscalerList\nitems:\n- metadata: {name: x}\n  spec: \
         {scaleTargetRef: {kind: Deployment, name: x}, maxReplicas: 5, targetCPUUtilizationPercentage: 70}\n",
    );
    assert_eq!((found.len(), &found[0].complaints), (1, &vec![]));
}

#[test]
fn v1_has_cpu_only() {
    let v1 = |more: Value| {
        let spec = json!({"scaleTargetRef": {"kind": "Deployment", "name": "x"}, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70});
        hpa(&json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": more, "spec": spec}))
    };
    let (read, said) = v1(json!({"name": "x"}));
    assert_eq!((said, read.metrics[0].to_string()), (vec![], "resource cpu Utilization 70".to_owned()));
    let (_, said) = v1(json!({"annotations": {"autoscaling.alpha.kubernetes.io/metrics": "[]"}}));
    assert_eq!(said.len(), 1, "its metrics lie in an annotation: {said:?}");
}

#[test]
fn a_key_that_stands_twice_is_named() {
    let wrong = documents("spec:\n  minReplicaCount: 2\n  minReplicaCount: 5\n").unwrap_err();
    assert_eq!(
        (wrong.place.to_string(), wrong.what.as_str()),
        ("3:3".to_owned(), "the key minReplicaCount stands here for the second time")
    );
}

#[test]
fn fields_of_a_scaled_object() {
    let (scaled, said) = scaled_object(&json!({"kind": "ScaledObject", "spec": {
        "scaleTargetRef": {"name": "x", "kind": "StatefulSet"}, "idleReplicaCount": 0, "minReplicaCount": 2,
        "pollingInterval": 10, "fallback": {"failureThreshold": 3, "replicas": 4, "behavior": "currentReplicasIfHigher"},
        "triggers": [
            {"type": "kafka", "metadata": {"bootstrapServers": "k", "consumerGroup": "g", "topic": "t", "partitionLimitation": "1,3-5"}},
            {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70"}},
        ],
    }}));
    assert_eq!(said, []);
    assert_eq!((scaled.idle, scaled.min, scaled.max), (Some(0), 2, 100));
    assert_eq!(scaled.fallback.unwrap().behavior, FallbackBehavior::CurrentReplicasIfHigher);
    assert_eq!(scaled.kafka().next().unwrap().limited_to, Some(4));
    assert!(matches!(scaled.triggers[1].source, TriggerSource::Resource(q) if q == Quantity::from_milli(70_000)));
}

#[test]
fn edits_can_be_applied_and_shown() {
    let (found, _) = read(LIST);
    let edits = [
        Edit::set("/spec/triggers/0/metadata/lagThreshold", "15000"),
        Edit::set("/spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown/stabilizationWindowSeconds", 900),
        Edit::remove("/spec/cooldownPeriod"),
    ];
    let mended = Manifest::read(&apply(&found[0].value, &edits)).unwrap();
    let Object::ScaledObject(scaled) = &mended.object else { panic!() };
    assert_eq!(scaled.behavior.as_ref().unwrap().down.window, Some(900.0));
    assert!((scaled.kafka().next().unwrap().lag_threshold - 15_000.0).abs() < 1e-9);
    let yaml = yaml_of(&found[0].value, &edits);
    assert_eq!(
        yaml,
        "spec:\n  advanced:\n    horizontalPodAutoscalerConfig:\n      behavior:\n        scaleDown:\n          \
         stabilizationWindowSeconds: 900\n  triggers:\n  - metadata:\n      lagThreshold: \"15000\"\n    type: \
         kafka\n# remove spec.cooldownPeriod"
    );
}

#[test]
fn items_of_one_type_are_told_apart_by_what_they_look_at() {
    let kafka = |topic: &str| json!({"type": "kafka", "metadata": {"topic": topic, "lagThreshold": "1"}});
    let object = json!({"spec": {"triggers": [kafka("a"), {"type": "cpu"}, kafka("b")]}});
    let edits = [2, 0].map(|i| Edit::set(&format!("/spec/triggers/{i}/metadata/lagThreshold"), format!("{i}0")));
    let yaml = yaml_of(&object, &edits);
    let written = &documents(&yaml).unwrap()[0].value["spec"]["triggers"];
    let wanted = |topic: &str, lag: &str| json!({"type": "kafka", "metadata": {"topic": topic, "lagThreshold": lag}});
    assert_eq!(written, &json!([wanted("a", "00"), wanted("b", "20")]), "{yaml}");
}
