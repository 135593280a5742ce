//! Reaching an agent, and what a broken stream was a sign of.

use std::sync::Arc;
use std::time::Duration;

use oh_runtime_api::{CommandSpec, Error, ErrorKind, Outcome, Sandbox, SandboxState};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::fake::{Attempt, Commands, Fake, evidence, id, info};
use crate::SandboxExt;
use crate::sandbox::Attached;

const AGENT: Attempt = Attempt::Agent(1, Commands::End);
const NOT_YET: Attempt = Attempt::Refused(ErrorKind::StreamLost);

fn sandbox(fake: &Fake) -> Attached {
    Attached::made(fake.backend(), id())
}

fn true_() -> CommandSpec {
    CommandSpec::new(["true"])
}

/// The error of connecting, and how long it took.
async fn fails(fake: &Fake) -> (Error, Duration) {
    let begun = Instant::now();
    let error = sandbox(fake).connect(Duration::from_secs(60)).await.unwrap_err();
    (error, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_late_is_waited_for() {
    let fake = Fake::with(SandboxState::Running, [NOT_YET, Attempt::Cut, NOT_YET, AGENT]);
    let info = sandbox(&fake).connect(Duration::from_secs(60)).await.unwrap();
    assert_eq!((info.boot, fake.change(|state| state.opened)), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_at_the_deadline_with_what_was_seen() {
    for attempt in [NOT_YET, Attempt::Cut, Attempt::Silent] {
        let fake = Fake::with(SandboxState::Running, [attempt]);
        fake.change(|state| state.evidence = Some(evidence("still pulling itself together\n", false)));
        let (error, waited) = fails(&fake).await;
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Deadline, Outcome::NotStarted), "{error}");
        assert!(error.operation().contains("box"), "{error}");
        assert!(error.facts().any(|fact| fact == ("log", "still pulling itself together")), "{error:?}");
        assert!(
            waited.abs_diff(Duration::from_secs(60)) <= Duration::from_secs(1),
            "{attempt:?}: {waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_hopeless_is_not_waited_for() {
    let ended = |log: &str, oom| {
        let fake = Fake::with(SandboxState::Exited, [NOT_YET]);
        fake.change(|state| state.evidence = Some(evidence(log, oom)));
        fake
    };
    let removed = Fake::with(SandboxState::Running, [Attempt::Refused(ErrorKind::NotFound)]);
    removed.change(|state| state.sandboxes.clear());
    let replaced = Fake::with(SandboxState::Running, [NOT_YET]);
    replaced.change(|state| state.sandboxes = vec![info("another", SandboxState::Running)]);
    for (fake, kind, says) in [
        (
            ended("one\nexec format error\u{1b}[2J\n", false),
            ErrorKind::EndedBeforeReady,
            "with code 7; its last words: exec format error[2J",
        ),
        (ended("", true), ErrorKind::OomKilled, "more memory"),
        (removed, ErrorKind::Deleted, "removed"),
        (replaced, ErrorKind::Replaced, "another sandbox"),
        (Fake::with(SandboxState::Running, [Attempt::Foreign]), ErrorKind::Version, "version"),
        (
            Fake::with(SandboxState::Running, [Attempt::Refused(ErrorKind::Forbidden)]),
            ErrorKind::Forbidden,
            "refused",
        ),
    ] {
        let (error, waited) = fails(&fake).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(waited < Duration::from_secs(1), "{error}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_away_for_a_moment_is_waited_for() {
    let away = Attempt::Refused(ErrorKind::Unavailable);
    let fake = Fake::with(SandboxState::Running, [away, away, AGENT]);
    sandbox(&fake).run(true_()).await.unwrap();
    let (error, waited) = fails(&Fake::with(SandboxState::Running, [away])).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(waited > Duration::from_secs(50), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_share_a_stream_and_open_another_when_it_broke() {
    let fake = Fake::with(SandboxState::Running, [Attempt::Agent(1, Commands::BreakAt(1)), AGENT]);
    let sandbox = sandbox(&fake);
    let mut process = sandbox.start(true_()).await.unwrap();
    let error = process.wait().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::StreamLost, Outcome::Unknown));
    assert!(error.to_string().contains("may still run"), "{error}");
    let output = sandbox.run(true_()).await.unwrap();
    assert_eq!((output.stdout.bytes, output.stderr.bytes), (b"said".to_vec(), b"said".to_vec()));
    sandbox.run(true_()).await.unwrap();
    let counts = fake.change(|state| (state.opened, state.started));
    // The streams in between showed that the agent does not know the session, and that it still answers.
    assert_eq!(counts, (4, 3), "the command of the broken stream was not run again");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_answer_is_a_lost_one() {
    let fake = Fake::with(SandboxState::Running, [Attempt::Agent(1, Commands::BreakAt(1)), NOT_YET]);
    let sandbox = sandbox(&fake);
    let mut process = sandbox.start(true_()).await.unwrap();
    // The backend takes a while to notice.
    let late = fake.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(40)).await;
        late.change(|state| state.sandboxes = vec![info("uid", SandboxState::Unreachable)]);
    });
    let error = process.wait().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NodeLost, Outcome::Unknown), "{error}");
    let error = sandbox.run(true_()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NodeLost, Outcome::NotStarted), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_stream_is_explained_to_everybody_by_asking_once() {
    let fake = Fake::with(SandboxState::Running, [Attempt::Agent(1, Commands::BreakAt(3))]);
    let sandbox = Arc::new(sandbox(&fake));
    let mut running = Vec::new();
    for _ in 0..2 {
        running.push(sandbox.start(true_()).await.unwrap());
    }
    let asked = fake.change(|state| {
        state.sandboxes = vec![info("uid", SandboxState::Exited)];
        state.evidence = Some(evidence("", true));
        state.lists
    });
    let last = sandbox.run(true_()).await.unwrap_err();
    for process in &mut running {
        let error = process.wait().await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::OomKilled, Outcome::Unknown), "{error}");
        let mut stdout = process.stdout.take().unwrap();
        let error = stdout.read_u8().await.unwrap_err().downcast::<Error>().unwrap();
        assert_eq!(error.kind(), ErrorKind::OomKilled, "{error}");
    }
    assert_eq!(last.kind(), ErrorKind::OomKilled);
    assert_eq!(fake.change(|state| state.lists) - asked, 6, "one look, and five to let it settle");
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_shows_as_an_end_first_is_a_removal() {
    let fake = Fake::with(SandboxState::Running, [Attempt::Agent(1, Commands::BreakAt(1))]);
    let mut process = sandbox(&fake).start(true_()).await.unwrap();
    fake.change(|state| state.sandboxes = vec![info("uid", SandboxState::Exited)]);
    let remover = fake.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        remover.change(|state| state.sandboxes.clear());
    });
    assert_eq!(process.wait().await.unwrap_err().kind(), ErrorKind::Deleted);
}

