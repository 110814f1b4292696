//! `sigward dev`: everything on loopback, with an S3 backend in the same process.

mod backend;
mod keys;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::uri::{Authority, Scheme};
use sigv4::SecretAccessKey;

use crate::clock::Clock;
use crate::config::{
    Admin, Audit, Backend as BackendConfig, BackendAuth, BackendEndpoint, Config, DeclaredAccessKey, Drain,
    Environment, Gateway, Iam, Limits, Log, LogFormat, Store as StoreConfig,
};
use crate::events::{Keyring, KeyringError};
use crate::iam::{
    AccessKeyId, DeclaredPrincipal, KeyStatus, NoRandomNumbers, Principal, random_access_key_id,
    random_secret_access_key,
};
use crate::server::{Server, ServerError, Signals};
use crate::telemetry;

use super::{Failure, private};

use backend::Backend;

/// The region `dev` answers for.
const REGION: &str = "us-east-1";
/// The user there is unless told otherwise.
const DEV_USER: &str = "arn:aws:iam::000000000000:user/dev";
const DEV_USER_ID: &str = "AIDADEVDEVDEVDEVDEVDE";
/// How soon changes of the IAM directory are seen.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the gateway and a file-system S3 backend on loopback. Not for production: the secret is printed.
///
/// Takes no configuration but `SIGWARD__LOG__FILTER`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Keeps objects, keys and the event log here; a second start finds everything as it was. A temporary
    /// directory, removed at the end, when absent.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Directory of users, roles and policies, such as config/iam: then everybody has the permissions it declares.
    #[arg(long, value_name = "DIR")]
    iam: Option<PathBuf>,
    /// The user that the printed access key speaks for.
    #[arg(long = "as", value_name = "ARN", default_value = DEV_USER, value_parser = principal)]
    user: Principal,
    /// Port for S3 and STS clients; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port for operators; 0 takes a free one.
    #[arg(long, default_value_t = 9090)]
    admin_port: u16,
    /// Prints one line of JSON once ready, and nothing else, on standard output.
    #[arg(long)]
    json: bool,
}

/// Why `dev` does not run.
#[derive(Debug, thiserror::Error)]
enum DevError {
    /// The directory, or a file in it.
    #[error("{path}: {source}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file that an earlier start left behind.
    #[error("{0}: holds no access key id and secret access key")]
    AccessKey(PathBuf),
    /// Nothing secret can be made up.
    #[error(transparent)]
    Random(#[from] NoRandomNumbers),
    /// The sealing key.
    #[error(transparent)]
    SealingKey(KeyringError),
    /// The backend.
    #[error("backend: {0}")]
    Backend(std::io::Error),
    /// The server; most often a port that is taken.
    #[error("{0} (--port and --admin-port choose other ports, 0 any free one)")]
    Server(#[from] ServerError),
}

impl From<DevError> for Failure {
    fn from(error: DevError) -> Self {
        Self::Server(Box::new(error))
    }
}

/// The long-term key that `dev` hands out.
struct AccessKey {
    id: AccessKeyId,
    secret: SecretAccessKey,
}

/// Where everything is.
struct Layout {
    objects: PathBuf,
    state: PathBuf,
    /// Removes a temporary directory at the end.
    _temporary: Option<tempfile::TempDir>,
}

/// Runs until interrupted.
pub(super) fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let log = log(environment);
    telemetry::init(&log).map_err(|error| Failure::Server(Box::new(error)))?;
    let layout = Layout::prepare(args.dir.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let signals = Signals::catch().map_err(DevError::Server)?;
        let (server, backend) = start(args, &layout, log).await?;
        // There is no configuration to reload, and nobody whose request must not be cut off.
        let _ = server.until_signal(signals, || None::<Result<_, String>>).await;
        backend.stop().await;
        Ok(())
    })
}

/// Starts the backend, the server in front of it, and says so.
async fn start(args: &Args, layout: &Layout, log: Log) -> Result<(Server, Backend), Failure> {
    let access_key = AccessKey::load_or_create(&layout.state.join("access-key"))?;
    let sealing_key = layout.state.join("sealing.key");
    if !sealing_key.exists() {
        Keyring::create(&sealing_key).map_err(DevError::SealingKey)?;
    }
    let backend_key = AccessKey::random().map_err(DevError::Random)?;
    let backend = Backend::start(&layout.objects, backend_key.id.as_str(), &backend_key.secret).await;
    let backend = backend.map_err(DevError::Backend)?;
    let config =
        configuration(args, layout, &access_key, backend_config(backend.address(), backend_key), log);
    let server = Server::start(config, Clock::system()).await.map_err(DevError::Server)?;
    announce(args, layout, &access_key, &server)?;
    Ok((server, backend))
}

impl Layout {
    fn prepare(dir: Option<&Path>) -> Result<Self, DevError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DevError::Directory { path, source }
        };
        let (root, temporary) = match dir {
            Some(dir) => (dir.to_owned(), None),
            None => {
                let temporary = tempfile::Builder::new().prefix("sigward-dev-").tempdir();
                let temporary = temporary.map_err(failed(&std::env::temp_dir()))?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        std::fs::create_dir_all(&root).map_err(failed(&root))?;
        let root = root.canonicalize().map_err(failed(&root))?;
        let (objects, state) = (root.join("objects"), root.join("state"));
        std::fs::create_dir_all(&objects).map_err(failed(&objects))?;
        private::directory(&state).map_err(failed(&state))?;
        Ok(Self { objects, state, _temporary: temporary })
    }
}

