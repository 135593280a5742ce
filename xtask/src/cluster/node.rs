//! An image for the nodes, where kind's official one cannot be pulled: Debian, systemd, containerd and Kubernetes, with
//! the images of the control plane inside.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::debian::{Apt, text};
use super::kubernetes::{self, VERSION};
use crate::cmd::Cmd;
use crate::images::{debootstrap, definition, docker};
use crate::ui;

/// What this file makes of the same parts.
const RECIPE: &str = "1";
const PACKAGES: &str = "systemd systemd-sysv dbus containerd runc containernetworking-plugins iptables conntrack \
    ethtool socat mount kmod iproute2 procps util-linux hostname ebtables";
/// Files of the node, put where its Dockerfile says.
const FILES: [(&str, &str); 5] = [
    ("Dockerfile", include_str!("node/Dockerfile")),
    ("entrypoint", include_str!("node/entrypoint")),
    ("containerd.toml", include_str!("node/containerd.toml")),
    ("containerd.service", include_str!("node/containerd.service")),
    ("kubelet.service", include_str!("node/kubelet.service")),
];
/// Images of the control plane: name, program, and whether it needs more than itself. Names and versions are kubeadm's.
/// CoreDNS is in no Debian release: the cluster has no DNS.
const IMAGES: [(&str, &str, bool); 6] = [
    ("k8s.gcr.io/kube-apiserver:v1.20.2", "kube-apiserver", false),
    ("k8s.gcr.io/kube-controller-manager:v1.20.2", "kube-controller-manager", false),
    ("k8s.gcr.io/kube-scheduler:v1.20.2", "kube-scheduler", false),
    ("k8s.gcr.io/kube-proxy:v1.20.2", "kube-proxy", true),
    ("k8s.gcr.io/etcd:3.4.13-0", "etcd", true),
    ("k8s.gcr.io/pause:3.2", "pause", false),
];
const BUILD_LIMIT: Duration = Duration::from_secs(900);
/// How long containerd may take to answer in a new container.
const CONTAINERD_LIMIT: Duration = Duration::from_secs(60);

fn definition_and_name() -> (String, String) {
    let files: Vec<&str> = FILES.iter().map(|(_, content)| *content).collect();
    let wanted = definition(&[&files[..], &[RECIPE, PACKAGES, debootstrap::RECIPE, VERSION]].concat());
    (wanted, format!("oh-kind-node:{VERSION}"))
}

/// Whether it was made here before.
pub(super) fn is_made() -> bool {
    let (wanted, image) = definition_and_name();
    docker::is_built(&image, &wanted)
}

/// The image's name. It is made where it is missing or out of date.
pub(super) fn image() -> Result<String> {
    ensure!(
        !Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        "kind's official node image cannot be pulled, and the one made from Debian's packages has Kubernetes {VERSION}, \
         which needs cgroup v1: boot with systemd.unified_cgroup_hierarchy=0, or name a cluster in OH_TEST_KUBECONFIG"
    );
    let (wanted, image) = definition_and_name();
    if docker::is_built(&image, &wanted) {
        return Ok(image);
    }
    let programs = kubernetes::programs()?;
    let etcd = Apt::new(&["bookworm"])?.package("etcd-server")?.join("usr/bin/etcd");
    ui::step("Node image", || {
        let base = debootstrap::image("oh-kind-base", PACKAGES)?;
        let scratch = tempfile::tempdir()?;
        let empty = bare_node(scratch.path(), &base, &programs)?;
        for (image, program, needs_more) in IMAGES {
            let program = if program == "etcd" { etcd.clone() } else { programs.join(program) };
            let parent = if needs_more { base.as_str() } else { "scratch" };
            control_plane_image(scratch.path(), image, parent, &program)?;
        }
        let archive = scratch.path().join("images.tar");
        let names = IMAGES.map(|(name, _, _)| name);
        Cmd::new(&[&["docker", "save", "-o", text(&archive)?], &names[..]].concat()).quiet()?;
        filled(&empty, &archive, &image, &wanted)
    })?;
    Ok(image)
}

