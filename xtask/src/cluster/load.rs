//! Images of the engine, for the nodes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use super::foreign;
use super::kind::{self, Kind};
use crate::cmd::Cmd;
use crate::{images, ui};

/// Where a node keeps what it was given: its name and the engine's identity of each image.
const RECORD: &str = "/var/oh-images";

/// Copies images into every node that lacks them; without names those of the examples and the tests.
pub(crate) fn load(names: &[String]) -> Result<()> {
    if foreign().is_some() && names.is_empty() {
        let names = images::names()?.join(", ");
        ui::note(format!(
            "OH_TEST_KUBECONFIG names a cluster that was not made here: it has to have {names}"
        ));
        return Ok(());
    }
    if foreign().is_some() {
        bail!(
            "OH_TEST_KUBECONFIG names a cluster that was not made here: put the images where it can pull them"
        );
    }
    ui::step("Images for the cluster", || {
        let names = if names.is_empty() { images::names()? } else { names.to_vec() };
        let wanted = names.iter().map(|name| Ok((name.clone(), identity(name)?)));
        let wanted = wanted.collect::<Result<BTreeMap<_, _>>>()?;
        let nodes = kind::nodes()?;
        if nodes.is_empty() {
            bail!("there is no cluster: `cargo xtask cluster up`");
        }
        let mut missing = Vec::new();
        let mut records = Vec::new();
        for node in &nodes {
            let record = record(node)?;
            missing.extend(wanted.iter().filter(|(name, id)| record.get(*name) != Some(id)));
            records.push((node, record));
        }
        missing.sort();
        missing.dedup();
        if missing.is_empty() {
            ui::note(format!("{} are there", names.join(", ")));
            return Ok(());
        }
        let names: Vec<&str> = missing.iter().map(|(name, _)| name.as_str()).collect();
        Kind::find()?.load(&names)?;
        for (node, mut record) in records {
            record.extend(missing.iter().map(|(name, id)| ((*name).clone(), (*id).clone())));
            let lines: Vec<String> = record.iter().map(|(name, id)| format!("{name} {id}")).collect();
            let script = format!(r#"printf '%s\n' "$@" > {RECORD}"#);
            let mut words = vec!["docker", "exec", node, "sh", "-c", &script, "sh"];
            words.extend(lines.iter().map(String::as_str));
            Cmd::new(&words).read()?;
        }
        Ok(())
    })
}

fn identity(image: &str) -> Result<String> {
    let inspect = ["docker", "image", "inspect", "--format", "{{.Id}}", image];
    Cmd::new(&inspect).read().with_context(|| format!("the Docker engine has no image {image}"))
}

fn record(node: &str) -> Result<BTreeMap<String, String>> {
    let text = Cmd::new(&["docker", "exec", node, "sh", "-c", &format!("cat {RECORD} 2>/dev/null || true")])
        .read()?;
    let pair = |line: &str| line.split_once(' ').map(|(name, id)| (name.to_owned(), id.to_owned()));
    Ok(text.lines().filter_map(pair).collect())
}
