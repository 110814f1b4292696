//! Keeps requests going: as fast as answers come, or at a rate.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::connection::Target;
use super::http1::{Answer, Connection};
use super::options::{Method, Options};
use super::plan::Plan;
use super::process::Processes;
use super::report::{Idle, Report, Tally};

/// Before a connection is tried again.
const AFTER_AN_ERROR: Duration = Duration::from_millis(10);
/// How many idle connections are opened at the same time.
const OPENING: usize = 16;
/// Until memory has settled.
const SETTLING: Duration = Duration::from_secs(2);
/// Flow control shall not be what is measured.
const WINDOW: u32 = 4 << 20;

/// Does what `options` ask for.
pub fn run(options: Options) -> Result<Report, Box<dyn Error>> {
    if options.streams > 0 && (options.reconnect || options.idle.is_some()) {
        return Err("--reconnect and --idle are for HTTP/1.1".into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let target = Target::new(&options)?;
        let plan = Plan::new(&options, &target.authority)?;
        let processes = Processes::of(&options.pid)?;
        let load = Rc::new(Load {
            length: if options.method == Method::Get { options.size as u64 } else { 0 },
            target,
            plan,
            begun: Cell::new(0),
            start: Instant::now(),
            tally: RefCell::new(Tally::new()),
            options,
        });
        match load.options.idle {
            Some(count) => load.idle(count, &processes).await,
            None => load.busy(&processes).await,
        }
    })
}

/// What all connections share.
struct Load {
    options: Options,
    target: Target,
    plan: Plan,
    /// Bytes that each answer must have.
    length: u64,
    /// Requests begun.
    begun: Cell<u64>,
    start: Instant,
    tally: RefCell<Tally>,
}

impl Load {
    async fn busy(self: Rc<Self>, processes: &Processes) -> Result<Report, Box<dyn Error>> {
        let mut connections = JoinSet::new();
        for _ in 0..self.options.connections {
            let load = Rc::clone(&self);
            match self.plan {
                Plan::Http1(_) => connections.spawn_local(load.http1()),
                Plan::Http2(_) => connections.spawn_local(load.http2()),
            };
        }
        sleep(Duration::from_secs_f64(self.options.warmup)).await;
        drop(self.tally.replace(Tally::new()));
        let (began, before) = (Instant::now(), processes.cpu()?);
        sleep(Duration::from_secs_f64(self.options.seconds)).await;
        let (elapsed, after) = (began.elapsed(), processes.cpu()?);
        let tally = self.tally.replace(Tally::new());
        let seen = !processes.is_empty();
        let resident = seen.then(|| processes.resident()).transpose()?;
        Ok(Report { tally, elapsed, cpu: seen.then(|| after - before), resident, idle: None })
    }

    /// Which request is next, once it is due, and since when.
    async fn turn(&self) -> (usize, Instant) {
        let number = self.begun.get();
        self.begun.set(number + 1);
        let index = usize::try_from(number % self.plan.len() as u64).unwrap_or_default();
        match self.options.rate {
            None => (index, Instant::now()),
            Some(rate) => {
                let due = self.start + Duration::from_secs_f64(number as f64 / rate);
                sleep_until(due).await;
                (index, due)
            }
        }
    }

    /// Counts what became of a request; whether it was answered as it should be.
    fn ended(&self, due: Instant, answer: io::Result<Answer>) -> bool {
        let mut tally = self.tally.borrow_mut();
        let error = match answer {
            Ok(Answer { status: 200, length, .. }) if length == self.length => {
                tally.answered(due.elapsed());
                return true;
            }
            Ok(Answer { status, length, .. }) => format!("status {status} and {length} bytes"),
            Err(error) => error.to_string(),
        };
        tally.failed(error);
        false
    }

    /// One connection of HTTP/1.1, for ever.
    async fn http1(self: Rc<Self>) {
        let mut kept = None;
        loop {
            let (index, due) = self.turn().await;
            let answer = self.ask(&mut kept, index).await;
            if self.options.reconnect || answer.as_ref().map_or(true, |answer| answer.close) {
                kept = None;
            }
            if !self.ended(due, answer) {
                sleep(AFTER_AN_ERROR).await;
            }
        }
    }

    async fn ask(&self, kept: &mut Option<Connection>, index: usize) -> io::Result<Answer> {
        let Plan::Http1(wires) = &self.plan else { return Err(io::Error::other("planned for HTTP/2")) };
        let connection = match kept {
            Some(connection) => connection,
            None => kept.insert(Connection::open(&self.target).await?),
        };
        let moved = |bytes: usize| self.tally.borrow_mut().bytes += bytes as u64;
        connection.exchange(&wires[index], &moved).await
    }

    /// One connection of HTTP/2 with all its streams, for ever.
    async fn http2(self: Rc<Self>) {
        loop {
            let begun = Instant::now();
            match self.open_http2().await {
                Ok(sender) => {
                    let mut streams = JoinSet::new();
                    for _ in 0..self.options.streams {
                        streams.spawn_local(Rc::clone(&self).stream(sender.clone()));
                    }
                    streams.join_all().await;
                }
                Err(error) => _ = self.ended(begun, Err(error)),
            }
            sleep(AFTER_AN_ERROR).await;
        }
    }

    async fn open_http2(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let stream = TokioIo::new(self.target.connect().await?);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let (sender, connection) = builder.handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Requests one after the other, until one fails.
    async fn stream(self: Rc<Self>, mut sender: SendRequest<Full<Bytes>>) {
        let Plan::Http2(requests) = &self.plan else { return };
        loop {
            let (index, due) = self.turn().await;
            let answer = self.ask_http2(&mut sender, requests[index].clone()).await;
            if !self.ended(due, answer.map_err(io::Error::other)) {
                return;
            }
        }
    }

    async fn ask_http2(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Answer> {
        sender.ready().await?;
        let mut response = sender.send_request(request).await?;
        let mut length = 0;
        while let Some(frame) = response.body_mut().frame().await {
            length += frame?.data_ref().map_or(0, |data| data.len() as u64);
        }
        self.tally.borrow_mut().bytes += length;
        Ok(Answer { status: response.status().as_u16(), length, close: false })
    }

    /// Opens connections that have asked once and do not ask again.
    async fn idle(self: Rc<Self>, count: usize, processes: &Processes) -> Result<Report, Box<dyn Error>> {
        // What the first requests of a process take is not the connections'.
        let warm = Rc::clone(&self).open_idle(OPENING).await;
        sleep(SETTLING).await;
        let before = processes.resident()?;
        let began = Instant::now();
        let mut opening = JoinSet::new();
        for share in 0..OPENING {
            opening.spawn_local(Rc::clone(&self).open_idle((count + share) / OPENING));
        }
        let open = opening.join_all().await;
        let elapsed = began.elapsed();
        sleep(SETTLING).await;
        let after = processes.resident()?;
        let connections = open.iter().map(Vec::len).sum();
        drop((warm, open));
        let tally = self.tally.replace(Tally::new());
        let idle = Some(Idle { connections, before, after });
        Ok(Report { tally, elapsed, cpu: None, resident: Some(after), idle })
    }

    async fn open_idle(self: Rc<Self>, count: usize) -> Vec<Connection> {
        let mut open = Vec::new();
        for _ in 0..count {
            let mut kept = None;
            let (index, due) = self.turn().await;
            let answer = self.ask(&mut kept, index).await;
            if self.ended(due, answer) {
                open.extend(kept);
            }
        }
        open
    }
}
