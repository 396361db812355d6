//! Where an object keeps its count, and what of it is ready: each kind has a place of its own.

use crate::model::{Label, ObjectKind, Target};
use serde_json::Value;

/// The targets that an object of `kind` is: one, or one for each worker group of Ray.
pub fn targets(kind: ObjectKind, namespace: &Label, name: &Label, object: &Value) -> Vec<Target> {
    let target = |part| Target::Object { kind, namespace: namespace.clone(), name: name.clone(), part };
    if !kind.has_part() {
        return vec![target(None)];
    }
    let groups = object.pointer(ray_cluster(kind)).and_then(|c| c.get("workerGroupSpecs")).and_then(Value::as_array);
    let names = groups.into_iter().flatten().filter_map(|g| g.get("groupName")?.as_str());
    names.map(|group| target(Some(Label::new(group)))).collect()
}

/// Pointer to the specification of the cluster that a Ray object is, or makes.
fn ray_cluster(kind: ObjectKind) -> &'static str {
    if kind == ObjectKind::RayService { "/spec/rayClusterConfig" } else { "/spec" }
}

/// Pointer to the count.
///
/// # Errors
/// A worker group that the Ray object does not have; an autoscaler, which has bounds and no count.
pub fn count_at(target: &Target, object: &Value) -> Result<String, String> {
    let Target::Object { kind, part, .. } = target else { return Ok("/spec/replicas".to_owned()) };
    match kind {
        ObjectKind::Hpa | ObjectKind::ScaledObject => {
            Err(format!("{target} is an autoscaler: name what it scales as the target"))
        }
        ObjectKind::InferenceService => Ok("/spec/predictor/minReplicas".to_owned()),
        ObjectKind::Job => Ok("/spec/parallelism".to_owned()),
        ObjectKind::RayCluster | ObjectKind::RayService => {
            let cluster = ray_cluster(*kind);
            let groups = object.pointer(&format!("{cluster}/workerGroupSpecs")).and_then(Value::as_array);
            let named = |g: &Value| {
                part.as_ref().is_some_and(|p| g.get("groupName").and_then(Value::as_str) == Some(p.as_str()))
            };
            let index = groups.and_then(|all| all.iter().position(named));
            let index = index.ok_or_else(|| format!("there is no worker group {target}"))?;
            // Ray's own autoscaler writes `replicas`; what it is held to is the floor.
            let autoscaled = object.pointer(&format!("{cluster}/enableInTreeAutoscaling")) == Some(&Value::Bool(true));
            let field = if autoscaled { "minReplicas" } else { "replicas" };
            Ok(format!("{cluster}/workerGroupSpecs/{index}/{field}"))
        }
        _ => Ok("/spec/replicas".to_owned()),
    }
}

/// The count that is asked for.
///
/// # Errors
/// Where the object does not say: GET `/scale` of a custom resource without `spec.replicas` is a 500 (v1.36.4), so no
/// default is guessed for those.
pub fn desired(target: &Target, object: &Value) -> Result<u32, String> {
    let at = count_at(target, object)?;
    match (number(object, &at), target) {
        (Some(count), _) => Ok(count),
        // The API server's default for its own kinds, and KServe's.
        (
            None,
            Target::Deployment { .. }
            | Target::StatefulSet { .. }
            | Target::Object { kind: ObjectKind::InferenceService, .. },
        ) => Ok(1),
        (None, _) => Err(format!("the count of {target} is not known: it has no {}", at.replace('/', "."))),
    }
}

/// What is ready of `desired`.
pub fn ready(target: &Target, object: &Value, desired: u32) -> u32 {
    let of = |at| number(object, at).unwrap_or(0);
    let Target::Object { kind, .. } = target else { return of("/status/readyReplicas") };
    match kind {
        ObjectKind::KafkaNodePool => of("/status/replicas"),
        // Strimzi tells how many there are, and whether all is well.
        ObjectKind::KafkaConnect | ObjectKind::KafkaMirrorMaker2 | ObjectKind::KafkaBridge if says_ready(object) => {
            of("/status/replicas")
        }
        ObjectKind::InferenceService if says_ready(object) => desired,
        ObjectKind::KafkaConnect
        | ObjectKind::KafkaMirrorMaker2
        | ObjectKind::KafkaBridge
        | ObjectKind::InferenceService => 0,
        // Of all groups together: Ray does not tell them apart.
        ObjectKind::RayCluster => of("/status/readyWorkerReplicas").min(desired),
        ObjectKind::Job => of("/status/ready").min(desired),
        ObjectKind::RayService => of("/status/activeServiceStatus/rayClusterStatus/readyWorkerReplicas").min(desired),
        _ => of("/status/readyReplicas"),
    }
}

fn says_ready(object: &Value) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let is = |c: &Value, key: &str, value: &str| c.get(key).and_then(Value::as_str) == Some(value);
    conditions.is_some_and(|all| all.iter().any(|c| is(c, "type", "Ready") && is(c, "status", "True")))
}

fn number(object: &Value, pointer: &str) -> Option<u32> {
    object.pointer(pointer).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    #[test]
    fn each_kind_has_its_count_in_its_own_place() {
        let plain = json!({"spec": {"replicas": 4}, "status": {"readyReplicas": 3}});
        for kind in ["deploy", "sts", "rollout", "leaderworkerset"] {
            let target = target(&format!("{kind}/a/b"));
            assert_eq!((desired(&target, &plain), ready(&target, &plain, 4)), (Ok(4), 3), "{target}");
        }
        let service = target("inferenceservice/ml/fraud");
        let object = json!({
            "spec": {"predictor": {"minReplicas": 2}}, "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        assert_eq!((desired(&service, &object), ready(&service, &object, 2)), (Ok(2), 2));
        assert_eq!(ready(&service, &json!({}), 2), 0, "nobody says it is ready");
        let connect = target("kafkaconnect/streams/sink");
        let object = json!({"spec": {"replicas": 3}, "status": {"replicas": 3}});
        assert_eq!(ready(&connect, &object, 3), 0);
    }

    #[test]
    fn a_worker_group_of_ray_is_found_by_its_name() {
        let object = json!({"spec": {"rayClusterConfig": {"workerGroupSpecs": [
            {"groupName": "cpu", "replicas": 1}, {"groupName": "gpu", "replicas": 5, "minReplicas": 2},
        ]}}});
        let gpu = target("rayservice/ml/serve/gpu");
        assert_eq!(count_at(&gpu, &object).unwrap(), "/spec/rayClusterConfig/workerGroupSpecs/1/replicas");
        assert_eq!(desired(&gpu, &object), Ok(5));
        assert!(desired(&target("rayservice/ml/serve/tpu"), &object).unwrap_err().contains("no worker group"));
        let all = targets(ObjectKind::RayService, &"ml".into(), &"serve".into(), &object);
        assert_eq!(all, [target("rayservice/ml/serve/cpu"), gpu.clone()]);
        let mut autoscaled = object.clone();
        autoscaled["spec"]["rayClusterConfig"]["enableInTreeAutoscaling"] = json!(true);
        assert_eq!(desired(&gpu, &autoscaled), Ok(2), "Ray's autoscaler owns replicas");
    }

    #[test]
    fn a_count_that_is_not_there_is_unknown_and_never_guessed() {
        assert_eq!(desired(&target("deploy/a/b"), &json!({})), Ok(1), "the API server's own default");
        assert!(desired(&target("rollout/a/b"), &json!({})).unwrap_err().contains("not known"));
        assert!(desired(&target("hpa/a/b"), &json!({})).unwrap_err().contains("autoscaler"));
    }
}
