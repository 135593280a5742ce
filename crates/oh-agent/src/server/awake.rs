//! Time as the agent lives through it.
//!
//! A sandbox can be frozen and a machine can sleep. Clocks go on meanwhile, but nobody could do anything: no command could
//! end, no client come back. So what is due after such a jump is not due yet.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often the clock is looked at.
const STEP: Duration = Duration::from_secs(5);
/// Nobody is this late who is only busy.
const JUMP: Duration = Duration::from_secs(30);

/// Sleeps a part of `time` and returns how long that took; `None` when the clock jumped meanwhile.
async fn step(time: Duration) -> Option<Duration> {
    let (started, part) = (Instant::now(), time.min(STEP));
    sleep(part).await;
    let passed = started.elapsed();
    (passed < part + JUMP).then_some(passed)
}

/// Waits until the agent has been awake for this long: a jump of the clock is not counted, and with it a few seconds
/// before it.
pub(super) async fn awake_for(time: Duration) {
    let mut left = time;
    while !left.is_zero() {
        left = left.saturating_sub(step(left).await.unwrap_or_default());
    }
}

/// Waits for this long, from the start again after a jump of the clock: whoever is waited for was cut off by it.
pub(super) async fn unbroken(time: Duration) {
    let mut left = time;
    while !left.is_zero() {
        left = match step(left).await {
            Some(passed) => left.saturating_sub(passed),
            None => time,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long `waiting` takes when the clock jumps by an hour after 7 s.
    async fn with_a_jump(waiting: impl Future<Output = ()>) -> Duration {
        let started = Instant::now();
        let mut waiting = std::pin::pin!(waiting);
        tokio::select! {
            biased;
            () = &mut waiting => panic!("it is over before the jump"),
            () = sleep(Duration::from_secs(7)) => {}
        }
        tokio::time::advance(Duration::from_secs(3600)).await;
        waiting.await;
        started.elapsed() - Duration::from_secs(3600)
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_is_not_counted() {
        let took = with_a_jump(awake_for(Duration::from_secs(60))).await;
        assert!((58..=63).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_was_cut_off_gets_the_whole_time_again() {
        let took = with_a_jump(unbroken(Duration::from_secs(60))).await;
        assert!((64..=69).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_jump_both_are_exact() {
        for time in [0, 1, 4_999, 5_000, 61_234].map(Duration::from_millis) {
            let started = Instant::now();
            awake_for(time).await;
            assert_eq!(started.elapsed(), time);
            unbroken(time).await;
            assert_eq!(started.elapsed(), 2 * time);
        }
    }
}
