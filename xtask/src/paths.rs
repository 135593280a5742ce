//! Where things are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Cargo's target folder.
pub(crate) fn target() -> Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .context("failed to ask cargo for its target folder")?;
    Ok(metadata.target_directory.into_std_path_buf())
}

/// Where what is slow to make is kept between checkouts.
pub(crate) fn cache() -> Result<PathBuf> {
    Ok(xdg("XDG_CACHE_HOME", ".cache")?.join("oh-images"))
}

/// Where what a cluster is made of is kept between checkouts, and the file that says where the cluster is.
pub(crate) fn cluster_cache() -> Result<PathBuf> {
    let folder = xdg("XDG_CACHE_HOME", ".cache")?.join("oh-cluster");
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    Ok(folder)
}

/// Where what the bench compares with is kept between checkouts.
pub(crate) fn bench_cache() -> Result<PathBuf> {
    Ok(xdg("XDG_CACHE_HOME", ".cache")?.join("oh-bench"))
}

/// Where OpenHands is installed, to be compared with.
pub(crate) fn openhands_cache() -> Result<PathBuf> {
    Ok(xdg("XDG_CACHE_HOME", ".cache")?.join("oh-parity/openhands-0.62.0"))
}

/// Where the backend `local` looks for images.
pub(crate) fn local_images() -> Result<PathBuf> {
    Ok(xdg("XDG_DATA_HOME", ".local/share")?.join("oh/images"))
}

/// A folder of the XDG base directory specification, which says to ignore relative values.
fn xdg(variable: &str, below_home: &str) -> Result<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "these are not settings of ours, and xtask uses no crate of ours"
    )]
    let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    match set {
        Some(path) => Ok(path),
        None => {
            let home = std::env::home_dir().filter(|home| home.is_absolute());
            let home = home.with_context(|| format!("no home folder: set HOME or {variable}"))?;
            Ok(home.join(below_home))
        }
    }
}
