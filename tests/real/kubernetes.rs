//! A Kubernetes control plane, started by `tests/real/kubernetes.sh`, with namespaces, objects and a kubelet for tests.

use super::{kubelet::Kubelet, metrics::Metrics};
use crate::support::PATIENCE;
use highwater::model::{KubernetesSettings, ObjectKind};
use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{GroupVersionKind, TypeMeta},
    discovery,
};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::OnceCell, time::Instant};

/// A running control plane. Users: `admin`; `alice`, `bob` and `carol` (group `operators`); `viewer`, `nobody`.
pub struct Kubernetes {
    dir: PathBuf,
    metrics: OnceCell<Metrics>,
}

/// One request as the API server's audit log has it.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audited {
    pub verb: String,
    #[serde(rename = "requestURI")]
    pub uri: String,
    user: AuditUser,
    response_status: Option<AuditStatus>,
}

#[derive(Clone, Debug, serde::Deserialize)]
struct AuditUser {
    username: String,
}

#[derive(Clone, Debug, serde::Deserialize)]
struct AuditStatus {
    code: u16,
}

impl Audited {
    pub fn user(&self) -> &str {
        &self.user.username
    }

    /// Status of the answer; 0: none was given.
    pub fn code(&self) -> u16 {
        self.response_status.as_ref().map_or(0, |s| s.code)
    }

    /// Whether it could have stored anything. Asking who one is and what one may is no change.
    pub fn changes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
            && !self.uri.contains("dryRun=All")
            && !self.uri.contains("/selfsubject")
    }
}

/// The server of this test process; `None` where it cannot be had.
pub async fn kubernetes() -> Option<Arc<Kubernetes>> {
    static ONE: OnceLock<Option<Arc<Kubernetes>>> = OnceLock::new();
    let one = tokio::task::spawn_blocking(|| ONE.get_or_init(start).clone()).await.unwrap()?;
    one.metrics.get_or_init(|| one.prepare()).await;
    Some(one)
}

