//! From an instance to its image.

use crate::error::{ImageError, Result};
use crate::image_ref::ImageRef;

/// Where SWE-bench publishes the images of its instances (`make_test_spec` of its harness, version 4.1).
pub const SWEBENCH_TEMPLATE: &str = "docker.io/swebench/sweb.eval.x86_64.{id}:latest";

/// What stands between owner and repository in an instance's id.
const SEPARATOR: &str = "__";
/// What SWE-bench writes instead in the names of its published images.
const PUBLISHED_SEPARATOR: &str = "_1776_";

/// How the image of an instance that names none is called, and where images come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    mirror: Option<String>,
    repo: Option<String>,
}

/// This machine's architecture as SWE-bench spells it.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

/// SWE-bench's own images, without a mirror.
impl Default for Template {
    fn default() -> Self {
        Self { text: SWEBENCH_TEMPLATE.to_owned(), mirror: None, repo: None }
    }
}

impl Template {
    /// A reference with placeholders: `{instance_id}` is the id, `{id}` the id with `_1776_` for every `__`, `{repo}`
    /// and `{name}` are what stands before and after its first `__`, `{arch}` is `x86_64` or `arm64`. What they stand
    /// for is in lower case, as repositories are.
    ///
    /// # Errors
    /// [`ImageError::Template`] when a placeholder is unknown or not closed, or the result could never be a reference.
    pub fn new(template: &str) -> Result<Self> {
        let checked = fill(template, "owner__name-1").and_then(|sample| {
            ImageRef::read(&sample).map_err(|why| format!("it gives {sample:?}, and {why}"))
        });
        match checked {
            Ok(_) => Ok(Self { text: template.to_owned(), mirror: None, repo: None }),
            Err(why) => Err(ImageError::Template { template: template.to_owned(), why }),
        }
    }

    /// Takes Docker Hub's images, and no others, from this registry: `registry.example.com/proxy` in place of
    /// `docker.io`. Images with a full name and those without a registry are alike in this.
    ///
    /// # Errors
    /// [`ImageError::Mirror`] when it is no registry.
    pub fn with_mirror(mut self, mirror: &str) -> Result<Self> {
        let mirror = mirror.trim_end_matches('/');
        let host = mirror.split('/').next().unwrap_or_default();
        let why = match ImageRef::read(&format!("{mirror}/library/debian")) {
            Ok(image) if image.registry() == host => {
                self.mirror = Some(mirror.to_owned());
                return Ok(self);
            }
            Ok(_) => format!("{host:?} is no host other than Docker Hub's, which has a dot or a port"),
            Err(why) => why,
        };
        Err(ImageError::Mirror { mirror: mirror.to_owned(), why })
    }

    /// Takes every instance's image from this repository, `registry.example.com/team`, which takes the place of all
    /// before the last slash of its name.
    ///
    /// # Errors
    /// [`ImageError::Repo`] when no image can be in it.
    pub fn with_repo(mut self, repo: &str) -> Result<Self> {
        let repo = repo.trim_end_matches('/');
        match ImageRef::read(&format!("{repo}/name")) {
            Ok(_) => {
                self.repo = Some(repo.to_owned());
                Ok(self)
            }
            Err(why) => Err(ImageError::Repo { repo: repo.to_owned(), why }),
        }
    }

