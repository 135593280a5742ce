//! What one wants of a sandbox most of the time.

use std::io;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use oh_runtime_api::{CommandSpec, Error, ErrorKind, Outcome, Result, Sandbox, WriteOptions};
use tokio::io::AsyncReadExt;

use crate::capture::{Output, OutputLimit, capture};
use crate::copy::{self, CopyOptions, CopyProgress, CopyReport};

/// Most bytes of a file that are taken into memory: how large it is says the sandbox.
const MAX_READ: u64 = 256 << 20;

/// Conveniences for every [`Sandbox`].
#[async_trait]
pub trait SandboxExt: Sandbox {
    /// Runs a command to its end and collects what it writes, 16 MiB a stream. Its standard input is empty.
    ///
    /// Dropping the future leaves the command running.
    ///
    /// # Errors
    /// As [`Sandbox::start`] and [`Process::wait`](oh_runtime_api::Process::wait). A command that fails or times out
    /// is no error.
    async fn run(&self, spec: CommandSpec) -> Result<Output> {
        self.run_limited(spec, OutputLimit::default()).await
    }

    /// The same with another limit for each of the two streams.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    async fn run_limited(&self, spec: CommandSpec, limit: OutputLimit) -> Result<Output> {
        let mut process = self.start(spec).await?;
        drop(process.stdin.take());
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        let (finished, stdout, stderr) =
            tokio::join!(process.wait(), capture(stdout, limit), capture(stderr, limit));
        let finished = finished?;
        let outcome = Outcome::Finished(finished.end);
        let read = |error| stream_error("read the command's output", error).outcome_is(outcome);
        Ok(Output { stdout: stdout.map_err(read)?, stderr: stderr.map_err(read)?, finished })
    }

    /// A whole file in memory, of at most 256 MiB.
    ///
    /// # Errors
    /// As [`Sandbox::read_file`]; [`TransferFailed`](ErrorKind::TransferFailed) when it is larger.
    async fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let operation = format!("read {} in the sandbox", path.display());
        let mut bytes = Vec::new();
        let mut file = self.read_file(path, 0, Some(MAX_READ + 1)).await?;
        file.read_to_end(&mut bytes).await.map_err(|error| stream_error(&operation, error))?;
        if bytes.len() as u64 > MAX_READ {
            let message = format!("it is larger than {} MiB", MAX_READ >> 20);
            return Err(Error::new(ErrorKind::TransferFailed, operation, message)
                .hint("copy it to a file, or read it in parts"));
        }
        Ok(bytes)
    }

    /// Writes a file as [`Sandbox::write_file`] does. Returns its size.
    ///
    /// # Errors
    /// As [`Sandbox::write_file`].
    async fn write(&self, path: &Path, bytes: impl Into<Bytes> + Send, mode: u32) -> Result<u64> {
        self.write_file(path, WriteOptions::mode(mode), Box::pin(io::Cursor::new(bytes.into()))).await
    }

    /// Copies a file or tree of this machine to `path` in the sandbox, or into it under the source's own name when
    /// `path` is a folder there already.
    ///
    /// A source that is a link is followed; links inside a tree are copied as links. Pipes, sockets and devices are
    /// left out, and folders on the way to `path` are made. Each file appears under its name when it is whole, and what a
    /// copy of a file of 64 MiB or more got across before it broke off is not sent again by the next one. `progress` is
    /// called again and again with how far it is.
    ///
    /// # Errors
    /// The `Transfer…` kinds; what was copied before stays.
    async fn copy_to(
        &self,
        host: &Path,
        path: &Path,
        progress: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<CopyReport> {
        copy::copy_to(self, host, path, &CopyOptions::default(), progress).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`copy_to`](Self::copy_to); [`Config`](ErrorKind::Config) for a pattern that cannot mean anything.
    async fn copy_to_with(
        &self,
        host: &Path,
        path: &Path,
        options: &CopyOptions,
        progress: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<CopyReport> {
        copy::copy_to(self, host, path, options, progress).await
    }

    /// Copies a file or tree of the sandbox to `host` on this machine, or into it under the source's own name when
    /// `host` is a folder already.
    ///
    /// What arrives is taken for hostile: nothing is written outside the target or through a link, links may not lead
    /// out of the copied tree, only files, folders and symbolic links are accepted, permission bits lose setuid and
    /// setgid, and folders can always be changed by their owner. `progress` is called again and again with
    /// how far it is.
    ///
    /// # Errors
    /// The `Transfer…` kinds, [`TransferUnsafe`](ErrorKind::TransferUnsafe) for what must not be unpacked; what was
    /// copied before stays.
    async fn copy_from(
        &self,
        path: &Path,
        host: &Path,
        progress: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<CopyReport> {
        copy::copy_from(self, path, host, &CopyOptions::default(), progress).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`copy_from`](Self::copy_from); [`Config`](ErrorKind::Config) for a pattern that cannot mean anything, and for
    /// an owner by name, which only a sandbox knows.
    async fn copy_from_with(
        &self,
        path: &Path,
        host: &Path,
        options: &CopyOptions,
        progress: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<CopyReport> {
        copy::copy_from(self, path, host, options, progress).await
    }
}

impl<S: Sandbox + ?Sized> SandboxExt for S {}

/// The error a stream of a sandbox wraps, or one of our own side.
pub(crate) fn stream_error(operation: &str, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::new(ErrorKind::TransferFailed, operation, error.to_string())
            .outcome_is(Outcome::Unknown)
            .caused_by(error),
    }
}