fn start() -> Option<Arc<Kubernetes>> {
    for program in ["go", "openssl", "flock", "curl"] {
        if !Command::new("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|o| o.status.success())
        {
            super::skipped("Kubernetes", &format!("{program} is not installed"));
            return None;
        }
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/real/kubernetes.sh");
    let dir = std::env::temp_dir().join(format!("highwater-kubernetes-{}", std::process::id()));
    let out = Command::new(script)
        .args(["start", dir.to_str().unwrap()])
        .env("HIGHWATER_TEST_OWNER", std::process::id().to_string()) // the guard ends the servers with this process
        .output()
        .unwrap();
    if !out.status.success() {
        super::skipped("Kubernetes", &String::from_utf8_lossy(&out.stderr));
        return None;
    }
    Some(Arc::new(Kubernetes { dir, metrics: OnceCell::new() }))
}

impl Kubernetes {
    /// The kinds that operators would bring, and a role for those who may look.
    async fn prepare(&self) -> Metrics {
        let admin = self.client("admin").await;
        let kinds = [
            ("argoproj.io", "v1alpha1", "Rollout", "rollouts"),
            ("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices"),
            ("ray.io", "v1", "RayCluster", "rayclusters"),
            ("ray.io", "v1", "RayService", "rayservices"),
            ("kafka.strimzi.io", "v1beta2", "KafkaNodePool", "kafkanodepools"),
            ("kafka.strimzi.io", "v1beta2", "KafkaConnect", "kafkaconnects"),
            ("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets"),
            ("autoscaling.k8s.io", "v1", "VerticalPodAutoscaler", "verticalpodautoscalers"),
        ];
        create(&admin, None, scaled_objects()).await;
        for (group, version, kind, plural) in kinds {
            create(&admin, None, custom(group, version, kind, plural)).await;
        }
        let rules = json!([
            {"apiGroups": ["apps"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["autoscaling.k8s.io"], "resources": ["verticalpodautoscalers"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch"]},
        ]);
        create(
            &admin,
            None,
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "look"}, "rules": rules}),
        )
        .await;
        // Operators may see pods too, viewers may not.
        let pods = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]);
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "look-at-pods"}, "rules": pods});
        create(&admin, None, role).await;
        let bound = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "look-at-pods"}, "subjects": [{"kind": "Group", "name": "operators", "apiGroup": RBAC}],
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "look-at-pods"}});
        create(&admin, None, bound).await;
        let groups = ["operators", "viewers"].map(|g| json!({"kind": "Group", "name": g, "apiGroup": RBAC}));
        create(
            &admin,
            None,
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "look"}, "subjects": groups,
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "look"}}),
        )
        .await;
        wait("the new kinds are served", async || {
            // Discovered is not enough: until its storage is there a list is answered with 429.
            let ready = async |g: &str, v: &str, k: &str| {
                let found = discovery::pinned_kind(&admin, &GroupVersionKind::gvk(g, v, k)).await;
                let Ok((resource, _)) = found else { return false };
                let api: Api<DynamicObject> = Api::all_with(admin.clone(), &resource);
                api.list(&ListParams::default()).await.is_ok()
            };
            for (group, version, kind, _) in kinds {
                if !ready(group, version, kind).await {
                    return false;
                }
            }
            ready("keda.sh", "v1alpha1", "ScaledObject").await
        })
        .await;
        Metrics::start(&self.dir, &admin).await
    }

    /// What the HPA controller is told.
    pub fn metrics(&self) -> &Metrics {
        self.metrics.get().expect("it is there since the start")
    }

    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.dir.join(format!("{user}.kubeconfig"))
    }

    /// How Highwater connects as a user.
    pub fn settings(&self, user: &str, namespaces: &[&str]) -> KubernetesSettings {
        KubernetesSettings {
            context: Some("real".to_owned()),
            kubeconfig: Some(self.kubeconfig(user)),
            namespaces: namespaces.iter().map(|n| (*n).to_owned()).collect(),
            kinds: vec![ObjectKind::Rollout],
        }
    }

    /// A plain client of a test.
    pub async fn client(&self, user: &str) -> Client {
        let file = Kubeconfig::read_from(self.kubeconfig(user)).unwrap();
        let options = KubeConfigOptions { context: Some("real".into()), ..KubeConfigOptions::default() };
        Client::try_from(Config::from_custom_kubeconfig(file, &options).await.unwrap()).unwrap()
    }

    /// A namespace of a test alone, in which operators may patch what it says.
    pub async fn namespace(self: &Arc<Self>) -> Namespace {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test-{}", NEXT.fetch_add(1, Ordering::SeqCst));
        let admin = self.client("admin").await;
        create(&admin, None, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await;
        let may = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "patch"]});
        create(
            &admin,
            Some(&name),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "change"}, "rules": [
                may("apps", &["deployments/scale", "statefulsets/scale"]),
                may("autoscaling", &["horizontalpodautoscalers"]),
                may("keda.sh", &["scaledobjects"]),
                may("argoproj.io", &["rollouts/scale"]),
                {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "patch"]},
            ]}),
        )
        .await;
        create(
            &admin,
            Some(&name),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "change"}, "subjects": [{"kind": "Group", "name": "operators", "apiGroup": RBAC}],
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "change"}}),
        )
        .await;
        Namespace { name, admin, server: self.clone(), kubelet: None }
    }

    /// The requests that name `part` in their path, oldest first.
    pub fn audited(&self, part: &str) -> Vec<Audited> {
        let log = std::fs::read_to_string(self.dir.join("audit.log")).unwrap_or_default();
        // The last line may be half written.
        let all = log.lines().filter_map(|l| serde_json::from_str::<Audited>(l).ok());
        all.filter(|a| a.uri.contains(part)).collect()
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// A namespace; it ends with the server.
pub struct Namespace {
    pub name: String,
    pub admin: Client,
    pub server: Arc<Kubernetes>,
    kubelet: Option<Kubelet>,
}

impl Namespace {
    pub async fn create(&self, object: Value) -> DynamicObject {
        create(&self.admin, Some(&self.name), object).await
    }

    /// Creates an object that says itself where it belongs.
    pub async fn apply_any(&self, object: Value) -> DynamicObject {
        let namespace = object["metadata"]["namespace"].as_str().map(str::to_owned);
        create(&self.admin, namespace.as_deref(), object).await
    }

    /// Applies an object that says itself where it belongs, as `kubectl apply` would.
    pub async fn replace_any(&self, object: Value) {
        let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let api = api(&self.admin, object["metadata"]["namespace"].as_str(), version, kind);
        let name = object["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply("kubectl").force();
        api.patch(name, &params, &Patch::Apply(&object)).await.unwrap();
    }

    /// Makes pods ready from now on.
    pub fn with_kubelet(mut self, delay: Duration) -> Self {
        self.kubelet = Some(Kubelet::start(self.admin.clone(), &self.name, delay));
        self
    }

    /// The kubelet, to hold pods back with.
    pub fn kubelet(&self) -> &Kubelet {
        self.kubelet.as_ref().expect("a kubelet")
    }

    pub async fn deployment(&self, name: &str, replicas: u32) -> DynamicObject {
        self.deployment_with(name, replicas, json!({})).await
    }

    /// A deployment with more metadata.
    pub async fn deployment_with(&self, name: &str, replicas: u32, metadata: Value) -> DynamicObject {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "main", "image": "registry.invalid/test:1"}]},
                },
            },
        });
        object["metadata"]["name"] = name.into();
        self.create(object).await
    }

    /// An HPA over a deployment of the same name, on the external metric of that name, 10 a pod.
    pub async fn hpa(&self, name: &str, min: u32, max: u32) -> DynamicObject {
        let target = json!({"type": "AverageValue", "averageValue": "10"});
        self.create(json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "minReplicas": min, "maxReplicas": max,
                "metrics": [{"type": "External", "external": {"metric": {"name": name}, "target": target}}],
            },
        }))
        .await
    }

    pub async fn scaled_object(&self, name: &str, min: u32, max: u32) -> DynamicObject {
        self.create(json!({
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name},
            "spec": {
                "scaleTargetRef": {"name": name}, "minReplicaCount": min, "maxReplicaCount": max,
                "triggers": [{"type": "kafka", "metadata": {"consumerGroup": name, "topic": name, "lagThreshold": "10"}}],
            },
        }))
        .await
    }

    /// The HPA that KEDA's operator would make of a ScaledObject.
    pub async fn kedas_hpa(&self, name: &str, min: u32, max: u32) -> DynamicObject {
        let metric = json!({"name": format!("s0-kafka-{name}")});
        let target = json!({"type": "AverageValue", "averageValue": "10"});
        self.create(json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": format!("keda-hpa-{name}"), "labels": {"app.kubernetes.io/managed-by": "keda-operator"}},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "minReplicas": min.max(1), "maxReplicas": max,
                "metrics": [{"type": "External", "external": {"metric": metric, "target": target}}],
            },
        }))
        .await
    }

    /// A VPA of the deployment of the same name that only recommends, as its recommender would leave it.
    pub async fn vpa(&self, name: &str) -> DynamicObject {
        self.create(json!({
            "apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler", "metadata": {"name": name},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "updatePolicy": {"updateMode": "Off"},
            },
            "status": {"recommendation": {"containerRecommendations": [{
                "containerName": "main", "target": {"cpu": "630m", "memory": "1342177280"},
                "lowerBound": {"cpu": "410m", "memory": "768Mi"}, "upperBound": {"cpu": "1100m", "memory": "2Gi"},
            }]}},
        }))
        .await
    }

    pub async fn delete(&self, api_version: &str, kind: &str, name: &str) {
        let api = api(&self.admin, Some(&self.name), api_version, kind);
        let _ = api.delete(name, &DeleteParams::background()).await.unwrap(); // object or status: it is going
        wait("it is gone", async || api.get_opt(name).await.unwrap().is_none()).await;
    }

    /// Merges `change` into an object, as the administrator by hand.
    pub async fn patch(&self, api_version: &str, kind: &str, name: &str, change: Value) {
        let api = api(&self.admin, Some(&self.name), api_version, kind);
        api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }

    pub async fn get(&self, api_version: &str, kind: &str, name: &str) -> Value {
        serde_json::to_value(api(&self.admin, Some(&self.name), api_version, kind).get(name).await.unwrap()).unwrap()
    }

    /// The objects of a kind.
    pub async fn list(&self, api_version: &str, kind: &str) -> Vec<Value> {
        let all = api(&self.admin, Some(&self.name), api_version, kind).list(&ListParams::default()).await.unwrap();
        all.items.iter().map(|o| serde_json::to_value(o).unwrap()).collect()
    }

    /// `spec.replicas` of a deployment.
    pub async fn replicas(&self, name: &str) -> u64 {
        self.get("apps/v1", "Deployment", name).await["spec"]["replicas"].as_u64().unwrap()
    }

    /// Requests about an object of this namespace that could have stored something, by one user.
    pub fn writes(&self, user: &str, name: &str) -> Vec<Audited> {
        let all = self.server.audited(&format!("/namespaces/{}/", self.name)).into_iter();
        all.filter(|a| a.user() == user && a.changes() && a.uri.contains(&format!("/{name}"))).collect()
    }
}

