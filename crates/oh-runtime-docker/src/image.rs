//! Getting an image, and why not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as EngineError;
use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::TryStreamExt;
use oci_spec::distribution::Reference;
use oh_runtime_api::{Error, ErrorKind, Result};

use crate::client::Client;
use crate::config::{DockerConfig, PullPolicy, RegistryLogin};
use crate::error::{refusal, status, words};

/// Gets images; one pull of an image at a time, however many sandboxes wait for it.
#[derive(Debug)]
pub(crate) struct Images {
    policy: PullPolicy,
    pull_timeout: Duration,
    login: Option<RegistryLogin>,
    pulls: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Images {
    pub(crate) fn new(config: &DockerConfig) -> Self {
        Self {
            policy: config.pull,
            pull_timeout: config.pull_timeout,
            login: config.registry.clone(),
            pulls: Mutex::default(),
        }
    }

    /// Makes sure that the engine has `image` and that programs of `arch` run in it. Returns what it is.
    pub(crate) async fn ensure(&self, client: &Client, image: &str, arch: &str) -> Result<ImageInspect> {
        // Also keeps what is no name out of the request's address.
        let reference: Reference = image.parse().map_err(|error| {
            failure(ErrorKind::ImageInvalid, format!("{image:?} is no image name: {error}"))
        })?;
        let found = match self.policy {
            PullPolicy::Always => None,
            PullPolicy::Missing | PullPolicy::Never => inspect(client, image).await?,
        };
        let found = match found {
            Some(found) => found,
            None => self.pulled(client, image, &reference).await?,
        };
        check_platform(image, &found, arch)?;
        Ok(found)
    }

    async fn pulled(&self, client: &Client, image: &str, reference: &Reference) -> Result<ImageInspect> {
        if self.policy == PullPolicy::Never {
            let message = format!("the engine does not have image {image}, and the pull policy is never");
            return Err(failure(ErrorKind::ImageNotFound, message).hint(MISSING_HINT));
        }
        let turn = {
            let mut pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(pulls.entry(image.to_owned()).or_default())
        };
        let _turn = turn.lock().await;
        if self.policy == PullPolicy::Missing
            && let Some(found) = inspect(client, image).await?
        {
            return Ok(found);
        }
        tracing::debug!(image, "pulling");
        let login = self.login.as_ref().and_then(|login| credentials(login, reference));
        let pulling = pull(client, image, reference, login);
        tokio::time::timeout(self.pull_timeout, pulling).await.map_err(|_| {
            let message = format!("image {image} was not pulled within {} s", self.pull_timeout.as_secs());
            failure(ErrorKind::Deadline, message).hint("pull it before, or allow more time")
        })??;
        inspect(client, image).await?.ok_or_else(|| {
            failure(ErrorKind::Internal, format!("the engine does not have image {image} after pulling it"))
        })
    }
}

const MISSING_HINT: &str = "check the name, or build or load the image";

fn failure(kind: ErrorKind, message: String) -> Error {
    Error::new(kind, "get the image", message)
}

async fn inspect(client: &Client, image: &str) -> Result<Option<ImageInspect>> {
    match client.calls.inspect_image(image).await {
        Ok(found) => Ok(Some(found)),
        Err(error) => match status(&error) {
            Some(404) => Ok(None),
            Some(400) => {
                let message = format!("{image:?} is no image name: {}", words(&error));
                Err(failure(ErrorKind::ImageInvalid, message).caused_by(error))
            }
            _ => Err(client.error("get the image", error)),
        },
    }
}

/// What the registry of `reference` is shown: nothing, unless the login is for it.
fn credentials(login: &RegistryLogin, reference: &Reference) -> Option<DockerCredentials> {
    let server = match reference.registry() {
        host if host != login.host => return None,
        // The name Docker Hub has always had for this.
        "docker.io" => "https://index.docker.io/v1/",
        host => host,
    };
    Some(DockerCredentials {
        username: Some(login.user.clone()),
        password: Some(login.password.clone()),
        serveraddress: Some(server.to_owned()),
        ..DockerCredentials::default()
    })
}

async fn pull(
    client: &Client,
    image: &str,
    reference: &Reference,
    login: Option<DockerCredentials>,
) -> Result<()> {
    // A name without tag or digest would pull every tag; the reference has one.
    let options = CreateImageOptionsBuilder::default().from_image(&reference.whole()).build();
    let mut progress = client.patient.create_image(Some(options), None, login);
    // The answer is 200 before anything was pulled: failures come later, as an item.
    loop {
        match progress.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(error) => return Err(pull_error(client, image, error)),
        }
    }
}

