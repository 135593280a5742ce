//! Real sandboxes: what is this backend's own affair. What all backends have in common is in the conformance suite.
//!
//! They need the agent (`cargo xtask agent`, or `OH_AGENT`) and the right to make namespaces; where one is missing each
//! test says so and is skipped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use oh_agent::client::Client;
use oh_runtime_api::{
    AgentPayload, Backend, CommandSpec, DeleteReport, Delivery, End, ErrorKind, Incarnation, Mount,
    SandboxName, SandboxSpec, SandboxState, Selector,
};
use oh_runtime_local::{LocalBackend, LocalConfig};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};

type Outcome = Result<(), Failed>;

/// How long something may take that takes no time.
const SOON: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let tests: Vec<Trial> = vec![
        trial("what_the_image_has_is_private_and_the_rest_is_the_hosts", what_is_private),
        trial("repositories_stay_clean", repositories_stay_clean),
        trial("variables_are_those_asked_for", variables_are_those_asked_for),
        trial("mounts_never_make_anything_on_the_host", mounts_never_make_anything_on_the_host),
        trial("read_only_mounts_are", read_only_mounts_are),
        trial("an_agent_that_ends_takes_everything_along", an_agent_that_ends_takes_everything_along),
        trial("a_creation_that_is_given_up_leaves_nothing", a_creation_that_is_given_up_leaves_nothing),
        trial("removal_leaves_nothing", removal_leaves_nothing),
        trial("what_is_mounted_in_it_is_not_removed", what_is_mounted_in_it_is_not_removed),
        trial("long_paths_work", long_paths_work),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn trial<F>(name: &str, test: impl FnOnce(Place) -> F + Send + 'static) -> Trial
where
    F: Future<Output = Outcome>,
{
    Trial::ignorable_test(name, move || {
        let agent = match agent() {
            Ok(agent) => agent,
            Err(missing) => return Ok(Completion::ignored_with(missing)),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(test(Place::new(agent)?))?;
        Ok(Completion::Completed)
    })
}

/// The agent, or what is missing.
fn agent() -> Result<AgentPayload, String> {
    let unshare = ["--mount", "--pid", "--fork", "--propagation", "private", "true"];
    let mut namespaces = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        namespaces.args(["--user", "--map-root-user"]);
    }
    let namespaces = namespaces.args(unshare).stderr(Stdio::null()).status();
    if !namespaces.is_ok_and(|status| status.success()) {
        return Err("namespaces are refused here: run as root".to_owned());
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the test's own search for the agent, without a configuration"
    )]
    let named = std::env::var_os("OH_AGENT").map(PathBuf::from);
    let arch = std::env::consts::ARCH;
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join(format!("oh-agent-{arch}")));
    let path = named.or_else(beside).unwrap_or_default();
    let bytes =
        fs::read(&path).map_err(|error| format!("{}: {error}: run `cargo xtask agent`", path.display()))?;
    Ok(AgentPayload {
        bytes: bytes.into(),
        digest: "of-a-test".into(),
        loader: None,
        arch: arch.into(),
        delivery: Delivery::Upload,
    })
}

/// A backend with an image, in folders that are removed afterwards.
struct Place {
    folder: TempDir,
    backend: LocalBackend,
    agent: AgentPayload,
}

impl Place {
    fn new(agent: AgentPayload) -> io::Result<Self> {
        Self::at(agent, "state")
    }

    fn at(agent: AgentPayload, state: &str) -> io::Result<Self> {
        let folder = tempfile::tempdir_in("/var/tmp")?;
        let image = folder.path().join("images/image_1/rootfs/testbed");
        fs::create_dir_all(&image)?;
        fs::write(image.join("file"), "of the image\n")?;
        let config =
            LocalConfig { state_dir: folder.path().join(state), image_dir: folder.path().join("images") };
        let backend = LocalBackend::new(config).map_err(io::Error::other)?;
        Ok(Self { folder, backend, agent })
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("images/image_1/rootfs")
    }

