//! Commands that attack what runs them. The outcome of each is exact, and the same agent answers afterwards.

use std::collections::BTreeSet;

use oh_runtime::{CommandSpec, End, ErrorKind, Outcome, Sandbox, SandboxExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::failures::{boot, has_its_own_processes, preamble, refused_version, still_answers};
use crate::case::{AGENT_PROTECTED, Case, ISOLATED, case};
use crate::context::Context;
use crate::failure::{CaseResult, Failure, check, empty, equal, refused};
use crate::probe::{read_all, script, soon, succeeds, text};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(killing_process_1_does_nothing),
        case!(killing_what_is_called_oh_invents_nothing),
        case!(killing_the_bridge_loses_nothing).needs(&[AGENT_PROTECTED]),
        case!(the_agents_socket_cannot_be_squatted).needs(&[AGENT_PROTECTED]),
        case!(a_socket_of_somebody_else_is_not_the_agents).needs(&[AGENT_PROTECTED]),
        case!(a_process_that_connects_to_the_agent_hears_nothing).needs(&[AGENT_PROTECTED]),
        case!(nothing_of_ours_can_be_read).needs(&[AGENT_PROTECTED]),
        case!(nothing_can_be_written_into_our_streams).needs(&[AGENT_PROTECTED]),
        case!(forged_frames_are_only_output),
        case!(closed_descriptors_end_nothing),
        case!(a_full_disk_is_said_to_be_full).needs(&[ISOLATED]),
    ]
}

/// Prelude of the scripts: the processes called `oh-…`, with their parents.
const OURS: &str = r"
import os, signal, sys
def ours():
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            stat = open('/proc/' + pid + '/stat').read()
        except OSError:
            continue
        name, rest = stat[stat.index('(') + 1:stat.rindex(')')], stat[stat.rindex(')') + 2:].split()
        if name.startswith('oh-'):
            found.append((int(pid), int(rest[1])))
    return found
def killed(pid):
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return 0
    return 1
";

fn python(text: &str) -> CommandSpec {
    CommandSpec::new(["python3".to_owned(), "-c".to_owned(), format!("{OURS}{text}")])
}

async fn killing_process_1_does_nothing(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    has_its_own_processes(&*sandbox).await?;
    let boot = boot(&*sandbox).await?;
    for kill in ["kill 1", "kill -9 1", "kill -HUP 1; kill -INT 1; kill -QUIT 1; kill -ABRT 1; kill -STOP 1"]
    {
        // The kernel takes these signals, and process 1 does not get them.
        let output =
            soon(kill, sandbox.run(CommandSpec::shell(format!("{kill} && echo sent; exit 3")))).await??;
        equal(kill, &(output.finished.end, text(&output).as_str()), &(End::Exited(3), "sent\n"))?;
        still_answers(&*sandbox, boot).await?;
    }
    Ok(())
}

async fn killing_what_is_called_oh_invents_nothing(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    has_its_own_processes(&*sandbox).await?;
    let boot = boot(&*sandbox).await?;
    let folder = succeeds(&*sandbox, CommandSpec::new(["mktemp", "-d"])).await?;
    let others = CommandSpec::shell("until [ -e go ]; do sleep 0.05; done; exit 7").cwd(folder.trim());
    let mut others: Vec<_> =
        futures::future::try_join_all((0..5).map(|_| sandbox.start(others.clone()))).await?;
    // `pkill -9 oh`: their supervisors, this command's own, and the bridge.
    let kill = python("for pid, _ in ours():\n    if pid != 1: killed(pid)\nsys.exit(5)");
    match soon("the killer", sandbox.run(kill)).await? {
        Ok(output) => equal("end of the killer", &output.finished.end, &End::Exited(5))?,
        Err(error) => equal("outcome of the killer", &error.outcome(), &Outcome::Unknown)?,
    }
    still_answers(&*sandbox, boot).await?;
    script(&*sandbox, format!("touch {}/go", folder.trim())).await?;
    for other in &mut others {
        // The agent sees the end of what lost its supervisor itself.
        match soon("another command", other.wait()).await? {
            Ok(finished) => equal("end", &finished.end, &End::Exited(7))?,
            Err(error) => equal("outcome", &error.outcome(), &Outcome::Unknown)?,
        }
    }
    still_answers(&*sandbox, boot).await
}

