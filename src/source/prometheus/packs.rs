//! The metric packs: what to ask per exporter family, read from `config/packs/*.toml`.
//!
//! The format is explained at the top of `config/packs/vllm.toml`.

use super::slots::Slot;
use crate::model::PrometheusSettings;
use promql_parser::parser::{self, Expr};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path, sync::LazyLock};

/// One exporter family.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Name on screen.
    pub name: String,
    /// Metric names that tell that the family is there.
    pub detect: Vec<String>,
    /// Prefixes that wrappers put before every metric name.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// What can be asked, by name.
    pub concepts: BTreeMap<String, Concept>,
    #[serde(default)]
    gpu: Templates,
    #[serde(default)]
    service: Templates,
    #[serde(default)]
    queue: Templates,
    #[serde(default)]
    training: Templates,
    #[serde(default)]
    broker: Templates,
    #[serde(default)]
    group: Templates,
}

/// Parts of an entity's identity, each with its templates over labels, best first.
pub(super) type Templates = BTreeMap<String, Vec<String>>;

/// One PromQL expression of a pack.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concept {
    /// PromQL with `$w`, `$sel` and `$by`.
    pub query: String,
    /// Unit of what the query gives; empty: a plain count.
    #[serde(default)]
    pub unit: String,
    /// Field of the model that it fills (`service.waiting`); `None`: not asked, for the user's own use.
    pub into: Option<String>,
    /// Factor from the query's unit to the model's.
    #[serde(default = "one")]
    pub scale: f64,
}

fn one() -> f64 {
    1.0
}

macro_rules! built_in {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../config/packs/", $name, ".toml")))),*]
    };
}

/// Name and text of every built-in pack. Earlier ones win where two fill the same field of the same thing.
const BUILT_IN: [(&str, &str); 28] = built_in!(
    "dcgm" "nvidia_smi" "vllm" "sglang" "tgi" "triton" "torchserve" "tf_serving" "dynamo" "ray_serve" "kserve"
    "kueue" "volcano" "celery" "rabbitmq" "redis" "training"
    "kafka_jmx" "kafka_jmx_grafanacloud" "kafka_jmx_bitnami" "kafka_jmx_reporter"
    "kafka_exporter" "kminion" "kafka_lag_exporter" "kube_state" "cadvisor" "node" "keda"
);

/// The built-in packs.
pub fn all() -> &'static [Pack] {
    static ALL: LazyLock<Vec<Pack>> = LazyLock::new(|| {
        let read = |(name, text): &(&str, &str)| match read(name, text) {
            Ok(pack) => Some(pack),
            Err(e) => {
                tracing::error!("a built-in metric pack is left out: {e}");
                None
            }
        };
        BUILT_IN.iter().filter_map(read).collect()
    });
    &ALL
}

/// The built-in packs and those of the user's folder; a user's pack replaces the built-in one of its name.
pub fn load(folder: Option<&Path>) -> Result<Vec<Pack>, String> {
    let mut packs = all().to_vec();
    let Some(folder) = folder else { return Ok(packs) };
    let unreadable = |e| format!("cannot read the metric packs in {}: {e}", folder.display());
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    paths.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let pack = read(&path.display().to_string(), &text)?;
        match packs.iter_mut().find(|p| p.name == pack.name) {
            Some(old) => *old = pack,
            None => packs.push(pack),
        }
    }
    Ok(packs)
}

/// Reads and checks one pack; `file` is for the error alone.
pub fn read(file: &str, text: &str) -> Result<Pack, String> {
    let pack: Pack = toml::from_str(text).map_err(|e| format!("metric pack {file}: {e}"))?;
    if pack.detect.is_empty() {
        return Err(format!("metric pack {file}: `detect` names no metric"));
    }
    let plain = |n: &String| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
    if let Some(name) = pack.detect.iter().chain(&pack.prefixes).find(|n| !plain(n)) {
        return Err(format!("metric pack {file}: {name:?} is no metric name (letters, digits, `_`, `:`)"));
    }
    for (name, concept) in &pack.concepts {
        let wrong = |what: String| format!("metric pack {file}, concept {name}: {what}");
        let slot = concept.into.as_deref().map(|into| {
            Slot::parse(into)
                .ok_or_else(|| wrong(format!("`into = {into:?}` is no field; there are {}", Slot::names())))
        });
        let slot = slot.transpose()?;
        if let Some(slot) = slot.filter(|s| pack.templates(*s).is_empty()) {
            return Err(wrong(format!(
                "`into` needs a [{}] table that says how its rows are told apart",
                slot.entity()
            )));
        }
        let query = Ask::new(&pack, name, concept, slot).promql("", 60.0, &BTreeMap::new()).map_err(&wrong)?;
        parser::parse(&query).map_err(|e| wrong(format!("the query does not parse: {e}")))?;
    }
    Ok(pack)
}