fn pull_error(client: &Client, image: &str, error: EngineError) -> Error {
    let said = words(&error);
    let kind = match &error {
        EngineError::DockerStreamError { .. } => why_not_pulled(500, &said),
        EngineError::DockerResponseServerError { status_code, .. } => why_not_pulled(*status_code, &said),
        _ => return client.error("get the image", error),
    };
    let failed = failure(kind, format!("image {image} cannot be pulled: {said}")).caused_by(error);
    match kind {
        ErrorKind::ImageNotFound => failed.hint(MISSING_HINT),
        ErrorKind::ImageDenied => failed.hint(
            "set docker.registry, registry_user and registry_password, or pull it with `docker pull` before",
        ),
        ErrorKind::ImageRateLimited => failed.hint("wait, log in to the registry, or use a mirror of it"),
        ErrorKind::RegistryUnavailable => {
            failed.hint("check the network, or load the image without a registry")
        }
        ErrorKind::NoSpace => failed.hint("make room where the engine stores images: `docker system df`"),
        _ => failed,
    }
}

/// What the words of registries and of the engine mean; the first match counts. They are all there is: the engine
/// answers 500, or 200 and then an error, for most of them.
const WORDS: &[(ErrorKind, &[&str])] = &[
    (ErrorKind::NoSpace, &["no space left on device", "disk quota exceeded"]),
    (ErrorKind::ImageRateLimited, &["toomanyrequests", "429 Too Many Requests", "pull rate limit"]),
    (
        ErrorKind::WrongPlatform,
        &[
            "no matching manifest for",
            "cannot be used on this platform",
            "does not match the specified platform",
        ],
    ),
    (ErrorKind::ImageInvalid, &["invalid reference format", "repository name must be"]),
    // Registries say the same of what is private and of what is not there; the latter is more common.
    (
        ErrorKind::ImageNotFound,
        &["repository does not exist", "manifest unknown", "name unknown", "not found: manifest"],
    ),
    (
        ErrorKind::ImageDenied,
        &[
            "unauthorized",
            "no basic auth credentials",
            "denied",
            "authentication required",
            "authorization failed",
            "403 Forbidden",
            "401 Unauthorized",
        ],
    ),
    (
        ErrorKind::RegistryUnavailable,
        &[
            "dial tcp",
            "lookup ",
            "no such host",
            "connection refused",
            "connection reset",
            "network is unreachable",
            "i/o timeout",
            "handshake timeout",
            "deadline exceeded",
            "Client.Timeout",
            "request canceled",
            "proxyconnect",
            "EOF",
            "x509:",
            "tls:",
            "HTTP response to HTTPS client",
            "received unexpected HTTP status",
            "error parsing HTTP",
            "500 Internal Server Error",
            "502 Bad Gateway",
            "503 Service Unavailable",
            "504 Gateway Time",
            "filesystem layer verification failed",
        ],
    ),
];

fn why_not_pulled(status: u16, words: &str) -> ErrorKind {
    let known = WORDS.iter().find(|(_, signs)| signs.iter().any(|sign| words.contains(sign)));
    match (known, status) {
        (Some((kind, _)), _) => *kind,
        (None, 404) => ErrorKind::ImageNotFound,
        (None, 400) => ErrorKind::ImageInvalid,
        (None, _) => refusal(status, words),
    }
}

