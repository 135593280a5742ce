//! What a command wrote and nobody has consumed yet.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use crate::protocol::WINDOW;
use crate::protocol::frame::MAX_PAYLOAD;

/// What every stream may keep, however much others do: more than a client leaves unacknowledged.
const SHARE: usize = 64 * 1024;
/// What one stream may keep while there is room.
const LIMIT: usize = WINDOW as usize;
/// What all streams may keep beyond their share.
const ROOM: usize = 32 * 1024 * 1024;
/// What stays of a background command's output that nobody reads.
const LAST: usize = 1024 * 1024;

/// The room all spools share.
#[derive(Debug, Default)]
pub(super) struct Room {
    used: Cell<usize>,
    freed: Notify,
}

/// What becomes of output while nobody is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is kept, and the command held back once that is too much.
    Held,
    /// The last of it is kept.
    Last,
    /// Nobody wants it.
    Dropped,
}

/// One stream of a command: its unconsumed bytes, by their offset from the start.
#[derive(Debug)]
pub(super) struct Spool {
    room: Rc<Room>,
    state: RefCell<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// None is larger than a frame.
    pieces: VecDeque<BytesMut>,
    /// Offset of the first kept byte.
    start: u64,
    /// Offset of the next byte the command writes.
    end: u64,
    ended: bool,
    attached: bool,
    unread: Unread,
    blocked: Duration,
}

impl State {
    fn kept(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Drops what is before `offset`, however little of a piece that is.
    fn drop_before(&mut self, offset: u64) {
        while let Some(first) = self.pieces.front_mut() {
            let excess = offset.saturating_sub(self.start) as usize;
            if excess == 0 {
                return;
            }
            let dropped = first.len().min(excess);
            if dropped == first.len() {
                self.pieces.pop_front();
            } else {
                let _ = first.split_to(dropped);
            }
            self.start += dropped as u64;
        }
    }
}

impl Spool {
    pub(super) fn new(room: &Rc<Room>, unread: Unread) -> Rc<Self> {
        let state = State {
            pieces: VecDeque::new(),
            start: 0,
            end: 0,
            ended: false,
            attached: false,
            unread,
            blocked: Duration::ZERO,
        };
        Rc::new(Self { room: Rc::clone(room), state: RefCell::new(state), changed: Notify::new() })
    }

    /// Waits until something may be added; returns how many bytes.
    pub(super) async fn room(&self) -> usize {
        let mut full_since = None;
        loop {
            let (changed, freed) = (self.changed.notified(), self.room.freed.notified());
            let room = self.room_now();
            if room > 0 {
                if let Some(since) = full_since {
                    let blocked = Instant::duration_since(&Instant::now(), since);
                    self.state.borrow_mut().blocked += blocked;
                }
                return room;
            }
            full_since.get_or_insert_with(Instant::now);
            tokio::select! {
                () = changed => {}
                () = freed => {}
            }
        }
    }

    fn room_now(&self) -> usize {
        let state = self.state.borrow();
        if !state.attached && state.unread != Unread::Held {
            return MAX_PAYLOAD;
        }
        let limit = if self.room.used.get() < ROOM { LIMIT } else { SHARE };
        limit.saturating_sub(state.kept())
    }

    /// Takes what the command wrote.
    pub(super) fn push(&self, bytes: &[u8]) {
        self.change(|state| {
            state.end += bytes.len() as u64;
            if !state.attached && state.unread == Unread::Dropped {
                state.start = state.end;
                return;
            }
            for part in bytes.chunks(MAX_PAYLOAD) {
                match state.pieces.back_mut() {
                    Some(last) if last.len() + part.len() <= MAX_PAYLOAD => last.extend_from_slice(part),
                    _ => state.pieces.push_back(BytesMut::from(part)),
                }
            }
            if !state.attached && state.unread == Unread::Last {
                state.drop_before(state.end.saturating_sub(LAST as u64));
            }
        });
    }

