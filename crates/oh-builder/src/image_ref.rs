//! References to images.

use std::fmt;
use std::str::FromStr;

use oci_spec::distribution::{ParseError, Reference};

use crate::error::{ImageError, Result};

/// What a name without a registry means.
const DOCKER_HUB: &str = "docker.io";
/// Where Docker Hub keeps names without a slash.
const LIBRARY: &str = "library/";
/// Longer than host, repository, tag and digest can be together.
const MAX_LENGTH: usize = 1024;
const CAPITALS: &str = "its repository has to be in lower case";

/// A valid reference to an image, in full: `debian` is `docker.io/library/debian:latest`.
///
/// Two are equal when they name the same thing. [`Display`](fmt::Display) gives the full form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageRef(Reference);

impl ImageRef {
    /// Reads a reference: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`, with Docker's rules for what is left out.
    ///
    /// # Errors
    /// [`ImageError::Reference`], which says what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text).map_err(|why| ImageError::Reference { text: text.to_owned(), why })
    }

    /// As [`ImageRef::parse`], with nothing but what is wrong.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        read(text).map(Self)
    }

    /// Host of the registry, with its port: `docker.io`, `localhost:5000`.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// Path in the registry: `library/debian`.
    #[must_use]
    pub fn repository(&self) -> &str {
        self.0.repository()
    }

    /// The tag; `None` only when there is a digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.0.tag()
    }

    /// The digest: `sha256:…`. Where there is one, it decides and not the tag.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.0.digest()
    }

    /// The short form, as Docker shows it: without what Docker would fill in, but with the tag.
    #[must_use]
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let Some(name) = full.strip_prefix(DOCKER_HUB).and_then(|rest| rest.strip_prefix('/')) else {
            return full;
        };
        // What is below `library/` is left out only where it has no slash of its own.
        name.strip_prefix(LIBRARY).filter(|name| !name.contains('/')).unwrap_or(name).to_owned()
    }

    /// The same repository below `mirror`, when it is one of Docker Hub's.
    pub(crate) fn mirrored(self, mirror: &str) -> Result<Self> {
        let full = self.to_string();
        match full.strip_prefix(DOCKER_HUB) {
            Some(rest) if self.registry() == DOCKER_HUB => Self::parse(&format!("{mirror}{rest}")),
            _ => Ok(self),
        }
    }

    /// The same name, tag and digest in `repo`.
    pub(crate) fn moved(&self, repo: &str) -> Result<Self> {
        let full = self.to_string();
        let name = full.rsplit_once('/').map_or(&*full, |(_, name)| name);
        Self::parse(&format!("{repo}/{name}"))
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ImageRef {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// Reads a reference, or says what is wrong. oci-spec takes letters of any script in a tag and capitals in a first part
/// that is no host, and answers most mistakes with "invalid format".
fn read(text: &str) -> Result<Reference, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.len() > MAX_LENGTH {
        return Err(format!("it is longer than {MAX_LENGTH} characters"));
    }
    if text.contains("://") {
        return Err("an image has no scheme, leave out what stands before its host".to_owned());
    }
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(format!("{odd:?} cannot stand in it"));
    }
    let reference = Reference::from_str(text).map_err(|error| match error {
        ParseError::ReferenceInvalidFormat if has_capitals(repository(text)) => CAPITALS.to_owned(),
        ParseError::ReferenceInvalidFormat => {
            "it is not of the form [REGISTRY/]REPOSITORY[:TAG][@DIGEST]".to_owned()
        }
        ParseError::NameTooLong => "its repository is longer than 255 characters".to_owned(),
        ParseError::DigestInvalidLength => "its digest has not the length of its kind".to_owned(),
        ParseError::DigestUnsupported => "its digest is none of sha256, sha384, sha512".to_owned(),
        other => other.to_string(),
    })?;
    if has_capitals(reference.repository()) { Err(CAPITALS.to_owned()) } else { Ok(reference) }
}

/// What seems to be the repository in text that is no reference: without host, tag and digest, which may have capitals.
fn repository(text: &str) -> &str {
    let name = text.split('@').next().unwrap_or_default();
    let path = name.split_once('/').map_or(name, |(_, path)| path);
    path.split(':').next().unwrap_or_default()
}