impl AccessKey {
    fn random() -> Result<Self, NoRandomNumbers> {
        let secret = random_secret_access_key()?;
        Ok(Self { id: random_access_key_id("AKIA")?, secret: SecretAccessKey::new(secret.as_bytes()) })
    }

    /// A file of two lines: access key id, secret access key.
    fn load_or_create(path: &Path) -> Result<Self, DevError> {
        let failed = |source| DevError::Directory { path: path.to_owned(), source };
        if !path.exists() {
            let key = Self::random()?;
            keys::write_private(path, key.id.as_str(), &key.secret).map_err(failed)?;
            return Ok(key);
        }
        let (id, secret) =
            keys::read(path).map_err(failed)?.ok_or_else(|| DevError::AccessKey(path.to_owned()))?;
        Ok(Self { id, secret })
    }
}

fn backend_config(address: SocketAddr, key: AccessKey) -> BackendConfig {
    let endpoint = BackendEndpoint {
        scheme: Scheme::HTTP,
        authority: Authority::try_from(address.to_string()).expect("an address is an authority"),
    };
    let auth = BackendAuth::Resign {
        access_key_id: key.id.as_str().to_owned(),
        secret: key.secret,
        region: REGION.into(),
    };
    BackendConfig::new(vec![endpoint], auth)
}

fn configuration(args: &Args, layout: &Layout, key: &AccessKey, backend: BackendConfig, log: Log) -> Config {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Config {
        gateway: Gateway {
            listen: loopback(args.port),
            regions: vec![REGION.into()],
            domains: vec!["localhost".to_owned()],
            ..Gateway::default()
        },
        admin: Admin { listen: loopback(args.admin_port), tls: None, token: None },
        backend: Some(backend),
        backends: BTreeMap::new(),
        routes: Vec::new(),
        feed: None,
        store: StoreConfig {
            path: layout.state.join("events.redb"),
            sealing_key_files: vec![layout.state.join("sealing.key")],
            ..StoreConfig::default()
        },
        iam: Iam { directory: args.iam.clone(), poll_interval: POLL_INTERVAL, ..Iam::default() },
        limits: Limits::default(),
        key_sources: Vec::new(),
        access_keys: vec![DeclaredAccessKey {
            access_key_id: key.id.clone(),
            secret: key.secret.clone(),
            principal: args.user.clone(),
            status: KeyStatus::Active,
        }],
        log,
        audit: Audit { log: false, ..Audit::default() },
        drain: Drain { delay: Duration::ZERO, timeout: Duration::from_secs(5) },
    }
}

/// The user with this ARN. An IAM directory that declares it gives it the unique id that counts.
fn principal(arn: &str) -> Result<Principal, String> {
    let user_id = (arn == DEV_USER).then(|| DEV_USER_ID.to_owned());
    let declared = DeclaredPrincipal { arn: Some(arn.to_owned()), user_id, ..DeclaredPrincipal::default() };
    declared.resolve().map_err(|error| error.problem)
}

/// Text for people, who may ask for more or less of it as they would of `serve`.
fn log(environment: &Environment) -> Log {
    let filter = environment.get("SIGWARD__LOG__FILTER").unwrap_or("info").to_owned();
    Log { format: LogFormat::Text, filter, access_log: true }
}

/// Says where everything is, to a script or to a person.
fn announce(args: &Args, layout: &Layout, key: &AccessKey, server: &Server) -> std::io::Result<()> {
    let endpoint = format!("http://{}", server.gateway_address());
    let admin = format!("http://{}", server.admin_address());
    let secret = String::from_utf8_lossy(key.secret.expose_secret());
    let mut out = std::io::stdout().lock();
    if args.json {
        let line = serde_json::json!({
            "endpoint": endpoint,
            "admin": admin,
            "region": REGION,
            "access_key_id": key.id.as_str(),
            "secret_access_key": secret,
            "backend_dir": layout.objects,
            "state_dir": layout.state,
            "iam_dir": args.iam,
        });
        writeln!(out, "{line}")?;
    } else {
        writeln!(
            out,
            "\nSigward is ready.\n\n  \
             S3 and STS  {endpoint}\n  \
             operators   {admin}\n  \
             objects     {objects}\n  \
             state       {state}\n\n\
             In another terminal:\n\n  \
             export AWS_ENDPOINT_URL={endpoint} AWS_REGION={REGION} AWS_DEFAULT_REGION={REGION}\n  \
             export AWS_ACCESS_KEY_ID={id}\n  \
             export AWS_SECRET_ACCESS_KEY={secret}\n\n  \
             aws s3 mb s3://demo\n  \
             aws s3 cp README.md s3://demo/\n  \
             aws sts get-session-token\n  \
             sigward revoke --admin {admin} --access-key-id ASIA…\n",
            objects = layout.objects.display(),
            state = layout.state.display(),
            id = key.id,
        )?;
    }
    out.flush()
}
