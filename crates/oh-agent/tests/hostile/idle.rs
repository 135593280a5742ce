//! An agent with nothing to say.

use std::time::Duration;

use oh_agent::protocol::frame::Frame;
use oh_agent::protocol::{FromAgent, HEARTBEAT, ToAgent, decode};
use tokio::time::{Instant, timeout};

use crate::agent::{connected, message, quickly};

/// What load balancers and kubelets allow a stream at least.
const IDLE: Duration = Duration::from_secs(60);

/// Both ways: what stands between looks at either.
#[test]
fn an_idle_client_is_heard_often_enough() {
    quickly(async {
        let (client, mut agent) = connected().await.unwrap();
        let mut heard = Instant::now();
        for _ in 0..100 {
            let frame = timeout(IDLE, agent.next()).await.expect("nothing is said").unwrap();
            assert!(heard.elapsed() <= HEARTBEAT, "nothing was said for {:?}", heard.elapsed());
            heard = Instant::now();
            let Frame::Message { channel: 0, body } = frame else { panic!("{frame:?}") };
            let Ok(ToAgent::Ping(number)) = decode(&body) else { panic!("{body:?}") };
            agent.send(&message(0, &FromAgent::Pong(number))).await;
        }
        assert!(!client.is_closed());
    });
}
