//! Sessions over streams that break.

use proptest::prelude::*;

use super::*;

/// What one end says: a message of this length, or data.
#[derive(Debug, Clone)]
enum Said {
    Message(usize),
    Data(usize),
}

fn said() -> impl Strategy<Value = Vec<Said>> {
    let one = prop_oneof![(0..50_000usize).prop_map(Said::Message), (1..90_000usize).prop_map(Said::Data)];
    prop::collection::vec(one, 1..40)
}

/// Takes `left` bytes, then breaks.
struct Breaking<'a> {
    left: usize,
    out: &'a mut Vec<u8>,
}

impl AsyncWrite for Breaking<'_> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        let count = self.left.min(bytes.len());
        if count == 0 {
            return std::task::Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.left -= count;
        self.out.extend_from_slice(&bytes[..count]);
        std::task::Poll::Ready(Ok(count))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

/// Sends all of it over streams that break after so many bytes, of which the last `lost` do not arrive; returns the
/// lengths of messages and the number of bytes of data that came out.
async fn over_breaking_streams(all: &[Said], lives: &[(usize, usize)]) -> (Vec<usize>, usize) {
    let (sender, mut outgoing, receipts) = outgoing();
    let filling = async move {
        for said in all {
            match said {
                Said::Message(length) => sender.message(1, &vec![1u8; *length]).unwrap(),
                Said::Data(length) => sender.data(2, 1, Bytes::from(vec![2; *length])).await.unwrap(),
            }
        }
    };
    let mut filling = std::pin::pin!(filling);
    let (mut filled, mut incoming) = (false, Incoming::default());
    let (mut messages, mut data) = (Vec::new(), 0);
    // Receipts come between two streams only, so none may be asked to carry more than goes without any.
    let rest = std::iter::repeat_n((KEPT_BESIDE / 2, 0), 1_000);
    for (life, lost) in lives.iter().copied().chain(rest) {
        assert!(outgoing.rewind(incoming.received()));
        let mut stream = Vec::new();
        let over;
        {
            let writing = outgoing.write_to(Breaking { left: life, out: &mut stream }, None);
            let mut writing = std::pin::pin!(writing);
            let mut written = None;
            if !filled {
                tokio::select! {
                    biased;
                    done = &mut writing => written = Some(done),
                    () = &mut filling => filled = true,
                }
            }
            let written = match written {
                Some(written) => written,
                None => writing.await,
            };
            over = written.is_ok() && lost == 0;
        }
        let arrived = stream.len() - lost.min(stream.len());
        let mut input = &stream[..arrived];
        while let Ok(Some(frame)) = incoming.next(&mut input).await {
            match frame {
                Frame::Message { body, .. } => {
                    messages.push(protocol::decode::<Vec<u8>>(&body).unwrap().len());
                }
                Frame::Data { bytes, .. } => data += bytes.len(),
                Frame::Eof { .. } => unreachable!("none was sent"),
            }
            if let Some(offset) = incoming.receipt() {
                receipts.received(offset);
            }
        }
        if over {
            break;
        }
    }
    (messages, data)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everything_arrives_once_and_in_order(
        all in said(),
        lives in prop::collection::vec((1..200_000usize, 0..100_000usize), 0..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (messages, data) = runtime.block_on(over_breaking_streams(&all, &lives));
        let sent = |length: fn(&Said) -> Option<usize>| all.iter().filter_map(length).collect::<Vec<_>>();
        prop_assert_eq!(messages, sent(|said| if let Said::Message(length) = said { Some(*length) } else { None }));
        let sent_data: usize =
            sent(|said| if let Said::Data(length) = said { Some(*length) } else { None }).iter().sum();
        prop_assert_eq!(data, sent_data);
    }
}

#[tokio::test]
async fn what_is_kept_has_a_limit_and_goes_when_it_has_arrived() {
    let (sender, mut outgoing, receipts) = outgoing();
    let full = async {
        loop {
            sender.data(1, 1, Bytes::from(vec![0; frame::MAX_PAYLOAD])).await.unwrap();
        }
    };
    let writing = tokio::time::timeout(std::time::Duration::from_millis(200), async {
        tokio::select! {
            () = full => {}
            _ = outgoing.write_to(tokio::io::sink(), None) => {}
        }
    });
    writing.await.unwrap_err();
    let kept = outgoing.kept_bytes;
    assert!((KEPT..KEPT + 2 * WRITE_BATCH).contains(&kept), "{kept}");
    assert!(!outgoing.rewind(kept as u64 + 1), "more than was sent cannot have arrived");
    assert!(outgoing.rewind(kept as u64 - 10));
    assert_eq!(outgoing.kept_bytes, 10);
    assert!(!outgoing.rewind(0), "what has arrived is not kept");
    receipts.received(5);
    receipts.received(3);
    assert_eq!(*outgoing.receipts.borrow(), 5, "an older receipt takes nothing back");
}

#[tokio::test]
async fn what_no_stream_took_is_unsent() {
    let (sender, mut outgoing, _receipts) = outgoing();
    let mut stream = Vec::new();
    sender.message(1, &1u8).unwrap();
    let _ = tokio::time::timeout(
        std::time::Duration::from_millis(20),
        outgoing.write_to(Breaking { left: usize::MAX, out: &mut stream }, None),
    )
    .await;
    sender.message(2, &2u8).unwrap();
    outgoing.write_to(Breaking { left: 0, out: &mut Vec::new() }, None).await.unwrap_err();
    sender.message(3, &3u8).unwrap();
    let channels: Vec<u32> = outgoing.unsent().into_iter().map(|(channel, _)| channel).collect();
    assert_eq!(channels, [2, 3]);
    assert!(sender.message(4, &4u8).is_err());
}

#[tokio::test(start_paused = true)]
async fn what_was_held_back_for_others_goes_on_without_them() {
    let (sender, mut outgoing, _receipts) = outgoing();
    let writing = tokio::spawn(async move { outgoing.write_to(tokio::io::sink(), None).await });
    sender.message(1, &()).unwrap();
    let started = Instant::now();
    // The other end says nothing meanwhile.
    for _ in 0..4 * KEPT_BESIDE / BULKY {
        sender.data(2, 1, Bytes::from(vec![0; BULKY])).await.unwrap();
    }
    let waited = started.elapsed();
    assert!(waited >= BESIDE && waited < 2 * BESIDE, "{waited:?}");
    writing.abort();
}
