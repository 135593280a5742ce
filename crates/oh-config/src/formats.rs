//! What text has to look like: each function says what is wrong with it, and what would be right.

use oh_builder::{ImageRef, Template};

type Checked = Result<(), String>;

pub(crate) fn any(_: &str) -> Checked {
    Ok(())
}

pub(crate) fn not_empty(text: &str) -> Checked {
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(()) }
}

pub(crate) fn owner(text: &str) -> Checked {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("has to be text without control characters, and not empty".to_owned());
    }
    Ok(())
}

/// A path in the sandbox.
pub(crate) fn absolute(text: &str) -> Checked {
    if text.starts_with('/') && !text.contains('\0') {
        return Ok(());
    }
    Err("is a path in the sandbox, so it has to start with '/'".to_owned())
}

/// A user as `docker run --user` takes it: name or number, with a group or without.
pub(crate) fn user(text: &str) -> Checked {
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if text.split_once(':').map_or_else(|| part(text), |(user, group)| part(user) && part(group)) {
        return Ok(());
    }
    Err("is no user, write one like \"1000\", \"1000:1000\" or \"nobody\"".to_owned())
}

pub(crate) fn variable_name(text: &str) -> Checked {
    if text.is_empty() || text.contains(['=', '\0']) {
        return Err("cannot be the name of an environment variable".to_owned());
    }
    Ok(())
}

/// Where a Docker engine listens.
pub(crate) fn engine(text: &str) -> Checked {
    let schemes = ["unix", "tcp", "http", "https"];
    match text.split_once("://") {
        Some((scheme, rest)) if schemes.contains(&scheme) && !rest.is_empty() => Ok(()),
        _ => {
            Err("is no address, write one like \"unix:///var/run/docker.sock\" or \"tcp://host:2375\""
                .to_owned())
        }
    }
}

/// A network in which sandboxes are apart: the agent trusts whoever shares its network from outside.
pub(crate) fn network(text: &str) -> Checked {
    if text == "host" || text.starts_with("container:") {
        let why = "is shared with processes outside of the sandbox, use a network of the engine's own, such as \"bridge\"";
        return Err(why.to_owned());
    }
    not_empty(text)
}

pub(crate) fn image(text: &str) -> Checked {
    ImageRef::parse(text).map(|_| ()).map_err(|error| match error {
        oh_builder::ImageError::Reference { why, .. } => {
            format!(
                "is no image: {why}, write one like \"debian:12\" or \"registry.example.com/team/app:1.0\""
            )
        }
        other => other.to_string(),
    })
}

pub(crate) fn template(text: &str) -> Checked {
    Template::new(text).map(|_| ()).map_err(|error| match error {
        oh_builder::ImageError::Template { why, .. } => format!("is no image with placeholders: {why}"),
        other => other.to_string(),
    })
}

pub(crate) fn mirror(text: &str) -> Checked {
    Template::default().with_mirror(text).map(|_| ()).map_err(|error| match error {
        oh_builder::ImageError::Mirror { why, .. } => {
            format!(
                "is no registry: {why}, write one like \"registry.example.com\" or \"localhost:5000/proxy\""
            )
        }
        other => other.to_string(),
    })
}

pub(crate) fn repo(text: &str) -> Checked {
    Template::default().with_repo(text).map(|_| ()).map_err(|error| match error {
        oh_builder::ImageError::Repo { why, .. } => {
            format!("is no repository: {why}, write one like \"registry.example.com/team\"")
        }
        other => other.to_string(),
    })
}

/// A registry's host, as it stands in images.
pub(crate) fn registry_host(text: &str) -> Checked {
    match ImageRef::parse(&format!("{text}/name")) {
        Ok(image) if image.registry() == text => Ok(()),
        _ => {
            Err("is no registry, write its host like \"registry.example.com\" or \"localhost:5000\""
                .to_owned())
        }
    }
}

/// RFC 1123 label, as Kubernetes wants for namespaces.
pub(crate) fn dns_label(text: &str) -> Checked {
    if is_dns(text, 63, false) {
        return Ok(());
    }
    Err("is no DNS label: at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends".to_owned())
}

/// RFC 1123 subdomain, as Kubernetes wants for the names of most objects.
pub(crate) fn dns_subdomain(text: &str) -> Checked {
    if is_dns(text, 253, true) {
        return Ok(());
    }
    Err("is no DNS name: at most 253 of a-z, 0-9, '-' and '.', with a letter or digit at both ends"
        .to_owned())
}

fn is_dns(text: &str, most: usize, dots: bool) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        ends.iter().all(|end| end.is_some_and(|byte| inner(*byte)))
            && bytes.iter().all(|b| inner(*b) || *b == b'-')
    };
    text.len() <= most && if dots { text.split('.').all(part) } else { part(text) }
}

/// The key of a label, an annotation or a taint: `name`, or `example.com/name`.
pub(crate) fn label_key(text: &str) -> Checked {
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    if is_label(name) && !name.is_empty() && prefix.is_none_or(|prefix| is_dns(prefix, 253, true)) {
        return Ok(());
    }
    let why = "is no name of a label: write \"name\" or \"example.com/name\", the name with at most 63 of A-Z, a-z, \
               0-9, '-', '_' and '.', and a letter or digit at both ends";
    Err(why.to_owned())
}

pub(crate) fn label_value(text: &str) -> Checked {
    if is_label(text) {
        return Ok(());
    }
    let why = "is no value of a label: at most 63 of A-Z, a-z, 0-9, '-', '_' and '.', with a letter or digit at both \
               ends";
    Err(why.to_owned())
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= 63
        && ends.iter().flatten().all(|byte| byte.is_ascii_alphanumeric())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: fn(&str) -> Checked, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(format(text), Ok(()), "{text:?}");
        }
        for text in bad {
            assert!(format(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_are_as_kubernetes_wants_them() {
        let long = "a".repeat(64);
        check(dns_label, &["a", "default", "a-1"], &["", "a.b", "A", "-a", "a-", "a_b", &long]);
        check(dns_subdomain, &["a", "a.b-c.d", &long], &["", "a..b", ".a", "A.b", "a_b", &"a".repeat(254)]);
        check(
            label_key,
            &["pool", "Pool_1", "kubernetes.io/arch"],
            &["", "/a", "a/", "a/b/c", "A.b/c_", "a b", &long],
        );
        check(label_value, &["", "a", "V1.0_x"], &["-a", "a b", "a/b", &long]);
    }

    #[test]
    fn addresses_networks_and_users() {
        check(engine, &["unix:///s", "tcp://h:1", "https://h"], &["", "/s", "ssh://h", "tcp://"]);
        check(network, &["none", "bridge", "mine"], &["", "host", "container:a"]);
        check(user, &["1000", "0:0", "nobody", "a:b"], &["", ":1", "1:", "a b", "1:2:3"]);
        check(
            registry_host,
            &["docker.io", "r.example.com:5000", "localhost"],
            &["", "a", "r.example.com/x", "https://r"],
        );
    }
}
