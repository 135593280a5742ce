//! Dependency directions.

use anyhow::{Context, Result};
use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};

use super::{Violation, text_of};
use crate::deps::{CHOOSE_API_VERSION, DIRECTION, NOWHERE, ONLY_IN};
use crate::paths;

pub(super) fn check() -> Result<Vec<Violation>> {
    let metadata = MetadataCommand::new()
        .current_dir(paths::root())
        .exec()
        .context("failed to ask cargo for its metadata")?;
    let members: Vec<String> = metadata.workspace_packages().iter().map(|p| p.name.to_string()).collect();
    let mut violations = Vec::new();
    for package in metadata.workspace_packages() {
        check_member(package, &members, &mut violations)?;
    }
    violations.extend(banned(&metadata)?);
    Ok(violations)
}

fn check_member(package: &Package, members: &[String], violations: &mut Vec<Violation>) -> Result<()> {
    let name = package.name.as_str();
    let path = package.manifest_path.strip_prefix(paths::root()).unwrap_or(&package.manifest_path).as_str();
    let manifest = text_of(path)?.unwrap_or_default();
    if !DIRECTION.iter().any(|(member, _)| *member == name) {
        violations
            .push(Violation::new(path, format!("{name} is not in the table of xtask/src/deps.rs: add it")));
    }
    for dependency in package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
        let used = dependency.name.as_str();
        let ours = members.iter().any(|member| member == used);
        if let Some(what) = forbidden(name, used, ours) {
            violations.push(Violation::at(path, line_of(&manifest, used), what));
        }
        if chooses_api_version(dependency) && !CHOOSE_API_VERSION.contains(&name) {
            let what = format!("{name} is a library: only programs choose a version of the Kubernetes API");
            violations.push(Violation::at(path, line_of(&manifest, used), what));
        }
    }
    Ok(())
}

fn chooses_api_version(dependency: &Dependency) -> bool {
    let version =
        |feature: &String| feature.starts_with('v') || ["earliest", "latest"].contains(&feature.as_str());
    dependency.name == "k8s-openapi" && dependency.features.iter().any(version)
}

/// Why the member `name` may not use the crate `used`, which may be one of ours.
fn forbidden(name: &str, used: &str, ours: bool) -> Option<String> {
    let allowed =
        DIRECTION.iter().find(|(member, _)| *member == name).map_or(&[][..], |(_, allowed)| allowed);
    if ours && !allowed.contains(&used) {
        return Some(format!("{name} must not use {used} (xtask/src/deps.rs, DIRECTION)"));
    }
    let (_, only, why) =
        ONLY_IN.iter().find(|(library, only, _)| *library == used && !only.contains(&name))?;
    Some(format!("{used} only in {} ({why}): go through one of them", only.join(" and ")))
}

fn banned(metadata: &Metadata) -> Result<Vec<Violation>> {
    let lock = text_of("Cargo.lock")?.unwrap_or_default();
    let found = metadata.packages.iter().filter_map(|package| {
        let (name, why) = NOWHERE.iter().find(|(name, _)| *name == package.name.as_str())?;
        let line = lock.lines().position(|line| line == format!("name = {name:?}")).map_or(1, |at| at + 1);
        Some(Violation::at(
            "Cargo.lock",
            line,
            format!("{name} must not be in the tree ({why}): `cargo tree -i {name}` shows who brings it"),
        ))
    });
    Ok(found.collect())
}

/// The line of a manifest that asks for `dependency`.
fn line_of(manifest: &str, dependency: &str) -> usize {
    let asks =
        |line: &str| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    manifest.lines().position(asks).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_obeyed() {
        assert_eq!(forbidden("oh-eval", "oh-runtime", true), None);
        assert_eq!(forbidden("oh-eval", "tokio", false), None);
        assert!(
            forbidden("oh-eval", "oh-runtime-docker", true).is_some_and(|what| what.contains("DIRECTION"))
        );
        assert!(
            forbidden("oh-eval", "bollard", false).is_some_and(|what| what.contains("oh-runtime-docker"))
        );
        assert!(
            forbidden("oh-new", "oh-runtime-api", true).is_some(),
            "a crate nobody placed may use nothing"
        );
    }

    #[test]
    fn the_line_is_that_of_the_dependency() {
        let manifest = "[dependencies]\noh-runtime-api.workspace = true\noh-runtime = { workspace = true }\n";
        assert_eq!(line_of(manifest, "oh-runtime"), 3);
        assert_eq!(line_of(manifest, "oh-runtime-api"), 2);
    }
}
