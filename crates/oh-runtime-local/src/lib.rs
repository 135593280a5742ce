//! Backend: processes in a folder, without a daemon and without isolation.
//!
//! A sandbox is a folder `<state>/<name>` and a process. The folder holds `root/`, the private part of what the
//! sandbox sees as `/`; `meta.json`, what it is and who runs it; `agent.log`. The process is the agent, first process
//! of a PID namespace of its own, in a mount namespace of its own where `root/` is `/` and everything that is not in it
//! is the host's (`enter.sh`). So `/testbed` and `/tmp` are private, the host's programs work, and when the agent ends
//! the kernel ends everything else.
//!
//! Nothing is isolated: a command sees the host's files and network, may use them as the user who made the sandbox,
//! and may take any amount of memory. It exists to run trusted work without Docker, and to test harnesses.
//!
//! An image is a folder `<images>/<name>/rootfs`, whose entries are copied into `root/`.
//!
//! | file | is |
//! | --- | --- |
//! | `backend` | the trait's implementation |
//! | `create` | making a sandbox, whole or not at all |
//! | `launch`, `enter.sh` | starting the agent in namespaces |
//! | `image` | names and contents of images |
//! | `instance` | the folder of a sandbox |
//! | `process` | a process that cannot be mistaken for a later one of the same number |
//! | `stream` | reaching the agent's socket |
//! | `logs` | the agent's log |
//! | `remove` | ending and removing |

mod backend;
mod create;
mod image;
mod instance;
mod launch;
mod logs;
mod process;
mod remove;
mod stream;

use std::path::PathBuf;

pub use backend::LocalBackend;

/// Where the backend keeps its things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalConfig {
    /// Folder for the sandboxes; made when missing, for its owner alone.
    pub state_dir: PathBuf,
    /// Folder with a folder for each image.
    pub image_dir: PathBuf,
}
