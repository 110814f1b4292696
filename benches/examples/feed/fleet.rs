//! The processes of a run: `nats-server`, and gateways that share its log. All end with it.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sigward::config::{Feed, FeedLogin, FeedTls, Stale};
use sigward::events::Keyring;

use super::Failure;
use super::wire::Wire;

/// `/proc/<pid>/stat` counts in these.
const TICKS_A_SECOND: f64 = 100.0;

/// A process that ends with its owner.
pub(super) struct Process(Child);

/// A server and where its log is.
pub(super) struct Nats {
    pub(super) process: Process,
    address: SocketAddr,
}

/// A gateway.
pub(super) struct Gateway {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    directory: PathBuf,
}

impl Process {
    /// User and system time so far, in seconds.
    pub(super) fn cpu(&self) -> Result<f64, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields = stat.rsplit_once(')').ok_or("no name in stat")?.1.split_whitespace().skip(11).take(2);
        let ticks = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(ticks as f64 / TICKS_A_SECOND)
    }

    /// A line of `/proc/<pid>/status` that is in KiB, in MiB.
    pub(super) fn memory(&self, line: &str) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
        let kib: u64 = found.ok_or("no such line in status")?.trim().trim_end_matches(" kB").parse()?;
        Ok(kib >> 10)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Nats {
    pub(super) async fn start(directory: &Path) -> Result<Self, Failure> {
        let address = free_address()?;
        let child = Command::new(program().ok_or("there is no nats-server; install it or set NATS_SERVER")?)
            .args([
                "--addr",
                "127.0.0.1",
                "--port",
                &address.port().to_string(),
                "--jetstream",
                "--store_dir",
            ])
            .arg(directory.join("nats"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { process: Process(child), address };
        let began = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if began.elapsed() > Duration::from_secs(10) {
                return Err("nats-server does not answer".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    /// What somebody of this name is told of the log.
    pub(super) fn feed(&self, name: &str) -> Feed {
        let seconds = Duration::from_secs;
        let (warn, alert, hard) = (seconds(10), seconds(60), seconds(900));
        Feed {
            servers: vec![format!("nats://{}", self.address)],
            prefix: "sigward".into(),
            gateway: Some(name.into()),
            replicas: 1,
            create_streams: true,
            packs: true,
            login: FeedLogin::None,
            tls: FeedTls::default(),
            heartbeat: seconds(2),
            stale: Stale { warn, alert, hard, fail_closed: false, accept_newer_sessions: false },
        }
    }
}

impl Gateway {
    /// Starts a gateway of this name with an empty file, or the one it had. All have the same sealing key.
    pub(super) fn start(directory: &Path, name: &str, nats: &Nats) -> Result<Self, Failure> {
        let (address, admin) = (free_address()?, free_address()?);
        let key = key_file(directory)?;
        let directory = directory.join(name);
        std::fs::create_dir_all(&directory)?;
        let config = directory.join("sigward.toml");
        let (server, store, key) = (nats.address, store_file(&directory), key.display().to_string());
        // What gateways log goes nowhere, but it is written: audit records of issuances among it.
        let text = format!(
            "[gateway]\nlisten = {:?}\n[admin]\nlisten = {:?}\n[backend]\nendpoint = \"http://127.0.0.1:9\"\n\
             auth = \"identity\"\n[store]\npath = {:?}\nsealing_key_files = [{key:?}]\n\
             [feed]\nkind = \"jetstream\"\nservers = [\"nats://{server}\"]\ngateway = {name:?}\n",
            address.to_string(),
            admin.to_string(),
            store.display().to_string(),
        );
        std::fs::write(&config, text)?;
        let child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process: Process(child), address, admin, directory })
    }

    /// Waits for `/readyz`.
    pub(super) async fn ready(&mut self, patience: Duration) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            if let Ok(mut wire) = Wire::open(self.admin).await
                && wire.get("/readyz").await?.status == 200
            {
                return Ok(());
            }
            if let Some(status) = self.process.0.try_wait()? {
                return Err(format!("a gateway ended: {status}").into());
            }
            if began.elapsed() > patience {
                return Err("a gateway does not get ready".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Bytes of the disk that its file takes. The file is longer, with holes: it doubles its length when it grows.
    pub(super) fn file_bytes(&self) -> Result<u64, Failure> {
        Ok(std::fs::metadata(store_file(&self.directory))?.blocks() * 512)
    }

    /// A metric without labels.
    pub(super) async fn metric(&self, name: &str) -> Result<f64, Failure> {
        let body = Wire::open(self.admin).await?.get("/metrics").await?.body;
        let text = String::from_utf8(body)?;
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("sigward_{name} ")));
        Ok(value.ok_or("no such metric")?.parse()?)
    }
}

/// The keys that all gateways of the run have.
pub(super) fn keyring(directory: &Path) -> Result<Keyring, Failure> {
    Ok(Keyring::load(&[key_file(directory)?])?)
}

fn key_file(directory: &Path) -> Result<PathBuf, Failure> {
    let key = directory.join("sealing.key");
    if !key.exists() {
        Keyring::create(&key)?;
    }
    Ok(key)
}

fn store_file(directory: &Path) -> PathBuf {
    directory.join("events.redb")
}

fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("NATS_SERVER") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|directory| directory.join("nats-server"));
    let more = ["/usr/sbin/nats-server", "/usr/local/bin/nats-server"].map(PathBuf::from);
    found.chain(more).find(|program| program.is_file())
}
