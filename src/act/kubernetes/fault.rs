//! Which failures mean "certainly not done", which mean "nobody knows", and how a person is told.

use crate::{act::Outcome, model::Label};
use kube::core::Status;
use std::{io, time::Duration};

/// Why a request has no good answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server answered with an error.
    Status(Box<Status>),
    /// Nothing answered in time.
    Deadline(Duration),
    /// The request was certainly never sent; the sentence holds no secret.
    NotSent(String),
    /// It was sent, or may have been, and no whole answer came.
    Broken(String),
}

impl From<kube::Error> for Fault {
    /// `kube::Error` is never shown as it is: an authentication plug-in's error contains its environment and output,
    /// which is where tokens are.
    fn from(error: kube::Error) -> Self {
        use kube::Error as E;
        match error {
            E::Api(status) => Self::Status(status),
            E::Auth(_) => {
                Self::NotSent("cannot sign in: the credentials of the context cannot be had (log in again)".to_owned())
            }
            E::BuildRequest(error) => Self::NotSent(format!("the request cannot be made: {error}")),
            E::HttpError(_) | E::InferConfig(_) | E::InferKubeconfig(_) | E::RustlsTls(_) | E::TlsRequired => {
                Self::NotSent("the connection cannot be set up: see `highwater check`".to_owned())
            }
            E::SerdeError(error) => Self::Broken(format!("the answer is not what this request gets: {error}")),
            E::HyperError(error) => Self::broken(&error),
            E::Service(error) => Self::broken(&*error),
            _ => Self::Broken("the answer could not be read".to_owned()),
        }
    }
}

impl Fault {
    /// A transport error: only a refused connection proves that nothing was sent.
    fn broken(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut deepest = error;
        let mut refused = is_refused(error);
        while let Some(source) = deepest.source() {
            refused |= is_refused(source);
            deepest = source;
        }
        if refused {
            Self::NotSent("the server does not accept connections".to_owned())
        } else {
            Self::Broken(format!("the connection broke: {deepest}"))
        }
    }

    /// The HTTP status, when the server answered.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.code),
            _ => None,
        }
    }

    /// What a write that ended like this has done.
    ///
    /// 4xx: the API server decides these before it stores anything (408 is a time-out by another name). 5xx: the
    /// answer may come from a proxy, or from etcd not saying whether it stored.
    pub(super) fn outcome(&self) -> Outcome {
        let words = Label::new(&self.words());
        match self {
            Self::NotSent(_) => Outcome::Refused(words),
            Self::Status(status) if (400..500).contains(&status.code) && status.code != 408 => Outcome::Refused(words),
            Self::Status(_) | Self::Deadline(_) | Self::Broken(_) => Outcome::Unknown(words),
        }
    }

    /// The sentence for a person.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Deadline(after) => format!("no answer within {} s", after.as_secs_f64()),
            Self::NotSent(why) | Self::Broken(why) => why.clone(),
            Self::Status(status) => status_words(status),
        }
    }
}

fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

fn status_words(status: &Status) -> String {
    let said = &status.message;
    match status.code {
        401 => "the server does not know who we are (401): log in again".to_owned(),
        403 => format!("not allowed (403): {said}"),
        404 => format!("not there (404): {said}"),
        409 => format!("somebody else changed it at the same time (409): {said}"),
        // A failed `test` has no causes, a value that breaks a rule names them (measured on v1.36.4).
        422 if causes(status).is_empty() => {
            "the count or the object is no longer the one on screen (422): look again".to_owned()
        }
        422 => format!("the server refuses the value (422): {}", causes(status).join("; ")),
        429 => {
            let wait = status.details.as_ref().map_or(0, |d| d.retry_after_seconds);
            format!("the server is too busy (429) and did nothing: ask again in {} s", wait.max(1))
        }
        code => format!("the server answered {code}: {said}"),
    }
}

fn causes(status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|d| &d.causes);
    causes.map(|c| format!("{} {}", c.field, c.message).trim().to_owned()).collect()
}
