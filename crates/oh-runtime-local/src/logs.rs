//! The agent's log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream;
use oh_runtime_api::{Error, ErrorKind, LogOptions, LogStream};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::instance::Instance;
use crate::process::Process;

/// Bytes of a log that are shown with an error.
pub(crate) const LAST_WORDS: u64 = 4096;
/// Bytes read at once.
const PIECE: usize = 32 * 1024;
/// Between two looks at a log that is followed.
const POLL: Duration = Duration::from_millis(100);

/// The last bytes of the log as text.
pub(crate) fn last(instance: &Instance, most: u64) -> io::Result<String> {
    let mut file = File::open(instance.log())?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The log as it comes, until its end or, when it is followed, until `agent` ended.
pub(crate) async fn stream(
    instance: &Instance,
    agent: Process,
    options: LogOptions,
    operation: String,
) -> io::Result<LogStream> {
    let mut file = tokio::fs::File::open(instance.log()).await?;
    if let Some(lines) = options.tail {
        let start = start_of_tail(&mut file, lines).await?;
        file.seek(SeekFrom::Start(start)).await?;
    }
    let pieces = stream::try_unfold(file, move |mut file| {
        let operation = operation.clone();
        async move {
            let failed = |error: io::Error| Error::new(ErrorKind::Unavailable, operation, error.to_string());
            match next(&mut file, options.follow.then_some(agent)).await {
                Ok(piece) => Ok(piece.map(|piece| (piece, file))),
                Err(error) => Err(failed(error)),
            }
        }
    });
    Ok(Box::pin(pieces))
}

/// The next bytes. With an agent, waits for them as long as it lives.
async fn next(file: &mut tokio::fs::File, agent: Option<Process>) -> io::Result<Option<Bytes>> {
    loop {
        // What it writes before it ends is there once it is seen to have ended.
        let more = agent.is_some_and(Process::is_alive);
        let mut piece = BytesMut::with_capacity(PIECE);
        if file.read_buf(&mut piece).await? > 0 {
            return Ok(Some(piece.freeze()));
        }
        if !more {
            return Ok(None);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Where the last `lines` lines begin.
async fn start_of_tail(file: &mut tokio::fs::File, lines: u64) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok(length);
    }
    let (mut end, mut breaks) = (length, 0);
    let mut piece = vec![0; PIECE];
    while end > 0 {
        let start = end.saturating_sub(PIECE as u64);
        let part = &mut piece[..usize::try_from(end - start).unwrap_or(PIECE)];
        file.seek(SeekFrom::Start(start)).await?;
        file.read_exact(part).await?;
        for (index, byte) in part.iter().enumerate().rev() {
            let line = start + index as u64 + 1;
            // The break at the very end begins no line.
            if *byte == b'\n' && line < length {
                breaks += 1;
                if breaks == lines {
                    return Ok(line);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    fn instance(log: &str) -> (tempfile::TempDir, Instance) {
        let folder = tempfile::tempdir().unwrap();
        let instance = Instance { path: folder.path().to_owned() };
        std::fs::write(instance.log(), log).unwrap();
        (folder, instance)
    }

    async fn read(instance: &Instance, agent: Process, options: LogOptions) -> String {
        let stream = stream(instance, agent, options, "read".into()).await.unwrap();
        let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[tokio::test]
    async fn a_tail_is_the_last_lines() {
        let own = Process::own().unwrap();
        let long: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        for (log, lines, wanted) in [
            ("", 3, ""),
            ("a\nb\nc\n", 0, ""),
            ("a\nb\nc\n", 1, "c\n"),
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc\n", 9, "a\nb\nc\n"),
            ("a\nb", 1, "b"),
            ("\n\n\n", 2, "\n\n"),
            (&long, 1, "line 19999\n"),
            (&long, 20_000, &long),
        ] {
            let (_folder, instance) = instance(log);
            let options = LogOptions { tail: Some(lines), follow: false };
            assert_eq!(read(&instance, own, options).await, wanted, "{lines} of {log:.20?}");
        }
    }

    #[tokio::test]
    async fn following_ends_with_the_process_and_has_its_last_words() {
        let (_folder, instance) = instance("first\n");
        let script = "read -r _; echo second >>\"$0\"";
        let mut writer = std::process::Command::new("sh")
            .args(["-c", script])
            .arg(instance.log())
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let process = Process::of(writer.id() as i32).unwrap();
        let reading = read(&instance, process, LogOptions { follow: true, tail: None });
        let ending = async {
            tokio::task::yield_now().await;
            drop(writer.stdin.take());
        };
        assert_eq!(tokio::join!(reading, ending).0, "first\nsecond\n");
        writer.wait().unwrap();
    }

    #[test]
    fn last_words_are_the_end_of_the_log() {
        let (_folder, instance) = instance("one\ntwo\n");
        assert_eq!(last(&instance, 100).unwrap(), "one\ntwo\n");
        assert_eq!(last(&instance, 4).unwrap(), "two\n");
    }
}
