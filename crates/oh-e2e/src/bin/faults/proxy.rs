//! A proxy in front of an engine that does harm when it is told to, and counts what passes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use fastrand::Rng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Most bytes of one direction that wait here; what is over it waits at the sender.
const MOST_HELD: usize = 256 * 1024;
/// Of so many pieces one is passed on in two halves with a pause between.
const HALVED: u32 = 16;
/// Of so many pieces one has to wait for long.
const STALLED: u32 = 128;

/// Where the engine listens.
#[derive(Debug, Clone)]
pub(crate) enum Upstream {
    /// A socket file.
    Unix(PathBuf),
    /// Host and port.
    Tcp(String),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// As if the machine in between had forgotten it.
    Reset,
    /// As if the other end had closed it.
    Fin,
}

impl Cut {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        if rng.bool() { Self::Reset } else { Self::Fin }
    }
}

/// What may pass in one direction.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gate {
    /// Everything.
    Open,
    /// Nothing.
    Held,
    /// One half of what comes next.
    Half,
    /// This many bytes; then all connections are cut.
    Only(usize, Cut),
}

/// One direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    gate: Gate,
    /// Bytes that came here since the proxy began.
    pub(crate) arrived: usize,
    /// Bytes of them that were passed on.
    pub(crate) passed: usize,
}

impl Way {
    /// Bytes that wait here.
    pub(crate) fn held(&self) -> usize {
        self.arrived - self.passed
    }
}

/// All connections together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    /// Counts the cuts. A connection of an earlier era is dead.
    pub(crate) era: usize,
    /// Connections that were accepted.
    pub(crate) accepted: usize,
    /// Towards the engine.
    pub(crate) up: Way,
    /// Towards the client.
    pub(crate) down: Way,
    cut: Cut,
}

impl State {
    fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    fn cut(&mut self, how: Cut) {
        self.era += 1;
        self.cut = how;
        for way in [&mut self.up, &mut self.down] {
            way.gate = Gate::Open;
            way.arrived = way.passed;
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// Listens on a port of its own until it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut(Cut::Reset);
    }
}

impl Proxy {
    pub(crate) async fn start(upstream: Upstream, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let way = Way { gate: Gate::Open, arrived: 0, passed: 0 };
        let state =
            Arc::new(watch::Sender::new(State { era: 0, accepted: 0, up: way, down: way, cut: Cut::Fin }));
        let rng = Arc::new(Mutex::new(Rng::with_seed(seed)));
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                shared.send_modify(|state| state.accepted += 1);
                let link =
                    Link { state: Arc::clone(&shared), era: shared.borrow().era, rng: Arc::clone(&rng) };
                let upstream = upstream.clone();
                // An engine that is away looks the same through the proxy: the connection ends.
                tokio::spawn(async move { link.carry(client, &upstream).await });
            }
        });
        Ok(Self { address, state, accepting })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Sets what may pass towards the engine, from now to the next cut.
    pub(crate) fn up(&self, gate: Gate) {
        self.state.send_modify(|state| state.up.gate = gate);
    }

    /// The same towards the client.
    pub(crate) fn down(&self, gate: Gate) {
        self.state.send_modify(|state| state.down.gate = gate);
    }

    /// Ends all connections; what waits here is lost.
    pub(crate) fn cut(&self, how: Cut) {
        self.state.send_modify(|state| state.cut(how));
    }

    /// Waits until it is so, and returns what it is then.
    pub(crate) async fn until(&self, holds: impl FnMut(&State) -> bool) -> State {
        let mut changes = self.state.subscribe();
        // The sender is ours: it is not gone.
        match changes.wait_for(holds).await {
            Ok(state) => *state,
            Err(_) => self.state(),
        }
    }
}

/// One connection.
struct Link {
    state: Arc<watch::Sender<State>>,
    era: usize,
    rng: Arc<Mutex<Rng>>,
}

impl Link {
    async fn carry(&self, mut client: TcpStream, upstream: &Upstream) -> io::Result<()> {
        client.set_nodelay(true)?;
        match upstream {
            Upstream::Unix(path) => {
                let mut server = UnixStream::connect(path).await?;
                let broken = self.pass_both(client.split(), server.split()).await;
                self.end(&client, None, broken)
            }
            Upstream::Tcp(address) => {
                let mut server = TcpStream::connect(address).await?;
                server.set_nodelay(true)?;
                let broken = self.pass_both(client.split(), server.split()).await;
                self.end(&client, Some(&server), broken)
            }
        }
    }

    async fn pass_both(
        &self,
        (client_read, client_write): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
        (server_read, server_write): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut changes = self.state.subscribe();
        tokio::select! {
            biased;
            _ = changes.wait_for(|state| state.era != self.era) => Ok(()),
            both = async {
                tokio::try_join!(
                    self.pass(Direction::Up, client_read, server_write),
                    self.pass(Direction::Down, server_read, client_write),
                )
            } => both.map(drop),
        }
    }