fn has_capitals(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1";

    #[test]
    fn references_are_completed() {
        let pinned = format!("debian@{DIGEST}");
        let both = format!("registry.example.com/app:1@{DIGEST}");
        for (text, registry, repository, tag, digest) in [
            ("debian", "docker.io", "library/debian", Some("latest"), None),
            ("debian:12", "docker.io", "library/debian", Some("12"), None),
            ("index.docker.io/debian", "docker.io", "library/debian", Some("latest"), None),
            ("team/app:V1.0", "docker.io", "team/app", Some("V1.0"), None),
            ("localhost/app", "localhost", "app", Some("latest"), None),
            ("localhost:5000/app", "localhost:5000", "app", Some("latest"), None),
            ("Registry.example.com/a/b/c:1", "Registry.example.com", "a/b/c", Some("1"), None),
            (&pinned, "docker.io", "library/debian", None, Some(DIGEST)),
            (&both, "registry.example.com", "app", Some("1"), Some(DIGEST)),
        ] {
            let image = ImageRef::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(image.registry(), registry, "{text}");
            assert_eq!(image.repository(), repository, "{text}");
            assert_eq!((image.tag(), image.digest()), (tag, digest), "{text}");
            assert_eq!(ImageRef::parse(&image.to_string()), Ok(image.clone()), "{text}");
            assert_eq!(ImageRef::parse(&image.familiar()), Ok(image), "{text}");
        }
    }

    #[test]
    fn the_familiar_form_leaves_out_what_docker_fills_in() {
        let pinned = format!("debian@{DIGEST}");
        for (text, full, familiar) in [
            ("debian", "docker.io/library/debian:latest", "debian:latest"),
            ("docker.io/team/app:1", "docker.io/team/app:1", "team/app:1"),
            ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("ghcr.io/library/debian:12", "ghcr.io/library/debian:12", "ghcr.io/library/debian:12"),
            ("docker.io.example/app:1", "docker.io.example/app:1", "docker.io.example/app:1"),
            (&pinned, &format!("docker.io/library/debian@{DIGEST}"), &pinned),
        ] {
            let image = ImageRef::parse(text).unwrap();
            assert_eq!((&*image.to_string(), &*image.familiar()), (full, familiar));
        }
    }

    #[test]
    fn what_is_no_reference_says_why() {
        let long = "a".repeat(256);
        let form = "it is not of the form [REGISTRY/]REPOSITORY[:TAG][@DIGEST]";
        for (text, why) in [
            ("", "it is empty"),
            ("Debian", CAPITALS),
            ("team/App:1", CAPITALS),
            ("Team/app", CAPITALS),
            ("HOST/app", CAPITALS),
            (
                "https://registry.example.com/app",
                "an image has no scheme, leave out what stands before its host",
            ),
            ("debian 12", "' ' cannot stand in it"),
            ("debian:12\n", "'\\n' cannot stand in it"),
            ("debian:ä", "'ä' cannot stand in it"),
            (":12", form),
            ("debian:", form),
            ("debian:12:13", form),
            ("debian@", form),
            ("debian@sha256:xyz", form),
            ("../etc/passwd", form),
            ("/debian", form),
            ("a//b", form),
            ("-v", form),
            ("debian@sha256:4bcff63911fcb4448bd4fdacec207030", "its digest has not the length of its kind"),
            ("debian@md5:4bcff63911fcb4448bd4fdacec207030", "its digest is none of sha256, sha384, sha512"),
            (&long, "its repository is longer than 255 characters"),
            (&long.repeat(5), "it is longer than 1024 characters"),
        ] {
            match ImageRef::parse(text) {
                Err(ImageError::Reference { text: given, why: found }) => {
                    assert_eq!((&*given, &*found), (text, why))
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn errors_are_of_bounded_length_and_without_control_characters() {
        let error = ImageRef::parse(&"\u{1b}[31m".repeat(100_000)).unwrap_err().to_string();
        assert!(error.len() < 1000 && !error.contains('\u{1b}') && error.contains("500000 bytes"), "{error}");
        assert_eq!(
            ImageRef::parse("Debian").unwrap_err().to_string(),
            "invalid image \"Debian\": its repository has to be in lower case, write one like debian:12 or \
             registry.example.com/team/app:1.0"
        );
    }
}
