//! Puts the agent into a folder of the sandbox, where the backend can deliver only small files: on Kubernetes.
//!
//! It inflates [`PACKED`] into [`UNPACKED`] and ends. It runs in any image, as any user, and has to be as small as can
//! be, because it shares one ConfigMap with the packed agent: so no standard library and no C library in it, only the
//! few system calls it needs.
//!
//! That takes a program without unwinding. Built otherwise, as by `cargo test`, this is a program that does nothing
//! but carry the tests of what is inside.
#![cfg_attr(panic = "abort", no_std, no_main, no_builtins)]

#[cfg(any(panic = "abort", test))]
mod inflate;
#[cfg(panic = "abort")]
mod sys;

/// The zlib stream of the agent.
#[cfg(panic = "abort")]
const PACKED: &core::ffi::CStr = c"/.oh-load/oh-agent.z";
/// The agent's executable.
#[cfg(panic = "abort")]
const UNPACKED: &core::ffi::CStr = c"/.oh/oh-agent";

#[cfg(panic = "abort")]
fn run() -> Result<(), &'static str> {
    let from = sys::open_to_read(PACKED).map_err(|_| "the packed agent cannot be opened")?;
    let to = sys::create_executable(UNPACKED).map_err(|_| "the agent's file cannot be made in /.oh")?;
    inflate::inflate(
        |buffer| sys::read(from, buffer).map_err(|_| "the packed agent cannot be read"),
        |bytes| sys::write_all(to, bytes).map_err(|_| "the agent cannot be written: no space left in /.oh?"),
    )
}

#[cfg(not(panic = "abort"))]
fn main() {
    eprintln!("oh-loader: built without panic=abort; use `cargo xtask agent`");
    std::process::exit(1);
}