    fn end(&self, client: &TcpStream, server: Option<&TcpStream>, broken: io::Result<()>) -> io::Result<()> {
        let state = *self.state.borrow();
        if broken.is_err() || (state.era != self.era && state.cut == Cut::Reset) {
            for stream in [Some(client), server].into_iter().flatten() {
                stream.set_zero_linger()?;
            }
        }
        Ok(())
    }

    /// Passes one direction on, to its end.
    async fn pass(
        &self,
        direction: Direction,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut changes = self.state.subscribe();
        let mut waiting = BytesMut::new();
        let mut ended = false;
        loop {
            changes.mark_unchanged();
            let granted = self.grant(direction, waiting.len());
            if granted > 0 {
                let piece = waiting.split_to(granted);
                let half = self.weather(granted).await;
                to.write_all(&piece[..half]).await?;
                if half < granted {
                    to.flush().await?;
                    self.pause(Duration::from_millis(5)).await;
                    to.write_all(&piece[half..]).await?;
                }
                to.flush().await?;
                self.passed(direction, granted);
                continue;
            }
            if ended && waiting.is_empty() {
                return to.shutdown().await;
            }
            waiting.reserve(64 * 1024);
            tokio::select! {
                read = from.read_buf(&mut waiting), if !ended && waiting.len() < MOST_HELD => match read? {
                    0 => ended = true,
                    count => self.change(|state| state.way(direction).arrived += count),
                },
                _ = changes.changed() => {}
            }
        }
    }

    /// How many of `there` bytes may pass now.
    fn grant(&self, direction: Direction, there: usize) -> usize {
        let mut granted = 0;
        self.state.send_if_modified(|state| {
            if state.era != self.era || there == 0 {
                return false;
            }
            let gate = &mut state.way(direction).gate;
            (granted, *gate) = match *gate {
                Gate::Open => (there, Gate::Open),
                Gate::Held => (0, Gate::Held),
                Gate::Half => (there.div_ceil(2), Gate::Held),
                Gate::Only(left, how) => {
                    let granted = left.min(there);
                    (granted, Gate::Only(left - granted, how))
                }
            };
            false
        });
        granted
    }

    fn passed(&self, direction: Direction, count: usize) {
        self.change(|state| {
            let way = state.way(direction);
            way.passed += count;
            if let Gate::Only(0, how) = way.gate {
                state.cut(how);
            }
        });
    }

    /// Changes the state, unless this connection belongs to it no more.
    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_if_modified(|state| {
            let alive = state.era == self.era;
            if alive {
                change(state);
            }
            alive
        });
    }

    /// Ordinary trouble: how much of a piece is passed on at first.
    async fn weather(&self, length: usize) -> usize {
        let (stalls, half) = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            let halves = length > 1 && rng.u32(..HALVED) == 0;
            (rng.u32(..STALLED) == 0, if halves { rng.usize(1..length) } else { length })
        };
        if stalls {
            self.pause(Duration::from_millis(60)).await;
        }
        half
    }

    async fn pause(&self, most: Duration) {
        let share = self.rng.lock().unwrap_or_else(PoisonError::into_inner).f64();
        sleep(most.mul_f64(share)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> Upstream {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        Upstream::Tcp(address)
    }

    #[tokio::test]
    async fn what_is_held_is_lost_with_the_connection() {
        let proxy = Proxy::start(echo().await, 1).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        let mut four = [0; 4];
        stream.write_all(b"open").await.unwrap();
        stream.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"open");
        proxy.down(Gate::Held);
        stream.write_all(b"held").await.unwrap();
        let state = proxy.until(|state| state.down.held() == 4).await;
        assert_eq!((state.up.passed, state.down.passed), (8, 4));
        proxy.cut(Cut::Reset);
        let error = stream.read_exact(&mut four).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(b"next").await.unwrap();
        stream.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"next");
    }

    #[tokio::test]
    async fn a_number_of_bytes_passes_before_the_end() {
        let proxy = Proxy::start(echo().await, 2).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.down(Gate::Only(3, Cut::Fin));
        stream.write_all(b"12345").await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"123");
        assert_eq!(proxy.until(|state| state.era == 1).await.down.passed, 3);
    }

    #[tokio::test]
    async fn half_of_a_piece_passes() {
        let proxy = Proxy::start(echo().await, 3).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.up(Gate::Half);
        stream.write_all(b"12345678").await.unwrap();
        assert_eq!(proxy.until(|state| state.down.passed > 0).await.up.held(), 4);
        let mut four = [0; 4];
        stream.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"1234");
        proxy.up(Gate::Open);
        stream.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"5678");
    }
}
