//! How much of the machine a sandbox gets.

use serde::{Deserialize, Serialize};

const GIB: u64 = 1 << 30;

/// Resources of one sandbox. The defaults hold for every backend.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU request in cores. There is no CPU limit: throttling makes tests flaky.
    pub cpu: f64,
    /// Memory in bytes: request and limit, so a sandbox neither starves nor is starved.
    pub memory: u64,
    /// Writable disk in bytes, where the backend can limit it.
    pub ephemeral_storage: u64,
    /// Most processes and threads at once, so a fork bomb ends in its sandbox.
    pub pids: u32,
}

impl Default for Resources {
    fn default() -> Self {
        Self { cpu: 1.0, memory: 4 * GIB, ephemeral_storage: 10 * GIB, pids: 4096 }
    }
}
