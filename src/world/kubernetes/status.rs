//! The API's errors, as the real server words them.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// A failure with everything that a client may look at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Status {
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Value,
}

impl Status {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>, details: Value) -> Self {
        Self { code, reason, message: message.into(), details }
    }

    /// No such path or kind.
    pub(super) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message, json!({}))
    }

    /// No object of this name.
    pub(super) fn no_such_object(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{plural}.{group} {name:?} not found");
        Self::new(StatusCode::NOT_FOUND, "NotFound", message, json!({"name": name, "group": group, "kind": plural}))
    }

    /// The patch cannot be read.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message, json!({}))
    }

    /// A `test` did not hold (or an operation does not fit): no cause is named.
    pub(super) fn patch_does_not_fit() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message, json!({}))
    }

    /// A value breaks a rule: the cause names the field.
    pub(super) fn invalid(name: &str, field: &str, why: &str) -> Self {
        let message = format!("Scale.autoscaling {name:?} is invalid: {field}: Invalid value: {why}");
        let cause = json!({"reason": "FieldValueInvalid", "message": format!("Invalid value: {why}"), "field": field});
        let details = json!({"name": name, "group": "autoscaling", "kind": "Scale", "causes": [cause]});
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message, details)
    }

    /// The object is not the one that the patch was made for.
    pub(super) fn conflict(plural: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {plural}.apps {name:?}: {why}");
        let details = json!({"name": name, "group": "apps", "kind": plural});
        Self::new(StatusCode::CONFLICT, "Conflict", message, details)
    }

    /// A patch type that this face does not speak.
    pub(super) fn unsupported_media() -> Self {
        let message = "the body of the request was in an unknown format - accepted media types include: \
                       application/json-patch+json, application/merge-patch+json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message, json!({}))
    }
}

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": self.details, "code": self.code.as_u16(),
        });
        (self.code, Json(body)).into_response()
    }
}
