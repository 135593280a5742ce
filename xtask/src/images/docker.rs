//! Images in a Docker engine.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::{AGENT, BASE, TEST, TEST_BUSYBOX, TEST_PRESENT, TEST_STATIC, debootstrap, definition};
use crate::cmd::{self, Cmd};
use crate::examples::{self, Instance};
use crate::{agent, paths, ui};

pub(crate) const LABEL: &str = "oh.definition";
/// A registry that cannot be reached must not hold up the other way of making the base.
const PULL_LIMIT: Duration = Duration::from_secs(120);
const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// Makes what is missing or out of date.
pub(super) fn build() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let base = base(&scratch.path().join("base"))?;
    let dockerfile = examples::folder().join("image/instance.Dockerfile");
    let text = read(&dockerfile)?;
    for instance in Instance::all()? {
        let context = scratch.path().join(&instance.id);
        std::fs::create_dir(&context)?;
        let commit = instance.make_repository(&context.join("testbed"))?;
        layer(&instance.image(), &definition(&[&base, &text, &commit]), &dockerfile, &context)?;
    }
    let empty = scratch.path().join("empty");
    std::fs::create_dir(&empty)?;
    let files = [
        (TEST, "oh-test.Dockerfile"),
        (TEST_STATIC, "oh-test-static.Dockerfile"),
        (TEST_BUSYBOX, "oh-test-busybox.Dockerfile"),
    ];
    for (image, file) in files {
        let dockerfile = paths::root().join("tests/images").join(file);
        layer(image, &definition(&[&base, &read(&dockerfile)?]), &dockerfile, &empty)?;
    }
    let built = agent::build()?;
    let context = scratch.path().join("agent");
    std::fs::create_dir(&context)?;
    std::fs::copy(&built, context.join("oh-agent")).context("failed to copy the agent")?;
    let digest = definition(&[&format!("{:?}", Sha256::digest(std::fs::read(&built)?))]);
    for (image, file) in [(AGENT, "oh-agent.Dockerfile"), (TEST_PRESENT, "oh-test-present.Dockerfile")] {
        let dockerfile = paths::root().join("tests/images").join(file);
        layer(image, &definition(&[&base, &digest, &read(&dockerfile)?]), &dockerfile, &context)?;
    }
    // What an image of ours was before it was made again; nothing without our label.
    Cmd::new(&["docker", "image", "prune", "-f", "--filter", &format!("label={LABEL}")]).read().map(drop)
}

/// Makes the base image, from its Dockerfile where that can be, and returns its definition.
fn base(context: &Path) -> Result<String> {
    let folder = examples::folder().join("image");
    let dockerfile = folder.join("base.Dockerfile");
    let (text, packages) = (read(&dockerfile)?, read(&folder.join("packages"))?);
    let wanted = definition(&[&text, &packages, debootstrap::RECIPE]);
    if is_built(BASE, &wanted) {
        return Ok(wanted);
    }
    std::fs::create_dir(context)?;
    std::fs::write(context.join("packages"), &packages)?;
    let parent =
        text.lines().find_map(|line| line.strip_prefix("FROM ")).context("no FROM in base.Dockerfile")?;
    let from_dockerfile = || {
        if !cmd::works(&["docker", "image", "inspect", parent]) {
            Cmd::new(&["docker", "pull", "-q", parent]).limit(PULL_LIMIT).quiet()?;
        }
        docker_build(BASE, &wanted, &dockerfile, context)
    };
    if let Err(error) = from_dockerfile() {
        ui::note(cmd::tail(&format!("{error:#}")));
        ui::note(format!(
            "the Dockerfile of {BASE} cannot be built here; making it from Debian's packages instead"
        ));
        let rootfs = debootstrap::tarball(&packages)?;
        let (label, path) = (
            format!("LABEL {LABEL}={wanted}"),
            "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        let rootfs = rootfs.to_str().context("the cache folder's name is no UTF-8")?;
        Cmd::new(&["docker", "import", "-c", &label, "-c", path, "-c", r#"CMD ["bash"]"#, rootfs, BASE])
            .quiet()?;
    }
    ensure!(is_built(BASE, &wanted), "{BASE} was made, but the engine does not show it with its label");
    Ok(wanted)
}

fn layer(image: &str, wanted: &str, dockerfile: &Path, context: &Path) -> Result<()> {
    if is_built(image, wanted) { Ok(()) } else { docker_build(image, wanted, dockerfile, context) }
}

fn docker_build(image: &str, wanted: &str, dockerfile: &Path, context: &Path) -> Result<()> {
    let label = format!("{LABEL}={wanted}");
    let dockerfile = dockerfile.to_str().context("the checkout's path is no UTF-8")?;
    let context = context.to_str().context("the temporary folder's path is no UTF-8")?;
    Cmd::new(&["docker", "build", "-q", "-t", image, "--label", &label, "-f", dockerfile, context])
        .limit(BUILD_LIMIT)
        .quiet()
}

pub(crate) fn is_built(image: &str, wanted: &str) -> bool {
    let format = format!("{{{{index .Config.Labels {LABEL:?}}}}}");
    let there = Cmd::new(&["docker", "image", "inspect", "--format", &format, image]).read();
    let built = there.is_ok_and(|label| label == wanted);
    if built {
        ui::note(format!("{image} is there"));
    }
    built
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}