#[tokio::test(start_paused = true)]
async fn an_end_after_the_first_answer_is_no_end_before_ready() {
    let fake = Fake::with(SandboxState::Running, [Attempt::Agent(1, Commands::BreakAt(1)), NOT_YET]);
    let sandbox = sandbox(&fake);
    sandbox.connect(Duration::from_secs(60)).await.unwrap();
    let mut process = sandbox.start(true_()).await.unwrap();
    fake.change(|state| state.sandboxes = vec![info("uid", SandboxState::Exited)]);
    assert_eq!(process.wait().await.unwrap_err().kind(), ErrorKind::Ended);
    for sandbox in [sandbox, Attached::found(fake.backend(), id())] {
        let error = sandbox.run(true_()).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Ended, Outcome::NotStarted));
    }
}

#[tokio::test(start_paused = true)]
async fn another_boot_of_the_agent_is_not_taken_for_the_first() {
    let fake = Fake::with(
        SandboxState::Running,
        [Attempt::Agent(1, Commands::BreakAt(1)), Attempt::Agent(2, Commands::End)],
    );
    let sandbox = sandbox(&fake);
    sandbox.start(true_()).await.unwrap().wait().await.unwrap_err();
    for _ in 0..2 {
        let error = sandbox.run(true_()).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Restarted, Outcome::NotStarted), "{error}");
    }
    assert_eq!(fake.change(|state| state.started), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_request_of_one_does_not_hold_up_anothers_deadline() {
    let fake = Fake::with(SandboxState::Running, [Attempt::Silent]);
    let sandbox = sandbox(&fake);
    let begun = Instant::now();
    let (long, short) = tokio::join!(sandbox.connect(Duration::from_secs(100)), async {
        let error = sandbox.connect(Duration::from_secs(5)).await.unwrap_err();
        (error.kind(), begun.elapsed())
    });
    assert_eq!(long.unwrap_err().kind(), ErrorKind::Deadline);
    assert_eq!(short.0, ErrorKind::Deadline);
    assert!(short.1 < Duration::from_secs(6), "{:?}", short.1);
}
