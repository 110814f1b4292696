//! A `nats-server` of a test's own.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{self, Context};
use sigward::config::{Feed, FeedLogin, FeedTls, Stale};

/// Names another `nats-server` than the one on the path.
const VARIABLE: &str = "NATS_SERVER";

/// A server and its directory; killed when dropped.
pub(crate) struct Nats {
    child: Child,
    port: u16,
    directory: PathBuf,
    program: PathBuf,
}

impl Nats {
    /// Starts a server, if there is one. Without one a test has nothing to say, and says so; in CI it fails.
    pub(crate) async fn start(directory: &Path) -> Option<Self> {
        let Some(program) = program() else {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "there is no nats-server");
            eprintln!("SKIPPED: there is no nats-server; install it or set {VARIABLE}");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = directory.join("nats");
        let child = spawn(&program, port, &directory);
        let server = Self { child, port, directory, program };
        server.answers().await;
        Some(server)
    }

    /// SIGKILL: no chance to write anything any more.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it anew on the same port; with what it kept, or without.
    pub(crate) async fn restart(&mut self, keep: bool) {
        if !keep {
            std::fs::remove_dir_all(&self.directory).unwrap();
        }
        self.child = spawn(&self.program, self.port, &self.directory);
        self.answers().await;
    }

    /// Starts it anew on the same port, with beats only: there is no log to ask.
    pub(crate) fn restart_without_log(&mut self) {
        self.kill();
        self.child = spawn_with(&self.program, self.port, &[]);
    }

    /// What a gateway of this name is told.
    pub(crate) fn feed(&self, gateway: &str) -> Feed {
        Feed {
            servers: vec![format!("nats://127.0.0.1:{}", self.port)],
            prefix: "test".into(),
            gateway: Some(gateway.into()),
            replicas: 1,
            create_streams: true,
            packs: true,
            login: FeedLogin::None,
            tls: FeedTls::default(),
            heartbeat: Duration::from_millis(200),
            stale: Stale {
                warn: Duration::from_secs(1),
                alert: Duration::from_secs(2),
                hard: Duration::from_secs(3),
                fail_closed: false,
                accept_newer_sessions: false,
            },
        }
    }

    /// A client of its own, to do what no gateway does.
    pub(crate) async fn client(&self) -> Context {
        let client = async_nats::ConnectOptions::new().retry_on_initial_connect();
        jetstream::new(client.connect(format!("nats://127.0.0.1:{}", self.port)).await.unwrap())
    }

    async fn answers(&self) {
        for _ in 0..500 {
            let asked = tokio::time::timeout(Duration::from_secs(1), async {
                // That there is no such stream is an answer of JetStream's.
                let error = self.client().await.get_stream("none").await.err();
                error.is_some_and(|error| matches!(error.kind(), GetStreamErrorKind::JetStream(_)))
            });
            if asked.await.unwrap_or(false) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nats-server does not answer");
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &Path, port: u16, directory: &Path) -> Child {
    spawn_with(program, port, &["--jetstream".as_ref(), "--store_dir".as_ref(), directory.as_os_str()])
}

fn spawn_with(program: &Path, port: u16, arguments: &[&OsStr]) -> Child {
    let mut command = Command::new(program);
    command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|directory| directory.join("nats-server"));
    let more = ["/usr/sbin/nats-server", "/usr/local/bin/nats-server"].map(PathBuf::from);
    found.chain(more).find(|program| program.is_file())
}