impl Pack {
    /// The templates that tell the rows of a slot apart.
    pub(super) fn templates(&self, slot: Slot) -> &Templates {
        match slot {
            Slot::Gpu(_) => &self.gpu,
            Slot::Service(..) | Slot::Pods => &self.service,
            Slot::Queue(..) => &self.queue,
            Slot::Training(_) => &self.training,
            Slot::Broker(_) => &self.broker,
            Slot::Group(_) => &self.group,
        }
    }

    /// Every prefix to look for: none, the pack's own, the source's.
    pub(super) fn all_prefixes<'a>(&'a self, settings: &'a PrometheusSettings) -> Vec<&'a str> {
        let mut prefixes = vec![""];
        for prefix in self.prefixes.iter().map(String::as_str).chain([settings.prefix.as_str()]) {
            if !prefixes.contains(&prefix) {
                prefixes.push(prefix);
            }
        }
        prefixes
    }

    /// Every expression by name, with its placeholders replaced: what a person would send.
    pub fn queries(&self, window: f64, select: &BTreeMap<String, String>) -> Vec<(&str, String)> {
        let text = |name, concept| Some((name, Ask::new(self, name, concept, None).promql("", window, select).ok()?));
        self.concepts.iter().filter_map(|(name, concept)| text(name.as_str(), concept)).collect()
    }

    /// The concepts that fill a field of the model.
    pub(super) fn asks(&self) -> impl Iterator<Item = Ask<'_>> {
        let mut asks: Vec<_> = self
            .concepts
            .iter()
            .filter_map(|(name, concept)| Some((Slot::place(concept.into.as_deref()?)?, name, concept)))
            .collect();
        asks.sort_by_key(|((place, _), ..)| *place); // ttft_p95 before latency_p95: the better one is history first
        asks.into_iter().map(|((_, slot), name, concept)| Ask::new(self, name, concept, Some(slot)))
    }
}

/// A concept together with what its query needs from its pack.
#[derive(Clone, Copy)]
pub(super) struct Ask<'p> {
    pub name: &'p str,
    pub concept: &'p Concept,
    pub slot: Option<Slot>,
    pack: &'p Pack,
}

impl<'p> Ask<'p> {
    fn new(pack: &'p Pack, name: &'p str, concept: &'p Concept, slot: Option<Slot>) -> Self {
        Self { name, concept, slot, pack }
    }

    /// The PromQL to send: placeholders replaced, metric names prefixed.
    pub(super) fn promql(
        &self,
        prefix: &str,
        window: f64,
        select: &BTreeMap<String, String>,
    ) -> Result<String, String> {
        let rows = match self.slot {
            Some(slot) => Some(self.pack.templates(slot)),
            None => self.pack.tables().into_iter().find(|t| !t.is_empty()),
        };
        let by = rows.map(labels_of).unwrap_or_default();
        let query = fill(&self.concept.query.replace("$by", &by.join(",")), window, select);
        if prefix.is_empty() {
            return Ok(query);
        }
        let mut expr = parser::parse(&query)?;
        add_prefix(&mut expr, prefix);
        Ok(expr.to_string())
    }
}

impl Pack {
    fn tables(&self) -> [&Templates; 5] {
        [&self.gpu, &self.service, &self.queue, &self.training, &self.broker]
    }
}

/// Replaces `$w` by the window (whole seconds) and `$sel` by label matchers.
///
/// ```
/// use highwater::source::prometheus::packs::fill;
/// let select = [("model_name".to_owned(), "a\"b".to_owned())].into();
/// assert_eq!(fill("rate(x{job=\"y\",$sel}[$w])", 60.0, &select), r#"rate(x{job="y",model_name="a\"b"}[60s])"#);
/// assert_eq!(fill("x{$sel}", 60.0, &Default::default()), "x{}");
/// ```
pub fn fill(query: &str, window: f64, select: &BTreeMap<String, String>) -> String {
    let quote = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let matchers: Vec<_> = select.iter().map(|(name, value)| format!("{name}=\"{}\"", quote(value))).collect();
    let window = format!("{}s", window.ceil().max(1.0) as u64);
    query.replace("$w", &window).replace("$sel", &matchers.join(","))
}