fn api(client: &Client, namespace: Option<&str>, api_version: &str, kind: &str) -> Api<DynamicObject> {
    let types = TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() };
    let gvk = GroupVersionKind::try_from(&types).unwrap();
    let resource = match (api_version, kind) {
        (_, "HorizontalPodAutoscaler") => ApiResource::from_gvk_with_plural(&gvk, "horizontalpodautoscalers"),
        (_, "CustomResourceDefinition") => ApiResource::from_gvk_with_plural(&gvk, "customresourcedefinitions"),
        _ => ApiResource::from_gvk(&gvk),
    };
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Creates an object; namespaces and roles are made by the server's own controllers a moment after it is ready, so a
/// refusal that names them is waited out.
pub async fn create(client: &Client, namespace: Option<&str>, object: Value) -> DynamicObject {
    let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let api = api(client, namespace, version, kind);
    let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match api.create(&PostParams::default(), &object).await {
            Ok(made) => return made,
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("cannot create {object:?}: {error}"),
        }
    }
}

/// Waits until a condition holds.
pub async fn wait(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A kind with `spec.replicas` and `/scale`, its schema open.
fn custom(group: &str, version: &str, kind: &str, plural: &str) -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let spec = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"replicas": {"type": "integer"}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        // Groups under k8s.io are kept for kinds that Kubernetes' people have looked at; this one stands for such a kind.
        "metadata": {"name": format!("{plural}.{group}"),
            "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in of a test"}},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
            "versions": [{
                "name": version, "served": true, "storage": true,
                "subresources": {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": open}}},
            }],
        },
    })
}

/// KEDA's kind as far as bounds go, with the rule of its real definition.
fn scaled_objects() -> Value {
    let mut crd = custom("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects");
    let version = &mut crd["spec"]["versions"][0];
    version["subresources"] = json!({"status": {}});
    let bound = json!({"type": "integer", "format": "int32"});
    let spec = &mut version["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"] = json!({"minReplicaCount": bound, "maxReplicaCount": bound});
    spec["x-kubernetes-validations"] = json!([{
        "rule": "!has(self.minReplicaCount) || !has(self.maxReplicaCount) || self.minReplicaCount <= self.maxReplicaCount",
        "message": "minReplicaCount must be at most maxReplicaCount",
    }]);
    crd
}
