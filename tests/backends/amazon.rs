//! Checks a signature as the service does: from the request as it came, whatever the client meant to send.

use super::fake::Asked;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// What a `credential_process` prints for a session.
pub(super) fn keys(token: &str) -> String {
    format!(r#"{{"Version":1,"AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":"{SECRET}","SessionToken":"{token}"}}"#)
}

/// The session's token, when the request is signed with our keys for this service.
pub(super) fn signed_by(asked: &Asked) -> Result<&str, String> {
    let date = asked.header("x-amz-date");
    let scope = format!("{}/eu-west-1/aps/aws4_request", date.get(..8).unwrap_or_default());
    let start = format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders=");
    let rest = asked.header("authorization").strip_prefix(&start).ok_or("Missing Authentication Token")?;
    let (names, signature) = rest.split_once(", Signature=").ok_or("Incomplete Signature")?;
    for needed in ["host", "x-amz-date", "x-amz-security-token"] {
        if !names.split(';').any(|name| name == needed) {
            return Err(format!("{needed} must be signed"));
        }
    }
    let mut pairs: Vec<&str> = asked.query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let headers: Vec<String> = names.split(';').map(|name| format!("{name}:{}\n", asked.header(name))).collect();
    let headers = headers.concat();
    let (method, path, query) = (&asked.method, &asked.path, pairs.join("&"));
    let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{:x}", Sha256::digest(&asked.body));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{:x}", Sha256::digest(canonical));
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/').chain([text.as_str()]) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    let own: Vec<String> = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let own = own.concat();
    if own == signature {
        Ok(asked.header("x-amz-security-token"))
    } else {
        Err("The signature does not match".to_owned())
    }
}