    fn spec(&self) -> Result<SandboxSpec, Failed> {
        Ok(SandboxSpec::new(SandboxName::new("box")?, "image:1", "tests", Duration::from_secs(300)))
    }

    async fn create(&self, spec: &SandboxSpec) -> Result<Incarnation, Failed> {
        Ok(self.backend.create(spec, &self.agent).await?)
    }

    /// A connection to the agent, which may still be starting.
    async fn connect(&self, id: &Incarnation) -> Result<Client, Failed> {
        let connecting = async {
            loop {
                match self.backend.open_stream(id).await {
                    Ok(stream) => return Client::connect(stream).await,
                    Err(error) if error.kind() == ErrorKind::StreamLost => {
                        sleep(Duration::from_millis(5)).await
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(timeout(SOON, connecting).await??)
    }

    /// Makes a sandbox, runs a script in it, and removes it. Returns what the script prints, and how it ends.
    async fn run(&self, spec: &SandboxSpec, script: &str) -> Result<(String, End), Failed> {
        let id = self.create(spec).await?;
        let ran = run(&self.connect(&id).await?, script).await?;
        self.backend.delete(&id).await?;
        Ok(ran)
    }

    /// What is left in the folder of sandboxes.
    fn left(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.folder.path().join("state"))?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.filter(|name| !name.as_ref().is_ok_and(|name| name == ".lock")).collect()
    }
}

/// Runs a script. Returns what it prints, and how it ends.
async fn run(client: &Client, script: &str) -> Result<(String, End), Failed> {
    let mut process = client.start(CommandSpec::shell(format!("exec 2>&1; {script}"))).await?;
    let mut said = String::new();
    if let Some(stdout) = &mut process.stdout {
        stdout.read_to_string(&mut said).await?;
    }
    Ok((said, process.wait().await?.end))
}

/// Whether any process of this machine has `word` on its command line.
fn runs(word: &str) -> io::Result<bool> {
    let processes = fs::read_dir("/proc")?.filter_map(Result::ok);
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    Ok(lines.into_iter().any(|line| line.split(|byte| *byte == 0).any(|given| given == word.as_bytes())))
}

fn host_has(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

async fn what_is_private(place: Place) -> Outcome {
    let mark = format!("oh-test-{}", std::process::id());
    let script = format!(
        "cat /testbed/file; echo changed >/testbed/file; ls -A /root; touch /tmp/{mark} /{mark}; ls -A /tmp; \
         echo $$; test -s /etc/passwd && id -u"
    );
    let (said, end) = place.run(&place.spec()?, &script).await?;
    assert_eq!(end, End::Exited(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["of the image", &*mark], "its own files, an empty home, an own /tmp: {said}");
    assert!(lines[2].parse::<u32>()? < 100, "process numbers are its own: {said}");
    assert_eq!(lines[3], "0", "{said}");
    assert!(!host_has(&Path::new("/tmp").join(&mark)) && !host_has(&Path::new("/").join(&mark)));
    assert_eq!(fs::read_to_string(place.image().join("testbed/file"))?, "of the image\n");
    Ok(())
}

async fn repositories_stay_clean(place: Place) -> Outcome {
    let testbed = place.image().join("testbed");
    let git = |arguments: &[&str]| -> io::Result<bool> {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b"];
        let git = Command::new("git").arg("-C").arg(&testbed).args(identity).args(arguments).output()?;
        Ok(git.status.success())
    };
    if !git(&["init", "-q"]).unwrap_or(false) {
        return Err("git is not installed".into());
    }
    assert!(git(&["add", "."])? && git(&["commit", "-q", "-m", "all"])?);
    let script = "cd /testbed && git status --porcelain && git diff-files && git log --format=%s";
    assert_eq!(place.run(&place.spec()?, script).await?, ("all\n".to_owned(), End::Exited(0)));
    Ok(())
}

async fn variables_are_those_asked_for(place: Place) -> Outcome {
    let env = [("name", "a\n'b' $c"), ("PATH", "/nowhere"), ("LD_PRELOAD", "")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let spec = SandboxSpec { env, ..place.spec()? };
    let (said, end) = place.run(&spec, "/usr/bin/tr '\\0' '|' </proc/$$/environ").await?;
    assert_eq!(end, End::Exited(0), "{said}");
    let mut variables: Vec<&str> = said.split_terminator('|').collect();
    variables.sort_unstable();
    assert_eq!(variables, ["HOME=/root", "LANG=C.UTF-8", "LD_PRELOAD=", "PATH=/nowhere", "name=a\n'b' $c"]);
    let spec = SandboxSpec { env: [("a.b".to_owned(), String::new())].into(), ..place.spec()? };
    let error = place.backend.create(&spec, &place.agent).await.err().ok_or("a.b was accepted")?;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    Ok(())
}

async fn mounts_never_make_anything_on_the_host(place: Place) -> Outcome {
    let data = place.folder.path().join("data");
    fs::create_dir(&data)?;
    let mount = |target: &str| Mount { source: data.clone(), target: target.into(), read_only: false };
    let absent = format!("/usr/oh-test-{}", std::process::id());
    let spec = SandboxSpec { mounts: vec![mount(&absent)], ..place.spec()? };
    let error = place.backend.create(&spec, &place.agent).await.err().ok_or("it was mounted")?;
    assert_eq!(error.kind(), ErrorKind::StartFailed, "{error}");
    assert!(error.to_string().contains(&format!("no {absent} in it")), "{error}");
    assert!(!host_has(Path::new(&absent)));
    assert_eq!(place.left()?, Vec::<String>::new());
    // On what the host has, on what nobody has, and in what the image has.
    let mounts = ["/srv", "/oh-test/deep", "/testbed/new"].map(mount).into();
    let spec = SandboxSpec { mounts, ..place.spec()? };
    let script = "for f in /srv /oh-test/deep /testbed/new; do echo $f >>$f/file; done; cat /srv/file";
    let (said, end) = place.run(&spec, script).await?;
    assert_eq!((said.as_str(), end), ("/srv\n/oh-test/deep\n/testbed/new\n", End::Exited(0)));
    assert_eq!(fs::read_to_string(data.join("file"))?, said, "the host's folder outlives the sandbox");
    assert!(!host_has(Path::new("/srv/file")) && !host_has(Path::new("/oh-test")));
    Ok(())
}

async fn read_only_mounts_are(place: Place) -> Outcome {
    let data = place.folder.path().join("data");
    fs::write(&data, "of the host\n")?;
    let mount = |target: &str| Mount { source: data.clone(), target: target.into(), read_only: true };
    let spec = SandboxSpec { mounts: vec![mount("/testbed/file"), mount("/data")], ..place.spec()? };
    let script = "cat /testbed/file /data; (echo no >/data) && echo written";
    let (said, end) = place.run(&spec, script).await?;
    assert!(said.starts_with("of the host\nof the host\n") && said.contains("Read-only"), "{said}");
    assert_ne!(end, End::Exited(0), "{said}");
    Ok(())
}

async fn an_agent_that_ends_takes_everything_along(place: Place) -> Outcome {
    let id = place.create(&place.spec()?).await?;
    let client = place.connect(&id).await?;
    let sleeper = format!("600.{}", std::process::id());
    let mut process = client.start(CommandSpec::shell(format!("setsid sleep {sleeper} & wait"))).await?;
    while !runs(&sleeper)? {
        sleep(Duration::from_millis(5)).await;
    }
    let meta: serde_json::Value =
        serde_json::from_slice(&fs::read(place.folder.path().join("state/box/meta.json"))?)?;
    let agent = meta["agent"]["pid"].as_i64().ok_or("no agent")?;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(agent)?),
        nix::sys::signal::Signal::SIGKILL,
    )?;
    let error = timeout(SOON, process.wait()).await?.err().ok_or("the command ended all the same")?;
    assert_eq!(error.kind(), ErrorKind::StreamLost);
    let which = Selector::name(id.name.clone());
    let ended = async {
        while place.backend.list(&which).await?[0].state != SandboxState::Exited {
            sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, Failed>(())
    };
    timeout(SOON, ended).await??;
    let error = place.backend.open_stream(&id).await.err().ok_or("somebody answers")?;
    assert_eq!(error.kind(), ErrorKind::Ended);
    let evidence = place.backend.evidence(&id).await?;
    assert_eq!(evidence.state, SandboxState::Exited);
    assert!(evidence.log_tail.contains("serving \"box\""), "{evidence:?}");
    assert!(!runs(&sleeper)?, "a process of the sandbox outlived its agent");
    assert_eq!(place.backend.delete(&id).await?, DeleteReport::Deleted);
    Ok(())
}

async fn a_creation_that_is_given_up_leaves_nothing(place: Place) -> Outcome {
    let spec = place.spec()?;
    for milliseconds in [0, 1, 2, 4, 8, 16, 32] {
        let creating = place.backend.create(&spec, &place.agent);
        if let Ok(created) = timeout(Duration::from_millis(milliseconds), creating).await {
            place.backend.delete(&created?).await?;
        }
        let gone = async {
            while !place.left().map_err(|error| error.to_string())?.is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
            Ok::<_, String>(())
        };
        timeout(SOON, gone).await??;
    }
    Ok(())
}

async fn removal_leaves_nothing(place: Place) -> Outcome {
    let id = place.create(&place.spec()?).await?;
    let client = place.connect(&id).await?;
    let (said, end) =
        run(&client, "mkdir -p /testbed/a/b && chmod 0 /testbed/a; ln -s /etc /testbed/etc").await?;
    assert_eq!(end, End::Exited(0), "{said}");
    let other = Incarnation { uid: "another".into(), ..id.clone() };
    assert_eq!(place.backend.delete(&other).await?, DeleteReport::AlreadyGone);
    assert_eq!(place.left()?, ["box"]);
    let (one, two) = tokio::join!(place.backend.delete(&id), place.backend.delete(&id));
    let reports = [one?, two?];
    assert!(reports.contains(&DeleteReport::Deleted), "{reports:?}");
    assert_eq!(place.left()?, Vec::<String>::new());
    assert!(host_has(Path::new("/etc/passwd")));
    assert_eq!(place.backend.delete(&id).await?, DeleteReport::AlreadyGone);
    Ok(())
}

async fn what_is_mounted_in_it_is_not_removed(place: Place) -> Outcome {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let id = place.create(&place.spec()?).await?;
    let data = place.folder.path().join("data");
    fs::create_dir(&data)?;
    fs::write(data.join("file"), "kept")?;
    let target = place.folder.path().join("state/box/root/testbed");
    assert!(Command::new("mount").arg("--bind").args([&data, &target]).status()?.success());
    let error = place.backend.delete(&id).await.err().ok_or("it was removed")?;
    assert!(error.to_string().contains("is mounted in it"), "{error}");
    assert_eq!(place.left()?, ["box"], "it can be found again");
    assert_eq!(fs::read_to_string(data.join("file"))?, "kept");
    assert!(Command::new("umount").arg(&target).status()?.success());
    assert_eq!(place.backend.delete(&id).await?, DeleteReport::Deleted);
    assert_eq!(fs::read_to_string(data.join("file"))?, "kept");
    Ok(())
}

async fn long_paths_work(place: Place) -> Outcome {
    let place = Place::at(place.agent, &"state/".repeat(30))?;
    let (said, end) = place.run(&place.spec()?, "pwd; cat /testbed/file").await?;
    assert_eq!((said.as_str(), end), ("/\nof the image\n", End::Exited(0)));
    Ok(())
}
