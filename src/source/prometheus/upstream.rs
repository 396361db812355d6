//! What answers queries: a Prometheus, or the exporters themselves.

use super::{client::Client, decode::Answer, failure::Failure, packs::Pack, scrape::Exporters};
use crate::{
    model::{Label, PrometheusSettings, SourceKind, Time},
    process::Clock,
};
use std::sync::Arc;

/// One of the ways to a source's series.
pub(super) enum Upstream {
    /// An HTTP API of Prometheus: it has the history too.
    Server(Box<Client>),
    /// The exporters, read directly.
    Exporters(Exporters),
}

impl Upstream {
    /// Every way that is configured, the preferred one first; nothing is sent yet.
    pub(super) async fn all(
        settings: &PrometheusSettings,
        packs: &[Arc<Pack>],
        clock: Clock,
    ) -> Result<Vec<Arc<Self>>, Failure> {
        let mut all = Vec::new();
        for url in [&settings.url].into_iter().chain(&settings.others).filter(|url| !url.is_empty()) {
            let settings = PrometheusSettings { url: url.clone(), ..settings.clone() };
            all.push(Arc::new(Self::Server(Box::new(Client::new(&settings).await?))));
        }
        if !settings.scrape.is_empty() {
            all.push(Arc::new(Self::Exporters(Exporters::new(settings, packs, clock).await?)));
        }
        if all.is_empty() {
            return Err(Failure::settings("neither `url` nor `scrape` is set"));
        }
        Ok(all)
    }

    /// Begins a refresh: exporters are scraped here.
    pub(super) async fn begin(&self) -> Result<(), Failure> {
        match self {
            Self::Server(_) => Ok(()),
            Self::Exporters(exporters) => exporters.scrape().await.map(|_| ()),
        }
    }

    /// Evaluates `query` at its own present.
    pub(super) async fn instant(&self, query: &str) -> Result<Answer, Failure> {
        match self {
            Self::Server(client) => client.instant(query).await,
            Self::Exporters(exporters) => exporters.instant(query).await,
        }
    }

    /// The same, handing back what the answer is for.
    pub(super) async fn instant_for<'a, T>(&'a self, what: &'a T, query: &'a str) -> (&'a T, Result<Answer, Failure>) {
        (what, self.instant(query).await)
    }

    /// The metric names among `wanted` that had samples between `from` and `to`; of exporters, those that have one now.
    pub(super) async fn names(&self, wanted: &[&str], from: Time, to: Time) -> Result<Vec<String>, Failure> {
        match self {
            Self::Server(client) => client.names(wanted, from, to).await,
            Self::Exporters(exporters) => Ok(exporters.names(wanted)),
        }
    }

    /// Requests sent so far.
    pub(super) fn requests(&self) -> u32 {
        match self {
            Self::Server(client) => client.requests(),
            Self::Exporters(exporters) => exporters.requests(),
        }
    }

    /// What a reading's origin begins with.
    pub(super) fn origin(&self, source: &Label) -> String {
        match self {
            Self::Server(_) => SourceKind::Prometheus.named(source.as_str()),
            Self::Exporters(_) => format!("exporters of {source}"),
        }
    }
}