async fn killing_the_bridge_loses_nothing(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let boot = boot(&*sandbox).await?;
    // A bridge has no parent in here, as the agent has none.
    let kill = "count = 0\n\
                for line in sys.stdin:\n    \
                    for pid, parent in ours():\n        \
                        if parent == 0 and pid != 1: count += killed(pid)\n    \
                    print(line, end='', flush=True)\n\
                sys.exit(9 if count >= 5 else 1)";
    let mut killer = sandbox.start(python(kill).stdin()).await?;
    let mut stdin = killer.stdin.take().ok_or_else(|| Failure::new("it has no standard input"))?;
    let stdout = killer.stdout.take().ok_or_else(|| Failure::new("it has no standard output"))?;
    let mut stdout = BufReader::new(stdout);
    for number in 0..5 {
        // Each line kills the stream it came over; its echo comes over another.
        let (line, mut said) = (format!("{number}\n"), String::new());
        stdin.write_all(line.as_bytes()).await?;
        stdin.flush().await?;
        soon("the echo", stdout.read_line(&mut said)).await??;
        equal("the echo", &said, &line)?;
        still_answers(&*sandbox, boot).await?;
    }
    stdin.shutdown().await?;
    let rest = soon("the output", read_all(Some(stdout))).await??;
    equal("the rest", &rest.len(), &0)?;
    equal("end", &soon("the killer", killer.wait()).await??.end, &End::Exited(9))
}

/// The agent's abstract address, as the kernel lists it inside the sandbox, without the zero byte.
async fn address(sandbox: &dyn Sandbox) -> CaseResult<String> {
    let sockets = succeeds(sandbox, CommandSpec::new(["cat", "/proc/net/unix"])).await?;
    let named = sockets.lines().filter_map(|line| line.split_once("@oh-agent/").map(|(_, name)| name));
    // The listening socket and the accepted ones have one name.
    let names: BTreeSet<&str> = named.collect();
    equal("different names", &names.len(), &1)?;
    Ok(format!("oh-agent/{}", names.first().copied().unwrap_or_default()))
}

async fn the_agents_socket_cannot_be_squatted(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let boot = boot(&*sandbox).await?;
    let squat = "import errno, socket\n\
                 s = socket.socket(socket.AF_UNIX)\n\
                 try:\n    s.bind('\\0' + sys.argv[1]); print('bound')\n\
                 except OSError as error: print(errno.errorcode[error.errno])";
    let mut spec = python(squat);
    spec.argv.push(address(&*sandbox).await?.into());
    equal("binding it", &succeeds(&*sandbox, spec).await?, &"EADDRINUSE\n")?;
    still_answers(&*sandbox, boot).await
}

async fn a_socket_of_somebody_else_is_not_the_agents(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let boot = boot(&*sandbox).await?;
    // The bridge is given another name, on which a process of the sandbox says what an agent would.
    let squat = format!(
        "import socket, subprocess\n\
         s = socket.socket(socket.AF_UNIX); s.bind('\\0oh-agent/squatted'); s.listen()\n\
         bridge = subprocess.Popen([sys.argv[1], 'bridge', 'squatted'], stdin=subprocess.PIPE, \
         stdout=subprocess.PIPE, stderr=subprocess.PIPE)\n\
         peer, _ = s.accept()\n\
         try: peer.sendall(bytes({:?}))\n\
         except OSError: pass\n\
         out, err = bridge.communicate(timeout=10)\n\
         print(len(out), bridge.returncode, b\"listens in the agent's place\" in err)",
        preamble(refused_version(cx, &*sandbox).await?)
    );
    let mut spec = python(&squat);
    spec.argv.extend(oh_runtime::bridge_argv(&sandbox.incarnation().name).into_iter().take(1));
    equal("bytes let through, exit code, its words", &succeeds(&*sandbox, spec).await?, &"0 1 True\n")?;
    still_answers(&*sandbox, boot).await
}

async fn a_process_that_connects_to_the_agent_hears_nothing(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let boot = boot(&*sandbox).await?;
    // It says hello as a client would, from a command, from its child, and from an orphan in a session of its own.
    let talk = format!(
        "import socket, time\n\
         def talk():\n    \
             s = socket.socket(socket.AF_UNIX); s.settimeout(10); got = b''\n    \
             s.connect('\\0' + sys.argv[1])\n    \
             try:\n        s.sendall(bytes({:?})); got = s.recv(100)\n    \
             except ConnectionError: pass\n    \
             print(len(got), flush=True)\n\
         talk()\n\
         done, tell = os.pipe()\n\
         if os.fork() == 0:\n    \
             talk()\n    \
             child = os.getpid()\n    \
             if os.fork() == 0:\n        \
                 os.setsid()\n        \
                 while os.getppid() == child: time.sleep(0.01)\n        \
                 talk()\n    \
             os._exit(0)\n\
         os.close(tell); os.read(done, 1)",
        preamble(refused_version(cx, &*sandbox).await?)
    );
    let mut spec = python(&talk);
    spec.argv.push(address(&*sandbox).await?.into());
    equal("bytes of answers", &soon("the talk", succeeds(&*sandbox, spec)).await??, &"0\n0\n0\n")?;
    let bridge = oh_runtime::bridge_argv(&sandbox.incarnation().name);
    let output = soon("the bridge", sandbox.run(CommandSpec::new(bridge))).await??;
    empty("an answer through the bridge", &output.stdout.bytes)?;
    still_answers(&*sandbox, boot).await
}

