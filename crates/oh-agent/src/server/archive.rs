//! Trees as tar streams: images need no `tar`.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use super::agent::Agent;
use super::connection::Channel;
use super::files::{absolute, failure, refused};
use super::transfer::{download, upload};
use super::user;
use crate::archive::{self, Filter, Limits, Owner, Stopped, Target};
use crate::protocol::{Failure, FailureKind, Selection, Transfer, WireOwner};

/// The client may send what it likes.
const NO_LIMITS: Limits = Limits { entries: u64::MAX, bytes: u64::MAX };

/// Sends a file or tree; its entries start with the path's last part.
pub(super) async fn pack(
    agent: &Rc<Agent>,
    transfer: Transfer,
    channel: Channel,
    path: Vec<u8>,
    wanted: Selection,
) {
    let path = absolute(&path);
    download(agent, transfer, channel, move |sink| {
        let filter = Filter::new(&wanted.include, &wanted.exclude).map_err(|bad| {
            let message = format!("the pattern {:?} cannot be used: {}", bad.pattern, bad.reason);
            Failure { kind: FailureKind::TransferFailed, message }
        })?;
        fs::symlink_metadata(&path).map_err(|error| failure(&path, &error))?;
        sink.begin();
        archive::pack(&path, archive::name_of(&path), &filter, sink)
            .map(drop)
            .map_err(|stopped| told(&path, stopped))
    })
    .await;
}

/// Unpacks what the client sends.
pub(super) async fn unpack(
    agent: &Rc<Agent>,
    transfer: Transfer,
    channel: Channel,
    path: Vec<u8>,
    owner: WireOwner,
) {
    let root = absolute(&path);
    upload(agent, transfer, channel, move |source| {
        let owner = resolve(owner).map_err(|reason| refused(&root, &reason))?;
        fs::create_dir_all(&root).map_err(|error| failure(&root, &error))?;
        source.begin();
        let report = archive::unpack(&mut *source, Target::Into(&root), owner, NO_LIMITS);
        report.map(|report| report.entries).map_err(|stopped| told(&root, stopped))
    })
    .await;
}

/// Whose files become.
pub(super) fn resolve(owner: WireOwner) -> Result<Owner, String> {
    Ok(match owner {
        WireOwner::Agent => Owner::Receiver,
        WireOwner::Archived => Owner::Archived,
        WireOwner::Named(name) => {
            let user = user::find(&name)?;
            Owner::Fixed(user.uid, user.gid)
        }
    })
}

fn told(root: &Path, stopped: Stopped) -> Failure {
    match stopped {
        Stopped::Path(path, error) => failure(&path, &error),
        Stopped::Stream(error) => failure(root, &error),
        Stopped::Unsafe(name, reason) => {
            let message = format!("{}: {reason}", String::from_utf8_lossy(&name));
            Failure { kind: FailureKind::TransferUnsafe, message }
        }
        Stopped::TooMuch(what, most) => {
            Failure { kind: FailureKind::TransferUnsafe, message: format!("it has more than {most} {what}") }
        }
    }
}
