//! How the agent gets into a sandbox, and the end of agents nobody uses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use oh_runtime::{AgentPayload, Runtime, SandboxSpec};
use sha2::{Digest, Sha256};

use crate::case::{Case, KEEPS_AGENTS, case};
use crate::context::Context;
use crate::failure::{CaseResult, check, empty};
use crate::probe::script;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(agents_nobody_uses_are_removed).needs(&[KEEPS_AGENTS]).seconds(240),
    ]
}

/// The agent as nobody else has it: what stands behind an executable's own end changes nothing.
fn own(agent: &AgentPayload) -> AgentPayload {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut bytes = agent.bytes.to_vec();
    bytes.extend(format!("{}-{}-{number}", std::process::id(), since.as_nanos()).bytes());
    let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    AgentPayload { bytes: bytes.into(), digest, ..agent.clone() }
}

async fn unused(runtime: &Runtime) -> CaseResult<Vec<String>> {
    Ok(runtime.collect_agents(true).await?)
}

/// One case, because what one part removes the other would miss.
async fn agents_nobody_uses_are_removed(cx: &Context) -> CaseResult {
    an_unused_one_goes_and_a_used_one_stays(cx).await?;
    nobody_who_makes_sandboxes_is_disturbed(cx).await
}

async fn an_unused_one_goes_and_a_used_one_stays(cx: &Context) -> CaseResult {
    let runtime = cx.runtime()?.with_agent(own(cx.runtime()?.agent()?));
    let sandbox = runtime.create(&cx.spec()?).await?;
    let while_used = unused(&runtime).await?;
    let removed = runtime.collect_agents(false).await?;
    script(&*sandbox, "true").await?;
    // A second one starts from the same agent.
    script(&*runtime.create(&cx.spec()?).await?, "true").await?;
    cx.clean_up().await?;
    let fresh = |names: Vec<String>| -> Vec<String> {
        names.into_iter().filter(|name| !while_used.contains(name) && !removed.contains(name)).collect()
    };
    let left = fresh(unused(&runtime).await?);
    check(!left.is_empty(), "nothing uses it, and it is not found")?;
    let removed = runtime.collect_agents(false).await?;
    check(left.iter().any(|name| removed.contains(name)), format!("{left:?} stay, removed were {removed:?}"))?;
    let still: Vec<_> = unused(&runtime).await?.into_iter().filter(|name| left.contains(name)).collect();
    empty("still there", &still)?;
    // And is there again when it is needed.
    script(&*runtime.create(&cx.spec()?).await?, "true").await.map(drop)
}

async fn nobody_who_makes_sandboxes_is_disturbed(cx: &Context) -> CaseResult {
    let runtime = cx.runtime()?.with_agent(own(cx.runtime()?.agent()?));
    let removing = async {
        loop {
            let removed = runtime.collect_agents(false).await;
            if let Err(error) = removed {
                return Err(error.into());
            }
        }
    };
    let making = async {
        for _ in 0..4 {
            // After each, nothing uses the agent, which this runtime has seen in its place.
            let spec: SandboxSpec = cx.spec()?;
            let sandbox = runtime.create(&spec).await?;
            script(&*sandbox, "true").await?;
            sandbox.close().await?;
        }
        Ok(())
    };
    tokio::select! {
        result = removing => result,
        result = making => result,
    }
}