    /// The template as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The template's text with every placeholder replaced. What replaces them is not looked at again.
fn fill(template: &str, instance_id: &str) -> Result<String, String> {
    let id = instance_id.to_ascii_lowercase();
    let mut filled = String::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("a '{' is not closed")?;
        filled.push_str(text);
        filled.push_str(&value(name, &id)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// What a placeholder stands for; `id` is the instance's in lower case.
fn value(placeholder: &str, id: &str) -> Result<String, String> {
    let halves = || {
        let none = || format!("its id has no {SEPARATOR:?}, which the template needs");
        id.split_once(SEPARATOR).ok_or_else(none)
    };
    match placeholder {
        "instance_id" => Ok(id.to_owned()),
        "id" => Ok(id.replace(SEPARATOR, PUBLISHED_SEPARATOR)),
        "repo" => Ok(halves()?.0.to_owned()),
        "name" => Ok(halves()?.1.to_owned()),
        "arch" => Ok(arch().to_owned()),
        other => Err(format!(
            "there is no placeholder {{{other}}}, there are {{instance_id}}, {{id}}, {{repo}}, {{name}}, {{arch}}"
        )),
    }
}

/// The image of an instance: `explicit`, which its row names, else what the template gives; from the template's mirror
/// when that is one of Docker Hub's.
///
/// # Errors
/// [`ImageError::InstanceId`] when the template cannot take the id, [`ImageError::Instance`] when what it gives, or
/// `explicit`, is no image reference.
pub fn resolve(instance_id: &str, explicit: Option<&str>, template: &Template) -> Result<ImageRef> {
    let text = match explicit {
        Some(image) => image.to_owned(),
        None => {
            // Only then it stays within the place the template gives it.
            let odd = |c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c);
            let filled = match instance_id.chars().find(|c| odd(*c)) {
                Some(odd) => Err(format!("{odd:?} in its id cannot stand in an image's name")),
                None if instance_id.is_empty() => Err("its id is empty".to_owned()),
                None => fill(&template.text, instance_id),
            };
            filled.map_err(|why| ImageError::InstanceId { instance_id: instance_id.to_owned(), why })?
        }
    };
    let image = ImageRef::parse(&text)
        .and_then(|image| match &template.repo {
            Some(repo) => image.moved(repo),
            None => Ok(image),
        })
        .and_then(|image| match &template.mirror {
            Some(mirror) => image.mirrored(mirror),
            None => Ok(image),
        });
    image.map_err(|error| ImageError::Instance {
        instance_id: instance_id.to_owned(),
        source: Box::new(error),
    })
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn check(template: &Template, id: &str, explicit: Option<&str>, expected: &str) {
        let image = resolve(id, explicit, template)
            .unwrap_or_else(|error| panic!("{id}: {error}: {:?}", error.source()));
        assert_eq!(image.to_string(), expected);
    }

    #[test]
    fn swebench_images_have_their_published_names() {
        let template = Template::default();
        assert_eq!(Template::new(SWEBENCH_TEMPLATE), Ok(template.clone()));
        for (id, name) in [
            ("astropy__astropy-12907", "astropy_1776_astropy-12907"),
            ("django__django-11099", "django_1776_django-11099"),
            ("scikit-learn__scikit-learn-10297", "scikit-learn_1776_scikit-learn-10297"),
            ("sphinx-doc__sphinx-8595", "sphinx-doc_1776_sphinx-8595"),
            ("Chart.js__Chart.js-10157", "chart.js_1776_chart.js-10157"),
            ("a__b__c-1", "a_1776_b_1776_c-1"),
        ] {
            let expected = format!("docker.io/swebench/sweb.eval.x86_64.{name}:latest");
            check(&template, id, None, &expected);
        }
    }

    #[test]
    fn a_repository_takes_the_place_of_all_before_the_last_slash() {
        let template = Template::default().with_repo("r.example.com:5000/team/").unwrap();
        let id = "astropy__astropy-12907";
        check(
            &template,
            id,
            None,
            "r.example.com:5000/team/sweb.eval.x86_64.astropy_1776_astropy-12907:latest",
        );
        check(&template, id, Some("debian:12"), "r.example.com:5000/team/debian:12");
        check(&template, id, Some("ghcr.io/a/b/c:1"), "r.example.com:5000/team/c:1");
        for bad in ["", "Team", "https://r.example.com", "a:b:c"] {
            assert!(matches!(Template::default().with_repo(bad), Err(ImageError::Repo { .. })), "{bad}");
        }
    }

    #[test]
    fn templates_of_other_publishers() {
        let id = "Astropy__astropy-12907";
        for (template, expected) in [
            (
                "docker.io/swebench/sweb.eval.x86_64.{repo}_1776_{name}:latest",
                "docker.io/swebench/sweb.eval.x86_64.astropy_1776_astropy-12907:latest",
            ),
            (
                "docker.io/xingyaoww/sweb.eval.x86_64.{repo}_s_{name}",
                "docker.io/xingyaoww/sweb.eval.x86_64.\
             astropy_s_astropy-12907:latest",
            ),
            (
                "registry.example.com:5000/swe:{instance_id}",
                "registry.example.com:5000/swe:astropy__astropy-12907",
            ),
            ("fixed:1", "docker.io/library/fixed:1"),
        ] {
            check(&Template::new(template).unwrap(), id, None, expected);
        }
        check(
            &Template::new("a/{arch}:{id}").unwrap(),
            "b__c-1",
            None,
            &format!("docker.io/a/{}:b_1776_c-1", arch()),
        );
    }

    #[test]
    fn an_explicit_image_wins_whatever_the_id_is() {
        check(
            &Template::default(),
            "not a / name",
            Some("oh-quickstart/memo-1:1"),
            "docker.io/oh-quickstart/memo-1:1",
        );
        check(
            &Template::default(),
            "a__b-1",
            Some(
                "localhost:5000/x@sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9be\
            a4045fa6c8c44de311d1",
            ),
            "localhost:5000/x@sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de\
            311d1",
        );
    }

    #[test]
    fn a_mirror_stands_in_for_docker_hub_only() {
        let template = Template::default().with_mirror("registry.example.com/proxy/").unwrap();
        check(
            &template,
            "a__b-1",
            None,
            "registry.example.com/proxy/swebench/sweb.eval.x86_64.a_1776_b-1:latest",
        );
        check(&template, "a__b-1", Some("debian:12"), "registry.example.com/proxy/library/debian:12");
        check(&template, "a__b-1", Some("ghcr.io/x/y:1"), "ghcr.io/x/y:1");
        check(&template, "a__b-1", Some("docker.io.example/y:1"), "docker.io.example/y:1");
        let local = Template::default().with_mirror("localhost:5000").unwrap();
        check(&local, "a__b-1", Some("debian"), "localhost:5000/library/debian:latest");
    }

    #[test]
    fn bad_mirrors_say_why() {
        for (mirror, why) in [
            ("", "it is not of the form [REGISTRY/]REPOSITORY[:TAG][@DIGEST]"),
            ("proxy", "\"proxy\" is no host other than Docker Hub's, which has a dot or a port"),
            ("proxy/cache", "\"proxy\" is no host other than Docker Hub's, which has a dot or a port"),
            ("https://registry.example.com", "an image has no scheme, leave out what stands before its host"),
            ("registry.example.com/Proxy", "its repository has to be in lower case"),
            ("registry.example.com/proxy:1", "it is not of the form [REGISTRY/]REPOSITORY[:TAG][@DIGEST]"),
        ] {
            match Template::default().with_mirror(mirror) {
                Err(ImageError::Mirror { why: found, .. }) => assert_eq!(found, why, "{mirror}"),
                other => panic!("{mirror}: {other:?}"),
            }
        }
    }

    #[test]
    fn bad_templates_say_why() {
        for (template, why) in [
            ("a/{id", "a '{' is not closed"),
            (
                "a/{repository}:1",
                "there is no placeholder {repository}, there are {instance_id}, {id}, {repo}, {name}, {arch}",
            ),
            ("A/{id}", "it gives \"A/owner_1776_name-1\", and its repository has to be in lower case"),
            ("", "it gives \"\", and it is empty"),
            ("a}b", "it gives \"a}b\", and it is not of the form [REGISTRY/]REPOSITORY[:TAG][@DIGEST]"),
        ] {
            match Template::new(template) {
                Err(ImageError::Template { why: found, .. }) => assert_eq!(found, why, "{template}"),
                other => panic!("{template}: {other:?}"),
            }
        }
    }

    #[test]
    fn hostile_ids_are_refused() {
        let templates =
            ["docker.io/swebench/sweb.eval.x86_64.{id}:latest", "{id}", "a/{repo}/{name}", "a:{instance_id}"];
        let long = format!("a__{}", "b".repeat(300));
        let ids = [
            "",
            "/",
            "..",
            "__",
            "a__",
            "__b",
            "a__b/../c",
            "evil.example/a__b",
            "a__b:tag",
            "a__b@sha256:0",
            "a__b ",
            "a__b\n",
            "a__\u{212a}",
            "a__b{id}",
            "-a__b",
            "a__b-",
            "a___b",
            "a__..",
            "日本__語",
            &long,
            "noseparator",
        ];
        for template in templates.map(|template| Template::new(template).unwrap()) {
            for id in ids {
                // Either a reference below the template's place, or an error that quotes the id.
                match resolve(id, None, &template) {
                    Ok(image) => {
                        assert_eq!(ImageRef::parse(&image.to_string()).as_ref(), Ok(&image));
                        assert_eq!(image.registry(), "docker.io", "{id}");
                        assert!(!id.contains(['/', ':', '@', ' ', '\n', '{']), "{id} gave {image}");
                    }
                    Err(error) => {
                        assert!(error.to_string().starts_with("no image for instance \""), "{error}")
                    }
                }
            }
        }
    }

    #[test]
    fn errors_name_the_instance_and_the_cause() {
        let error = resolve("a/b", None, &Template::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no image for instance \"a/b\": '/' in its id cannot stand in an image's name, so name its image in the dataset"
        );
        let error = resolve("noseparator", None, &Template::new("{repo}").unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no image for instance \"noseparator\": its id has no \"__\", which the template needs, so name its image in \
             the dataset"
        );
        let error = resolve("a__b", Some("Bad Image"), &Template::default()).unwrap_err();
        assert_eq!(error.to_string(), "no image for instance \"a__b\"");
        assert!(
            error
                .source()
                .unwrap()
                .to_string()
                .starts_with("invalid image \"Bad Image\": ' ' cannot stand in it")
        );
    }
}
