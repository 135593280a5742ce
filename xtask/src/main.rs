//! Everything a developer or CI runs: `cargo xtask <command>`. One file per command; it drives binaries and uses
//! no crate of the project.

mod agent;
mod apt;
mod bench;
mod cluster;
mod cmd;
mod deps;
mod engine;
mod examples;
mod faults;
mod fuzz;
mod images;
mod openhands;
mod paths;
mod quickstart;
mod test;
mod tidy;
mod ui;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Everything a developer or CI runs")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// From a fresh machine to a first evaluation: sets up what is missing, runs the examples, prints the report
    Quickstart {
        /// Where to run; without it Docker if an engine answers or can be installed, else local
        #[arg(long)]
        runtime: Option<Runtime>,
    },
    /// One example from the prediction to the grade, on a backend that is brought up where it is missing
    Smoke {
        #[arg(long)]
        runtime: Runtime,
    },
    /// Measure speed beside the engines' own tools, on engines that are brought up where they are missing
    Bench {
        /// On these engines only
        #[arg(long)]
        runtime: Vec<Runtime>,
        /// Runs of each command
        #[arg(long, default_value_t = 200)]
        runs: usize,
        /// These parts only: exec, fairness, copy, memory, crowd, create, deliver
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Also write the comparisons to this file
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Send hostile bytes through both ends of the wire; installs cargo-fuzz where it is missing
    Fuzz {
        /// For how long each target is run
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Cut connections and restart servers while commands run: nothing may be lost or happen twice
    Faults {
        /// On these engines only
        #[arg(long)]
        runtime: Vec<Runtime>,
        /// Less of everything, as `cargo xtask test` does it
        #[arg(long)]
        short: bool,
        /// Where the cuts are; without it another place each time
        #[arg(long)]
        seed: Option<u64>,
        /// Also write what was counted to this file
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Send the same actions to OpenHands' own runtime and to ours, and compare; installs it where it is missing
    OpenhandsParity {
        /// Write docs/reference/actions.md instead of checking it
        #[arg(long)]
        write: bool,
    },
    /// All checks and tests, bringing up what they need; the last line counts the stages
    Test {
        /// Leave out what needs a Docker engine, and so the cluster in it
        #[arg(long)]
        fast: bool,
    },
    /// Make the images of the examples and the tests, where they are missing or out of date
    Images {
        /// For which backend; without it local, docker if an engine answers, and k8s if a cluster does
        #[arg(long)]
        runtime: Option<Runtime>,
    },
    /// Build the static agent and place it beside the other binaries
    Agent,
    /// A Docker engine to work with
    #[command(subcommand)]
    Engine(EngineTask),
    /// A Kubernetes cluster to work with, in the Docker engine; OH_TEST_KUBECONFIG names another one instead
    #[command(subcommand)]
    Cluster(ClusterTask),
    /// Write the example dataset from its pieces
    Examples {
        /// Write nothing; fail if it is out of date
        #[arg(long)]
        check: bool,
    },
    /// Check what compilers do not: dependency directions, documentation, generated files
    Tidy,
}

#[derive(Subcommand)]
enum EngineTask {
    /// Make sure one answers, installing and starting it where that is possible
    Up,
    /// Say whether one answers
    Status,
}

#[derive(Subcommand)]
enum ClusterTask {
    /// Make sure one answers, making it with kind: the first time without a registry takes a quarter of an hour
    Up {
        #[arg(long, default_value_t = cluster::NODES)]
        nodes: usize,
        /// Image of the nodes, for another version of Kubernetes; without it kind's official one or one made here
        #[arg(long)]
        image: Option<String>,
    },
    /// Remove it
    Down,
    /// Show its nodes
    Status,
    /// Print the path of the file for KUBECONFIG
    Kubeconfig,
    /// Copy images of the Docker engine into its nodes
    Load {
        /// Without names those of the examples and the tests
        images: Vec<String>,
    },
}

/// The backends the drivers can prepare.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Runtime {
    Docker,
    K8s,
    Local,
}

impl Runtime {
    /// Every backend.
    const ALL: [Self; 3] = [Self::Local, Self::Docker, Self::K8s];

    /// As `OH_RUNTIME` spells it.
    fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::K8s => "k8s",
            Self::Local => "local",
        }
    }
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Quickstart { runtime } => quickstart::run(runtime),
        Task::Smoke { runtime } => quickstart::smoke(runtime),
        Task::Bench { runtime, runs, only, json } => bench::run(&runtime, runs, &only, json.as_deref()),
        Task::Fuzz { seconds } => fuzz::run(seconds),
        Task::Faults { runtime, short, seed, json } => {
            faults::run(&faults::Options { runtimes: &runtime, short, seed, json: json.as_deref() })
        }
        Task::OpenhandsParity { write } => openhands::run(write),
        // The table has said why, and its last line is the count.
        Task::Test { fast } => return if test::run(fast) { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        Task::Images { runtime } => images::run(runtime),
        Task::Agent => agent::build().map(drop),
        Task::Engine(EngineTask::Up) => engine::up().map(drop),
        Task::Engine(EngineTask::Status) => engine::status(),
        Task::Cluster(ClusterTask::Up { nodes, image }) => cluster::up(nodes, image.as_deref()).map(drop),
        Task::Cluster(ClusterTask::Down) => cluster::down(),
        Task::Cluster(ClusterTask::Status) => cluster::status(),
        Task::Cluster(ClusterTask::Kubeconfig) => {
            cluster::kubeconfig().map(|file| anstream::println!("{}", file.display()))
        }
        Task::Cluster(ClusterTask::Load { images }) => cluster::load(&images),
        Task::Examples { check: true } => examples::check(),
        Task::Examples { check: false } => examples::write(),
        Task::Tidy => tidy::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::error(&error);
            ExitCode::FAILURE
        }
    }
}