/// The labels that templates use, each once, in order.
fn labels_of(templates: &Templates) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for template in templates.values().flatten() {
        for part in template.split('{').skip(1) {
            let name = part.split('}').next().unwrap_or_default();
            if !labels.iter().any(|l| l == name) {
                labels.push(name.to_owned());
            }
        }
    }
    labels
}

/// Puts `prefix` before every metric name.
fn add_prefix(expr: &mut Expr, prefix: &str) {
    let rename = |selector: &mut parser::VectorSelector| {
        if let Some(name) = &mut selector.name {
            name.insert_str(0, prefix);
        }
    };
    match expr {
        Expr::VectorSelector(selector) => rename(selector),
        Expr::MatrixSelector(matrix) => rename(&mut matrix.vs),
        Expr::Aggregate(e) => add_prefix(&mut e.expr, prefix),
        Expr::Unary(e) => add_prefix(&mut e.expr, prefix),
        Expr::Paren(e) => add_prefix(&mut e.expr, prefix),
        Expr::Subquery(e) => add_prefix(&mut e.expr, prefix),
        Expr::Binary(e) => {
            add_prefix(&mut e.lhs, prefix);
            add_prefix(&mut e.rhs, prefix);
        }
        Expr::Call(call) => call.args.args.iter_mut().for_each(|arg| add_prefix(arg, prefix)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_pack_reads() {
        for (name, text) in BUILT_IN {
            let pack = read(name, text).unwrap();
            assert_eq!(pack.name, name, "a pack is named after its file");
        }
        assert_eq!(all().len(), BUILT_IN.len());
    }

    #[test]
    fn a_wrapped_pack_asks_for_wrapped_names() {
        let vllm = all().iter().find(|p| p.name == "vllm").unwrap();
        let ask = vllm.asks().find(|a| a.concept.into.as_deref() == Some("service.kv_cache")).unwrap();
        let select = [("model_name".to_owned(), "fraud".to_owned())].into();
        let query = ask.promql("kserve_", 60.0, &select).unwrap();
        assert!(query.contains("kserve_vllm:kv_cache_usage_perc{model_name=\"fraud\"}"), "{query}");
        assert!(query.contains("kserve_vllm:gpu_cache_usage_perc"), "{query}");
    }

    #[test]
    fn an_expression_survives_being_parsed_and_printed() {
        for (pack, name, query) in all()
            .iter()
            .flat_map(|p| p.queries(60.0, &BTreeMap::new()).into_iter().map(|(name, query)| (&p.name, name, query)))
        {
            let printed = parser::parse(&query).unwrap().to_string(); // matchers come out sorted, hence not the tree
            let again = parser::parse(&printed).unwrap_or_else(|e| panic!("{pack} {name}: {printed}: {e}"));
            assert_eq!(again.to_string(), printed, "{pack} {name}");
        }
    }

    #[test]
    fn a_wrong_pack_says_where_and_what() {
        let pack = |into: &str, query: &str| {
            format!("name='x'\ndetect=['y']\n[service]\nname=['{{a}}']\n[concepts.c]\nquery='{query}'\ninto='{into}'")
        };
        assert!(read("x.toml", &pack("service.waiting", "sum(y)")).is_ok());
        let error = read("x.toml", &pack("service.wating", "sum(y)")).unwrap_err();
        assert!(error.contains("x.toml") && error.contains("service.waiting"), "{error}");
        assert!(read("x.toml", &pack("service.waiting", "sum(y")).unwrap_err().contains("does not parse"));
        assert!(read("x.toml", &pack("queue.waiting", "sum(y)")).unwrap_err().contains("[queue]"));
    }

    #[test]
    fn a_users_pack_replaces_the_built_in_one() {
        let folder = tempfile::tempdir().unwrap();
        let text = "name='redis'\ndetect=['my_len']\n[queue]\nname=['{q}']\n[concepts.w]\nquery='my_len'\ninto='queue.waiting'";
        std::fs::write(folder.path().join("mine.toml"), text).unwrap();
        let packs = load(Some(folder.path())).unwrap();
        assert_eq!(packs.len(), all().len());
        assert_eq!(packs.iter().find(|p| p.name == "redis").unwrap().detect, ["my_len"]);
        assert!(load(Some(Path::new("/no/such/folder"))).unwrap_err().contains("/no/such/folder"));
    }
}