async fn nothing_of_ours_can_be_read(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let look = "count, read = 0, []\n\
                for pid, _ in ours():\n    \
                    count += 1\n    \
                    for name in ['mem', 'environ', 'maps', 'auxv', 'stack', 'syscall', 'io']:\n        \
                        try:\n            \
                            if open('/proc/%d/%s' % (pid, name), 'rb').read(1): read.append((pid, name))\n        \
                        except OSError: pass\n    \
                    for name in ['fd', 'map_files']:\n        \
                        try:\n            \
                            for entry in os.listdir('/proc/%d/%s' % (pid, name)): \
                                os.readlink('/proc/%d/%s/%s' % (pid, name, entry)); read.append((pid, name))\n        \
                        except OSError: pass\n    \
                    for name in ['exe', 'cwd', 'root']:\n        \
                        try:\n            \
                            os.readlink('/proc/%d/%s' % (pid, name)); read.append((pid, name))\n        \
                        except OSError: pass\n\
                print(count >= 2, read)";
    // At least the agent and this command's supervisor are there.
    equal("seen, and read", &succeeds(&*sandbox, python(look)).await?, &"True []\n")
}

async fn nothing_can_be_written_into_our_streams(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let boot = boot(&*sandbox).await?;
    let write = "written = []\n\
                 for pid, _ in ours():\n    \
                     for fd in range(32):\n        \
                         try:\n            \
                             with open('/proc/%d/fd/%d' % (pid, fd), 'wb', 0) as file: \
                                 written.append((pid, fd, file.write(b'forged')))\n        \
                         except OSError: pass\n\
                 print(written)";
    equal("written", &succeeds(&*sandbox, python(write)).await?, &"[]\n")?;
    still_answers(&*sandbox, boot).await
}

async fn forged_frames_are_only_output(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let boot = boot(&*sandbox).await?;
    let mut forged = preamble(refused_version(cx, &*sandbox).await?);
    for channel in 0..40_u32 {
        // A message, data and the end of a stream, whose header is channel, length, kind and stream.
        for (kind, payload) in [(0, [6, 0, 0, 0].as_slice()), (2, b"data"), (3, b"")] {
            forged.extend(channel.to_le_bytes());
            forged.extend((payload.len() as u16).to_le_bytes());
            forged.extend([kind, 1]);
            forged.extend(payload);
        }
    }
    let write = format!("import os; [os.write(fd, bytes({forged:?})) for fd in (1, 2, 1)]; os._exit(9)");
    let forger = sandbox.run(CommandSpec::new(["python3", "-c", &write]));
    let beside = sandbox.run(CommandSpec::shell("echo beside; exit 4"));
    let (forger, beside) = soon("both commands", async { tokio::join!(forger, beside) }).await?;
    let (forger, beside) = (forger?, beside?);
    equal("end of the forger", &forger.finished.end, &End::Exited(9))?;
    check(forger.stdout.bytes == forged.repeat(2), "its standard output is another")?;
    check(forger.stderr.bytes == forged, "its standard error is another")?;
    equal("the one beside", &(beside.finished.end, text(&beside).as_str()), &(End::Exited(4), "beside\n"))?;
    still_answers(&*sandbox, boot).await
}

async fn closed_descriptors_end_nothing(cx: &Context) -> CaseResult {
    let sandbox = cx.shared().await?;
    let boot = boot(&*sandbox).await?;
    for (close, code) in [
        ("exec 0<&- 1>&- 2>&-; sleep 0.3; exit 4", 4),
        ("exec python3 -c 'import os, time; os.closerange(0, 65536); time.sleep(0.3); os._exit(6)'", 6),
        ("exec python3 -c 'import os, time; os.closerange(3, 65536); os.write(1, b\"out\"); os._exit(8)'", 8),
    ] {
        let output = soon("the command", sandbox.run(CommandSpec::shell(close))).await??;
        equal(close, &output.finished.end, &End::Exited(code))?;
        equal("output", &text(&output), &if code == 8 { "out" } else { "" })?;
        empty("error output", &output.stderr.bytes)?;
    }
    still_answers(&*sandbox, boot).await
}

async fn a_full_disk_is_said_to_be_full(cx: &Context) -> CaseResult {
    let sandbox = cx.fresh().await?;
    let boot = boot(&*sandbox).await?;
    // The one disk of a known size that every container has.
    let fill =
        "head -c 1G /dev/zero >/dev/shm/full; echo $?; df --output=avail /dev/shm | tail -n 1 | tr -d ' '";
    equal("exit code of the writer, bytes left", &script(&*sandbox, fill).await?, &"1\n0\n")?;
    let writing = sandbox.write("/dev/shm/more".as_ref(), vec![7; 100_000], 0o644);
    refused(soon("writing a file", writing).await?, &[ErrorKind::TransferNoSpace])?;
    still_answers(&*sandbox, boot).await?;
    script(&*sandbox, "rm /dev/shm/full").await?;
    sandbox.write("/dev/shm/more".as_ref(), vec![7; 100_000], 0o644).await?;
    equal("bytes", &script(&*sandbox, "wc -c </dev/shm/more").await?, &"100000\n")
}
