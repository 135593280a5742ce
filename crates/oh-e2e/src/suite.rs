//! Runs the cases on the backends.

use std::any::Any;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use oh_runtime::RunId;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::baseline::Baseline;
use crate::case::Case;
use crate::context::{Context, RUN_PREFIX, Subject};
use crate::failure::{CaseResult, Failure};
use crate::report::{self, Outcome, Record};
use crate::skips::{Skips, Verdict};
use crate::{cases, environment};

/// How long removing a case's sandboxes may take.
const CLEAN_UP: Duration = Duration::from_secs(60);

type Records = Arc<Mutex<Vec<Record>>>;

/// Runs what the command line asks for and says how it went.
///
/// # Errors
/// In words, when nothing could be run.
pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no tokio runtime: {error}"))?;
    let backends = environment::backends();
    let cases = cases::all();
    let skips = Arc::new(Skips::read(&environment::conformance().join("skips.toml"))?);
    let records = Records::default();
    let run = run_id()?;
    let subjects: Vec<Arc<Subject>> = if arguments.list {
        Vec::new()
    } else {
        backends.iter().map(|backend| Arc::new(tokio.block_on(Subject::open(backend, &run)))).collect()
    };

    let mut trials = Vec::new();
    for backend in &backends {
        let subject = subjects.iter().find(|subject| subject.name() == backend);
        for case in &cases {
            let (case, subject, skips, records) =
                (*case, subject.cloned(), Arc::clone(&skips), Arc::clone(&records));
            let handle = tokio.handle().clone();
            trials.push(Trial::ignorable_test(format!("{backend}::{}", case.id()), move || {
                let subject = subject.ok_or("the cases are only listed")?;
                one(&handle, &subject, &skips, case, &records)
            }));
        }
    }
    let ran = libtest_mimic::run(arguments, trials);
    if arguments.list {
        return Ok(ran.exit_code());
    }
    let complete = ran.num_filtered_out == 0;
    let afterwards = afterwards(&tokio, &subjects, &skips, &cases, &records, complete);
    // Whatever part of the cases was asked for, these always run.
    let everything = Arguments { filter: None, exact: false, skip: Vec::new(), ..arguments.clone() };
    let checked = libtest_mimic::run(&everything, afterwards);
    if let Some(path) = environment::variable(environment::REPORT) {
        report::write(&PathBuf::from(path), &take(&records))?;
    }
    Ok(if ran.has_failed() { ran.exit_code() } else { checked.exit_code() })
}

/// An id no other run has.
fn run_id() -> Result<RunId, String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let id = format!("{RUN_PREFIX}{}-{}", std::process::id(), since.as_millis());
    RunId::new(id).map_err(|error| error.to_string())
}

fn one(
    tokio: &Handle,
    subject: &Arc<Subject>,
    skips: &Skips,
    case: Case,
    records: &Records,
) -> Result<Completion, Failed> {
    let verdict = match subject.runtime() {
        Ok(runtime) => skips.verdict(subject.name(), &case, &runtime.capabilities()),
        Err(error) => Verdict::Wrong(error.to_string()),
    };
    let (outcome, reason) = match verdict {
        Verdict::Skip(reason) => (Outcome::Skipped, Some(reason)),
        Verdict::Wrong(reason) => (Outcome::Failed, Some(reason)),
        Verdict::Run => match tokio.block_on(run_case(Arc::clone(subject), case)) {
            Ok(()) => (Outcome::Passed, None),
            Err(failure) => (Outcome::Failed, Some(failure.to_string())),
        },
    };
    let record =
        Record { backend: subject.name().to_owned(), case: case.id(), outcome, reason: reason.clone() };
    records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    match (outcome, reason.unwrap_or_default()) {
        (Outcome::Passed, _) => Ok(Completion::Completed),
        (Outcome::Skipped, reason) => Ok(Completion::ignored_with(reason)),
        (Outcome::Failed, reason) => Err(reason.into()),
    }
}

/// Runs a case within its deadline, and removes what it made however it ended.
async fn run_case(subject: Arc<Subject>, case: Case) -> CaseResult {
    let context = Arc::new(Context::new(subject, case.id()));
    let task = {
        let context = Arc::clone(&context);
        tokio::spawn(async move { (case.run)(&context).await })
    };
    let abort = task.abort_handle();
    let result = match timeout(case.deadline, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(broken)) => Err(Failure::new(panic_message(broken))),
        Err(_) => {
            abort.abort();
            Err(Failure::new(format!("did not finish in {} s", case.deadline.as_secs())))
        }
    };
    let cleaned = match timeout(CLEAN_UP, context.clean_up()).await {
        Ok(cleaned) => cleaned,
        Err(_) => Err(Failure::new(format!("could not be cleaned up in {} s", CLEAN_UP.as_secs()))),
    };
    result.and(cleaned)
}

fn panic_message(broken: tokio::task::JoinError) -> String {
    let Ok(payload) = broken.try_into_panic() else { return "was cancelled".to_owned() };
    let payload: &(dyn Any + Send) = &*payload;
    let message = payload.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| payload.downcast_ref::<&str>().copied());
    format!("panicked: {}", message.unwrap_or("without words"))
}

/// What is checked when all cases are over.
fn afterwards(
    tokio: &tokio::runtime::Runtime,
    subjects: &[Arc<Subject>],
    skips: &Skips,
    cases: &[Case],
    records: &Records,
    complete: bool,
) -> Vec<Trial> {
    let mistakes = skips.mistakes(cases);
    let mut trials = vec![Trial::test("suite::the_skip_list_is_right", move || none(&mistakes))];
    for subject in subjects {
        let name = subject.name();
        let left = tokio.block_on(async { timeout(CLEAN_UP, subject.clean_up()).await });
        trials.push(Trial::test(format!("{name}::suite::nothing_is_left"), move || match left {
            Err(_) => Err("removing what is left did not finish".into()),
            Ok(Err(failure)) => Err(failure.to_string().into()),
            Ok(Ok(names)) => none(&names.iter().map(|name| format!("{name} was left")).collect::<Vec<_>>()),
        }));
        let regressions = regressions(name, records, complete);
        trials.push(Trial::test(format!("{name}::suite::nothing_got_worse"), move || none(&regressions?)));
    }
    trials
}

/// Compares with the committed baseline of the backend, if it has one.
fn regressions(backend: &str, records: &Records, complete: bool) -> Result<Vec<String>, String> {
    let path = Baseline::path(backend);
    let Some(baseline) = Baseline::read(&path)? else { return Ok(Vec::new()) };
    let difference = baseline.compare(&Baseline::of(backend, &take(records)), complete);
    if !difference.unknown.is_empty() {
        eprintln!(
            "note: not in the baseline of {backend}: {}\nto add them: run all cases with {}=FILE, then \
             `cargo run -p oh-e2e --bin parity -- baseline {backend} FILE`",
            difference.unknown.join(", "),
            environment::REPORT
        );
    }
    Ok(difference.regressions.into_iter().map(|what| format!("regression: {backend}::{what}")).collect())
}

fn take(records: &Records) -> Vec<Record> {
    let mut records = records.lock().unwrap_or_else(PoisonError::into_inner).clone();
    records.sort_by(|a, b| (&a.backend, &a.case).cmp(&(&b.backend, &b.case)));
    records
}

fn none(mistakes: &[String]) -> Result<(), Failed> {
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes.join("\n").into()) }
}
