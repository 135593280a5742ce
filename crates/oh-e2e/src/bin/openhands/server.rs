//! OpenHands' action execution server, in a sandbox.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use oh_runtime::{CommandSpec, Process, Sandbox};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use crate::{FOLDER, Fallible, NO_CHANGE};

/// Runs a module as `python -m` does, with a pause after whatever is typed into a terminal: OpenHands looks at once, and takes
/// the prompt of before for the next one when the terminal has not been drawn yet.
const PATIENT: &str = "import libtmux, runpy, sys, time
typed = libtmux.Pane.send_keys
def send_keys(*args, **kwargs):
    typed(*args, **kwargs)
    time.sleep(0.25)
libtmux.Pane.send_keys = send_keys
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)";
/// How long it may take to start.
const START: Duration = Duration::from_secs(120);

pub(crate) struct Server {
    sandbox: Arc<dyn Sandbox>,
    port: u16,
    process: Process,
}

impl Server {
    /// Starts it, and waits until it takes actions. A `patient` one is slower, and always right.
    pub(crate) async fn start(sandbox: &Arc<dyn Sandbox>, python: &str, patient: bool) -> Fallible<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (number, seconds) = (port.to_string(), NO_CHANGE.to_string());
        let how = if patient { &["-c", PATIENT][..] } else { &["-m"] };
        let words = [
            "openhands.runtime.action_execution_server",
            &number,
            "--working-dir",
            FOLDER,
            "--username",
            "root",
            "--user-id",
            "0",
            "--no-enable-browser",
        ];
        let spec = CommandSpec::new([python].iter().chain(how).chain(&words).copied())
            .env("SU_TO_USER", "false")
            .env("NO_CHANGE_TIMEOUT_SECONDS", seconds)
            .env("TMUX_TMPDIR", "/tmp")
            // Else it asks a host on the internet for prices of models.
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env("OPENHANDS_SUPPRESS_BANNER", "1")
            .background();
        let process = sandbox.start(spec).await?;
        let server = Self { sandbox: Arc::clone(sandbox), port, process };
        let limit = Instant::now() + START;
        while !server.is_ready().await {
            if Instant::now() > limit {
                server.process.cancel().await?;
                return Err("OpenHands' server does not come up".into());
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(server)
    }

    async fn is_ready(&self) -> bool {
        self.request("GET /alive", "").await.is_ok_and(|(_, body)| body["status"] == "ok")
    }

    /// Its observation. A failure of its own is one of a shape that no observation has.
    pub(crate) async fn send(&self, action: &Value) -> Fallible<Value> {
        let (code, body) =
            self.request("POST /execute_action", &json!({ "action": action }).to_string()).await?;
        Ok(if code == 200 { body } else { json!({ "http": code }) })
    }

    async fn request(&self, what: &str, body: &str) -> Fallible<(u16, Value)> {
        let mut connection = self.sandbox.dial("127.0.0.1", self.port).await?;
        let head = format!(
            "{what} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        connection.write.write_all(head.as_bytes()).await?;
        connection.write.write_all(body.as_bytes()).await?;
        connection.write.flush().await?;
        let mut answer = Vec::new();
        connection.read.read_to_end(&mut answer).await?;
        let answer = String::from_utf8(answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("the server's answer is cut short")?;
        let code = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or("the server's answer is no HTTP")?;
        Ok((code, serde_json::from_str(body)?))
    }
}