    /// Nothing follows.
    pub(super) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    /// The bytes from `offset` on, as many as are there and fit into a frame; `None` at the end of the stream.
    pub(super) async fn next(&self, offset: u64) -> Option<Bytes> {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state.borrow();
                let mut start = state.start;
                for piece in &state.pieces {
                    let skipped = offset.saturating_sub(start) as usize;
                    if skipped < piece.len() {
                        return Some(Bytes::copy_from_slice(&piece[skipped..]));
                    }
                    start += piece.len() as u64;
                }
                if state.ended {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Somebody reads from here on, and has what is before `offset`. Returns the offset of what comes next: it is larger
    /// where bytes were dropped, and smaller where they were not written yet.
    pub(super) fn attach(&self, offset: u64) -> u64 {
        self.change(|state| {
            state.attached = true;
            state.drop_before(offset);
            state.start
        })
    }

    /// Nobody reads any more.
    pub(super) fn detach(&self) {
        self.change(|state| {
            state.attached = false;
            match state.unread {
                Unread::Held => {}
                Unread::Last => state.drop_before(state.end.saturating_sub(LAST as u64)),
                Unread::Dropped => state.drop_before(u64::MAX),
            }
        });
    }

    /// The reader has consumed everything before `offset`.
    pub(super) fn consumed(&self, offset: u64) {
        self.change(|state| state.drop_before(offset));
    }

    /// The reader does not want the rest. Of a background command it is kept all the same, for somebody else.
    pub(super) fn discard(&self) {
        self.change(|state| {
            if state.unread == Unread::Held {
                state.unread = Unread::Dropped;
            }
        });
        self.detach();
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.state.borrow().end
    }

    /// Bytes kept.
    pub(super) fn kept(&self) -> usize {
        self.state.borrow().kept()
    }

    /// How long the stream waited for its reader.
    pub(super) fn blocked(&self) -> Duration {
        self.state.borrow().blocked
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let before = state.kept();
        let result = change(&mut state);
        let after = state.kept();
        drop(state);
        self.room.used.set(self.room.used.get() + after - before);
        self.changed.notify_waiters();
        if after < before {
            self.room.freed.notify_waiters();
        }
        result
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.room.used.set(self.room.used.get() - self.kept());
        self.room.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        futures::FutureExt::now_or_never(future)
    }

    fn read_all(spool: &Spool, mut offset: u64) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(Some(bytes)) = now(spool.next(offset)) {
            offset += bytes.len() as u64;
            all.extend_from_slice(&bytes);
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_not_consumed_can_be_read_again(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..70_000), 1..8),
            consumed in any::<prop::sample::Index>(),
            again in any::<prop::sample::Index>(),
        ) {
            let spool = Spool::new(&Rc::default(), Unread::Held);
            spool.attach(0);
            for part in &parts {
                spool.push(part);
            }
            let all = parts.concat();
            let consumed = consumed.index(all.len() + 1);
            spool.consumed(consumed as u64);
            prop_assert_eq!(read_all(&spool, consumed as u64), &all[consumed..]);
            spool.detach();
            let again = again.index(all.len() + 1);
            let from = spool.attach(again as u64);
            prop_assert_eq!(from, again.max(consumed) as u64);
            prop_assert_eq!(read_all(&spool, from), &all[from as usize..]);
            spool.end();
            prop_assert_eq!(now(spool.next(all.len() as u64)), Some(None));
        }
    }

    #[test]
    fn a_full_spool_has_no_room_until_it_is_read_or_nobody_wants_it() {
        let spool = Spool::new(&Rc::default(), Unread::Held);
        spool.push(&vec![1; LIMIT]);
        assert_eq!(now(spool.room()), None, "nobody attached: it is held");
        spool.attach(0);
        assert_eq!(now(spool.room()), None);
        spool.consumed(10);
        assert_eq!(now(spool.room()), Some(10));
        spool.discard();
        assert!(now(spool.room()).is_some());
        assert_eq!((spool.kept(), spool.written()), (0, LIMIT as u64));
    }

    #[test]
    fn of_a_background_commands_output_the_last_stays() {
        let spool = Spool::new(&Rc::default(), Unread::Last);
        spool.attach(0);
        spool.push(b"first");
        spool.discard();
        for _ in 0..3 {
            spool.push(&vec![7; LAST]);
            assert!(now(spool.room()).is_some());
        }
        let from = spool.attach(0);
        assert_eq!(from, spool.written() - LAST as u64, "what is missing is said");
        assert_eq!(read_all(&spool, from).len(), LAST);
    }

    #[test]
    fn when_all_room_is_used_every_stream_has_its_share() {
        let room = Rc::default();
        let spools: Vec<_> = (0..20).map(|_| Spool::new(&room, Unread::Held)).collect();
        for spool in &spools {
            while let Some(room) = now(spool.room()) {
                spool.push(&vec![0; room.min(MAX_PAYLOAD)]);
            }
        }
        assert!(spools.iter().all(|spool| spool.kept() >= SHARE));
        let kept: usize = spools.iter().map(|spool| spool.kept()).sum();
        assert!(kept <= ROOM + 21 * SHARE, "{kept}");
        drop(spools);
        assert_eq!(room.used.get(), 0);
    }
}
