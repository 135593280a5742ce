//! Puts the agent into a sandbox where the backend can deliver only small files: on Kubernetes.
//!
//! Without arguments it inflates [`PACKED`] into [`UNPACKED`] and ends: an init container does that. With arguments it
//! stands in the agent's place: it inflates [`BESIDE`] into memory and executes that with the same arguments.
//!
//! It runs in any image, as any user, and has to be as small as can be, because it shares one ConfigMap with the packed
//! agent: so no standard library and no C library in it, only the few system calls it needs.
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
/// The zlib stream of the agent, where this program stands in its place.
#[cfg(panic = "abort")]
const BESIDE: &core::ffi::CStr = c"/.oh/oh-agent.z";

#[cfg(panic = "abort")]
fn run(arguments: &sys::Arguments) -> Result<(), &'static str> {
    if arguments.count() < 2 {
        let to = sys::create_executable(UNPACKED).map_err(|_| "the agent's file cannot be made in /.oh")?;
        return unpack(PACKED, to);
    }
    let memory = sys::create_in_memory(c"oh-agent").map_err(|_| "no file can be made in memory")?;
    unpack(BESIDE, memory)?;
    if arguments.first_is(c"serve") {
        sys::say("the agent is executed from memory");
    }
    sys::execute(memory, arguments).map_err(|_| "the agent cannot be executed from memory")
}

#[cfg(panic = "abort")]
fn unpack(packed: &core::ffi::CStr, to: sys::File) -> Result<(), &'static str> {
    let from = sys::open_to_read(packed).map_err(|_| "the packed agent cannot be opened")?;
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