/// The node without the images of the control plane.
fn bare_node(scratch: &Path, base: &str, programs: &Path) -> Result<String> {
    let context = scratch.join("node");
    std::fs::create_dir(&context)?;
    for (name, content) in FILES {
        std::fs::write(context.join(name), content)?;
    }
    std::fs::set_permissions(context.join("entrypoint"), PermissionsExt::from_mode(0o755))?;
    std::fs::write(context.join("container.json"), container_defaults(base)?)?;
    for name in ["kubeadm", "kubelet", "kubectl", "pause"] {
        std::fs::copy(programs.join(name), context.join(name))?;
    }
    let image = format!("oh-kind-bare:{VERSION}");
    let (base, version) = (format!("BASE={base}"), format!("VERSION={VERSION}"));
    let args = ["--build-arg", &base, "--build-arg", &version];
    Cmd::new(&[&["docker", "build", "-q", "-t", &image], &args[..], &[text(&context)?]].concat())
        .limit(BUILD_LIMIT)
        .quiet()?;
    Ok(image)
}

/// What containerd gives every container, without the limits a container may not raise.
fn container_defaults(base: &str) -> Result<String> {
    let spec =
        Cmd::new(&["docker", "run", "--rm", "--network", "none", base, "ctr", "oci", "spec"]).read()?;
    let mut spec: serde_json::Value = serde_json::from_str(&spec).context("`ctr oci spec` wrote no JSON")?;
    let process = spec.get_mut("process").and_then(serde_json::Value::as_object_mut);
    process.context("`ctr oci spec` says nothing about the process")?.remove("rlimits");
    Ok(spec.to_string())
}

fn control_plane_image(scratch: &Path, image: &str, parent: &str, program: &Path) -> Result<()> {
    let name = program.file_name().and_then(|name| name.to_str()).context("a program without a name")?;
    let context = scratch.join(name);
    std::fs::create_dir(&context)?;
    std::fs::copy(program, context.join(name))
        .with_context(|| format!("failed to copy {}", program.display()))?;
    // kubeadm names the program alone, except for pause, which it starts as it is.
    let dockerfile = format!(
        "FROM {parent}\nCOPY {name} /usr/local/bin/\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
         ENTRYPOINT {}\n",
        if name == "pause" { r#"["/usr/local/bin/pause"]"# } else { "[]" }
    );
    std::fs::write(context.join("Dockerfile"), dockerfile)?;
    Cmd::new(&["docker", "build", "-q", "-t", image, text(&context)?]).limit(BUILD_LIMIT).quiet()
}

/// Imports the images into the node's containerd, so that a cluster starts without asking a registry.
fn filled(bare: &str, archive: &Path, image: &str, wanted: &str) -> Result<()> {
    let container = Container::start(bare)?;
    let id = container.0.as_str();
    Cmd::new(&["docker", "exec", "-d", id, "containerd"]).quiet()?;
    let started = std::time::Instant::now();
    while container.exec(&["ctr", "version"]).is_err() {
        if started.elapsed() > CONTAINERD_LIMIT {
            bail!("containerd does not answer in a container of {bare}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Cmd::new(&["docker", "cp", text(archive)?, &format!("{id}:/images.tar")]).quiet()?;
    let import =
        ["ctr", "--namespace=k8s.io", "images", "import", "--all-platforms", "--no-unpack", "/images.tar"];
    container.exec(&import)?;
    container.exec(&["sh", "-c", "rm /images.tar; kill $(pidof containerd)"])?;
    while container.exec(&["pidof", "containerd"]).is_ok() {
        if started.elapsed() > 3 * CONTAINERD_LIMIT {
            bail!("containerd does not end in a container of {bare}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    container.exec(&["sh", "-c", "rm -rf /run/containerd"])?;
    let label = format!("LABEL {}={wanted}", docker::LABEL);
    let entrypoint = r#"ENTRYPOINT ["/usr/local/bin/entrypoint"]"#;
    Cmd::new(&["docker", "commit", "-c", &label, "-c", entrypoint, id, image]).quiet()
}

/// Removed when dropped.
struct Container(String);

impl Container {
    fn start(image: &str) -> Result<Self> {
        let words = [
            "docker",
            "run",
            "-d",
            "--privileged",
            "--network",
            "none",
            "--entrypoint",
            "sleep",
            image,
            "inf",
        ];
        Cmd::new(&words).read().map(Self)
    }

    fn exec(&self, argv: &[&str]) -> Result<()> {
        Cmd::new(&[&["docker", "exec", &self.0], argv].concat()).read().map(drop)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Err(error) = Cmd::new(&["docker", "rm", "-f", "-v", &self.0]).read() {
            ui::note(format!("{error:#}"));
        }
    }
}

/// The kubectl of the same version.
pub(super) fn kubectl() -> Result<PathBuf> {
    Ok(kubernetes::programs()?.join("kubectl"))
}