/// What Docker calls an architecture.
fn docker_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn check_platform(image: &str, found: &ImageInspect, arch: &str) -> Result<()> {
    let os = found.os.as_deref().filter(|os| !os.is_empty()).unwrap_or("linux");
    let wanted = docker_arch(arch);
    let has = found.architecture.as_deref().filter(|arch| !arch.is_empty()).unwrap_or(wanted);
    if (os, has) == ("linux", wanted) {
        return Ok(());
    }
    let message = format!("image {image} is for {os}/{has}, the agent for linux/{wanted}");
    Err(failure(ErrorKind::WrongPlatform, message)
        .hint("use an image, or an engine and an agent, that fit together"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_failed_pull_are_kinds() {
        use ErrorKind::{
            ImageDenied, ImageInvalid, ImageNotFound, ImageRateLimited, Internal, NoSpace,
            RegistryUnavailable, WrongPlatform,
        };
        let cases = [
            (404, ImageNotFound, "manifest for a:b not found: manifest unknown: manifest unknown"),
            (
                404,
                ImageNotFound,
                "pull access denied for a/b, repository does not exist or may require 'docker login': denied: \
                 requested access to the resource is denied",
            ),
            (
                500,
                ImageDenied,
                "Head \"https://r.example/v2/a/manifests/1\": unauthorized: authentication required",
            ),
            (500, ImageDenied, "Get \"https://r.example/v2/a/manifests/1\": no basic auth credentials"),
            (
                500,
                ImageRateLimited,
                "toomanyrequests: You have reached your pull rate limit. You may increase the limit by \
                 authenticating and upgrading",
            ),
            (
                500,
                RegistryUnavailable,
                "Get \"https://r.example/v2/\": dial tcp: lookup r.example: no such host",
            ),
            (500, RegistryUnavailable, "Get \"https://r.example/v2/a/manifests/1\": EOF"),
            (
                500,
                RegistryUnavailable,
                "Get \"https://r.example/v2/\": net/http: request canceled while waiting for connection \
                 (Client.Timeout exceeded while awaiting headers)",
            ),
            (
                500,
                RegistryUnavailable,
                "Get \"https://r.example/v2/\": x509: certificate signed by unknown authority",
            ),
            (
                500,
                NoSpace,
                "failed to register layer: Error processing tar file(exit status 1): write /usr/lib/x: no space \
                 left on device",
            ),
            (404, WrongPlatform, "no matching manifest for linux/arm64/v8 in the manifest list entries"),
            (400, ImageInvalid, "invalid reference format: repository name must be lowercase"),
            (404, ImageNotFound, "what nobody has seen"),
            (500, Internal, "what nobody has seen"),
        ];
        for (status, kind, said) in cases {
            assert_eq!(why_not_pulled(status, said), kind, "{said}");
        }
    }

    #[test]
    fn a_password_is_shown_to_its_registry_alone() {
        let login =
            |host: &str| RegistryLogin { host: host.into(), user: "robot".into(), password: "s3cret".into() };
        let shown =
            |host: &str, image: &str| credentials(&login(host), &image.parse().unwrap())?.serveraddress;
        assert_eq!(
            shown("r.example.com:5000", "r.example.com:5000/a/b:1").as_deref(),
            Some("r.example.com:5000")
        );
        assert_eq!(shown("docker.io", "team/private:1").as_deref(), Some("https://index.docker.io/v1/"));
        for image in ["debian:12", "r.example.com/a:1", "evil.example/r.example.com/a:1"] {
            assert_eq!(shown("r.example.com:5000", image), None, "{image}");
        }
        assert!(!format!("{:?}", login("r.example.com")).contains("s3cret"));
    }

    #[test]
    fn an_image_has_to_fit_the_agent() {
        let check = |os: &str, architecture: &str, arch| {
            let found = ImageInspect {
                os: Some(os.to_owned()),
                architecture: Some(architecture.to_owned()),
                ..ImageInspect::default()
            };
            check_platform("a:1", &found, arch)
        };
        check("linux", "amd64", "x86_64").unwrap();
        check("linux", "arm64", "aarch64").unwrap();
        check("", "", "x86_64").unwrap();
        for (os, architecture) in [("linux", "arm64"), ("windows", "amd64")] {
            let error = check(os, architecture, "x86_64").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WrongPlatform);
            assert!(error.to_string().contains(&format!("{os}/{architecture}")), "{error}");
        }
    }
}
