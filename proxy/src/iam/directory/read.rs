//! From files to a directory. Everything that is wrong is reported together; then there is no directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::entity::{Group, MfaDevice, Permissions, Role, Trust, User};
use super::files::{Files, Kind, Owner, Place, beside, may_be_ignored};
use super::{Directory, DirectoryFault, Register, aws, settings};
use crate::iam::policy::{Grammar, Policy};
use crate::iam::{Arn, Principal, TotpSecret, is_unique_id, tag_problem};

mod providers;

/// Reads a file that settings refer to, by its path from the root of the tree. The error is for people.
pub type Resolve<'r> = dyn FnMut(&Path) -> Result<Vec<u8>, String> + 'r;

/// A directory and what must be remembered of it.
#[derive(Debug)]
pub struct Read {
    /// What is declared.
    pub directory: Directory,
    /// For the next time.
    pub register: Register,
    /// What is not wrong and yet surprises.
    pub warnings: Vec<DirectoryFault>,
}

const SHORTEST_MAX_SESSION: i32 = 3_600;
const LONGEST_MAX_SESSION: i32 = 43_200;
const MAX_MFA_DEVICES: usize = 8;

impl Directory {
    /// Reads a tree of files. `register` is what was remembered of the last one.
    ///
    /// # Errors
    /// All faults, in the order of the files.
    pub fn read(
        files: &Files,
        register: &Register,
        resolve: &mut Resolve<'_>,
    ) -> Result<Read, Vec<DirectoryFault>> {
        let mut reader = Reader {
            resolve,
            register: register.clone(),
            directory: Self::default(),
            referenced: BTreeSet::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
        };
        reader.read(&Sorted::of(files));
        let Reader { directory, register, mut faults, warnings, .. } = reader;
        if faults.is_empty() {
            return Ok(Read { directory, register, warnings });
        }
        faults.sort();
        Err(faults)
    }
}

/// A file: its path and content.
type File<'f> = (&'f str, &'f [u8]);

/// The files by what they are.
#[derive(Default)]
struct Sorted<'f> {
    entities: BTreeMap<(Kind, Owner<'f>), Parts<'f>>,
    policies: BTreeMap<Owner<'f>, File<'f>>,
    oidc: BTreeMap<Owner<'f>, File<'f>>,
    saml: BTreeMap<Owner<'f>, File<'f>>,
    placeless: Vec<&'f str>,
}

/// The files of one user, group or role.
#[derive(Default)]
struct Parts<'f> {
    settings: Option<File<'f>>,
    trust: Option<File<'f>>,
    inline: Vec<(&'f str, File<'f>)>,
}

impl<'f> Parts<'f> {
    /// Where faults of the entity are reported: its settings file, or else another of its files.
    fn place(&self) -> &'f str {
        let inline = self.inline.iter().map(|(_, file)| file);
        self.settings
            .iter()
            .chain(&self.trust)
            .chain(inline)
            .map(|(path, _)| *path)
            .next()
            .unwrap_or_default()
    }
}

struct Reader<'r, 'p> {
    resolve: &'r mut Resolve<'p>,
    register: Register,
    directory: Directory,
    /// Files that settings refer to: these have a place.
    referenced: BTreeSet<String>,
    faults: Vec<DirectoryFault>,
    warnings: Vec<DirectoryFault>,
}

/// What users, groups and roles have in common.
struct Entity {
    name: String,
    account: String,
    arn: String,
    id: String,
}

impl<'f> Sorted<'f> {
    fn of(files: &'f Files) -> Self {
        let mut sorted = Self::default();
        for (path, content) in files.iter() {
            let file = (path, content);
            match Place::of(path) {
                Some(Place::Settings(kind, owner)) => sorted.of_entity(kind, owner).settings = Some(file),
                Some(Place::Trust(owner)) => sorted.of_entity(Kind::Role, owner).trust = Some(file),
                Some(Place::Inline(kind, owner, name)) => {
                    sorted.of_entity(kind, owner).inline.push((name, file));
                }
                Some(Place::Managed(owner)) => drop(sorted.policies.insert(owner, file)),
                Some(Place::Oidc(owner)) => drop(sorted.oidc.insert(owner, file)),
                Some(Place::Saml(owner)) => drop(sorted.saml.insert(owner, file)),
                None => sorted.placeless.push(path),
            }
        }
        sorted
    }

    fn of_entity(&mut self, kind: Kind, owner: Owner<'f>) -> &mut Parts<'f> {
        self.entities.entry((kind, owner)).or_default()
    }
}

impl Reader<'_, '_> {
    fn read(&mut self, sorted: &Sorted<'_>) {
        self.accounts(sorted);
        self.managed_policies(sorted);
        let mut groups = BTreeMap::new();
        let mut trusts = Vec::new();
        let mut names = BTreeSet::new();
        for ((kind, owner), parts) in &sorted.entities {
            let at = parts.place();
            if !names.insert((kind, owner.account, owner.name.to_ascii_lowercase())) {
                self.fault(at, None, format!("a {} of this name is there in other case", kind.word()));
            }
            match kind {
                Kind::Group => self.group(owner, at, parts, &mut groups),
                Kind::User => self.user(owner, at, parts, &groups),
                Kind::Role => trusts.extend(self.role(owner, at, parts)),
            }
        }
        self.providers(sorted);
        self.trust(trusts);
        self.unknown_files(sorted);
    }

    fn accounts(&mut self, sorted: &Sorted<'_>) {
        let owners = sorted.entities.keys().map(|(_, owner)| owner);
        let others = [&sorted.policies, &sorted.oidc, &sorted.saml].into_iter().flat_map(BTreeMap::keys);
        let accounts: BTreeSet<&str> = owners.chain(others).map(|owner| owner.account).collect();
        for account in accounts.into_iter().filter(|account| !Arn::is_account(account)) {
            self.fault(account, None, "is not an account of twelve digits");
        }
    }

    fn managed_policies(&mut self, sorted: &Sorted<'_>) {
        for (arn, document) in aws::MANAGED {
            let policy =
                Policy::parse(arn, Grammar::Identity, document).expect("the documents of AWS are good");
            self.directory.policies.insert(arn.into(), Arc::new(policy));
        }
        for (owner, file) in &sorted.policies {
            self.name(file.0, owner.name, MAX_POLICY_NAME);
            let arn = policy_arn(owner.account, owner.name);
            if let Some(policy) = self.policy(&arn, Grammar::Identity, *file) {
                self.directory.policies.insert(arn, Arc::new(policy));
            }
        }
    }

    fn group<'o>(
        &mut self,
        owner: &Owner<'o>,
        at: &str,
        parts: &Parts<'_>,
        groups: &mut BTreeMap<Owner<'o>, Vec<Arc<Policy>>>,
    ) {
        let settings: settings::Group = self.settings(parts);
        let entity = self.entity(Kind::Group, owner, at, (settings.path, settings.id));
        let policies = self.policies(owner, at, parts, &settings.attached_policies);
        groups.insert(*owner, policies);
        let group = Group { name: entity.name, arn: entity.arn.clone(), id: entity.id };
        self.directory.groups.insert(entity.arn, group);
    }

    fn user(
        &mut self,
        owner: &Owner<'_>,
        at: &str,
        parts: &Parts<'_>,
        groups: &BTreeMap<Owner<'_>, Vec<Arc<Policy>>>,
    ) {
        let settings: settings::User = self.settings(parts);
        let entity = self.entity(Kind::User, owner, at, (settings.path, settings.id));
        let mut policies = self.policies(owner, at, parts, &settings.attached_policies);
        for name in &settings.groups {
            match groups.get(&Owner { account: owner.account, name }) {
                Some(group) => policies.extend(group.iter().cloned()),
                None => self.fault(at, None, format!("groups: {name:?} is not a group of the account")),
            }
        }
        let boundary = self.boundary(owner, at, settings.permissions_boundary.as_deref());
        self.tags(at, &settings.tags);
        let mfa_devices = self.mfa_devices(at, settings.mfa_devices);
        let user = User {
            name: entity.name,
            principal: Principal { arn: entity.arn.clone(), user_id: entity.id, account: entity.account },
            groups: settings.groups,
            permissions: Permissions { policies, boundary },
            mfa_devices,
            tags: settings.tags,
            disabled: settings.disabled,
        };
        self.directory.users.insert(entity.arn, user);
    }

    fn mfa_devices(&mut self, at: &str, declared: Vec<settings::MfaDevice>) -> Vec<MfaDevice> {
        if declared.len() > MAX_MFA_DEVICES {
            self.fault(at, None, format!("mfa_devices: more than {MAX_MFA_DEVICES}"));
        }
        let mut devices: Vec<MfaDevice> = Vec::new();
        for device in declared {
            let serial_number = device.serial_number;
            if !(9..=256).contains(&serial_number.len())
                || devices.iter().any(|d| d.serial_number == serial_number)
            {
                let problem = "is there twice or does not have 9 to 256 characters";
                self.fault(at, None, format!("mfa_devices: {serial_number:?} {problem}"));
            }
            let Some(text) = self.referenced(at, "mfa_devices.secret_file", &device.secret_file) else {
                continue;
            };
            match TotpSecret::parse(&text) {
                Some(secret) => devices.push(MfaDevice { serial_number, secret }),
                None => {
                    let file = device.secret_file.display();
                    self.fault(
                        at,
                        None,
                        format!("mfa_devices: {file} does not hold 80 bits or more in base 32"),
                    );
                }
            }
        }
        devices
    }

    /// The role, and what its trust policy is to be bound to once everybody is known.
    fn role<'f>(&mut self, owner: &Owner<'_>, at: &str, parts: &Parts<'f>) -> Option<(String, File<'f>)> {
        let settings: settings::Role = self.settings(parts);
        let entity = self.entity(Kind::Role, owner, at, (settings.path, settings.id));
        let policies = self.policies(owner, at, parts, &settings.attached_policies);
        let boundary = self.boundary(owner, at, settings.permissions_boundary.as_deref());
        self.tags(at, &settings.tags);
        let max_session_duration = settings.max_session_duration.unwrap_or(SHORTEST_MAX_SESSION);
        if !(SHORTEST_MAX_SESSION..=LONGEST_MAX_SESSION).contains(&max_session_duration) {
            self.fault(at, None, "max_session_duration: must be 3600 to 43200 seconds");
        }
        let Some(trust) = parts.trust else {
            self.fault(at, None, "the role has no trust.json beside it: nobody could assume it");
            return None;
        };
        let policy = self.policy("trust.json", Grammar::Trust, trust)?;
        let role = Role {
            name: entity.name,
            arn: entity.arn.clone(),
            id: entity.id,
            account: entity.account,
            trust: Trust { policy, principals: BTreeMap::new() },
            permissions: Permissions { policies, boundary },
            max_session_duration,
            tags: settings.tags,
            disabled: settings.disabled,
        };
        self.directory.roles.insert(entity.arn.clone(), role);
        Some((entity.arn, trust))
    }

    /// Binds the principals that trust policies name to those who are there.
    fn trust(&mut self, trusts: Vec<(String, File<'_>)>) {
        let directory = &self.directory;
        let users =
            directory.users().map(|user| (user.principal.arn.clone(), user.principal.user_id.clone()));
        let roles = directory.roles().map(|role| (role.arn.clone(), role.id.clone()));
        let ids: BTreeMap<String, String> = users.chain(roles).collect();
        // A session is named by its role, without the path; no two roles of an account differ in that alone.
        let of_sessions: BTreeMap<String, String> = directory
            .roles()
            .map(|role| {
                (format!("arn:aws:sts::{}:assumed-role/{}", role.account, role.name), role.id.clone())
            })
            .collect();
        let id_of = |arn: &str| {
            let role = || of_sessions.get(arn.rsplit_once('/')?.0);
            ids.get(arn).or_else(role).cloned()
        };
        let groups = directory.groups().map(|group| group.arn.as_str());
        self.register.retain(&ids.keys().map(String::as_str).chain(groups).collect());
        for (arn, (path, content)) in trusts {
            let Some(role) = self.directory.roles.get_mut(&arn) else { continue };
            let named: BTreeSet<String> = role.trust.policy.principal_arns().map(str::to_owned).collect();
            let bound = self.register.bind(&arn, content, &named, id_of);
            for (named, id) in &bound {
                if id_of(named).is_some_and(|now| now != *id) {
                    let message = format!(
                        "{named} was deleted and is declared again: this policy means the former one ({id}) until its \
                         text changes"
                    );
                    self.warnings.push(DirectoryFault { file: path.to_owned(), line: None, message });
                }
            }
            role.trust.principals = bound;
        }
    }

    fn unknown_files(&mut self, sorted: &Sorted<'_>) {
        for path in &sorted.placeless {
            if !may_be_ignored(path) && !self.referenced.contains(*path) {
                self.fault(path, None, "has no place in an IAM directory, and nothing refers to it");
            }
        }
    }
}

const MAX_NAME: usize = 64;
const MAX_POLICY_NAME: usize = 128;

/// What entities have in common.
impl Reader<'_, '_> {
    fn fault(&mut self, file: &str, line: Option<usize>, message: impl Into<String>) {
        self.faults.push(DirectoryFault { file: file.to_owned(), line, message: message.into() });
    }

    /// The settings in the file, or the defaults if there is none or it is at fault.
    fn settings<T: serde::de::DeserializeOwned + Default>(&mut self, parts: &Parts<'_>) -> T {
        let Some((path, content)) = parts.settings else { return T::default() };
        settings::parse(content).unwrap_or_else(|(line, message)| {
            self.fault(path, line, message);
            T::default()
        })
    }

    fn entity(
        &mut self,
        kind: Kind,
        owner: &Owner<'_>,
        at: &str,
        (path, id): (Option<String>, Option<String>),
    ) -> Entity {
        self.name(at, owner.name, MAX_NAME);
        let path = path.unwrap_or_else(|| "/".to_owned());
        if !is_path(&path) {
            self.fault(at, None, format!("path: {path:?} does not begin and end with \"/\""));
        }
        let arn = format!("arn:aws:iam::{}:{}{path}{}", owner.account, kind.word(), owner.name);
        let id = match id {
            Some(id) => {
                if !is_unique_id(&id) || !id.starts_with(kind.id_prefix()) {
                    let prefix = kind.id_prefix();
                    self.fault(
                        at,
                        None,
                        format!("id: {id:?} is not {prefix} and up to 124 letters and digits"),
                    );
                }
                id
            }
            None => self.register.id(kind, &arn),
        };
        Entity { name: owner.name.to_owned(), account: owner.account.to_owned(), arn, id }
    }

    fn name(&mut self, at: &str, name: &str, most: usize) {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
        if !(1..=most).contains(&name.len()) || !name.bytes().all(legal) {
            self.fault(
                at,
                None,
                format!("{name:?} is not a name of 1 to {most} letters, digits and _+=,.@-"),
            );
        }
    }

    fn tags(&mut self, at: &str, tags: &crate::iam::Tags) {
        if let Some(problem) = tag_problem(tags) {
            self.fault(at, None, format!("tags: {problem}"));
        }
    }

    /// Inline policies, then attached ones.
    fn policies(
        &mut self,
        owner: &Owner<'_>,
        at: &str,
        parts: &Parts<'_>,
        attached: &[String],
    ) -> Vec<Arc<Policy>> {
        let mut policies = Vec::new();
        for (name, file) in &parts.inline {
            self.name(file.0, name, MAX_POLICY_NAME);
            policies.extend(self.policy(name, Grammar::Identity, *file).map(Arc::new));
        }
        for reference in attached {
            policies.extend(self.managed(owner, at, "attached_policies", reference));
        }
        policies
    }

    fn boundary(&mut self, owner: &Owner<'_>, at: &str, reference: Option<&str>) -> Option<Arc<Policy>> {
        self.managed(owner, at, "permissions_boundary", reference?)
    }

    /// The managed policy with this ARN, or with this name in the account of `owner`.
    fn managed(&mut self, owner: &Owner<'_>, at: &str, key: &str, reference: &str) -> Option<Arc<Policy>> {
        let own = || policy_arn(owner.account, reference);
        let arn = if reference.contains(':') { reference.to_owned() } else { own() };
        let known = self.directory.policies.get(&arn).cloned();
        if known.is_none() {
            self.fault(at, None, format!("{key}: {arn} is not a managed policy of this directory"));
        }
        known
    }

    fn policy(&mut self, name: &str, grammar: Grammar, (path, content): File<'_>) -> Option<Policy> {
        let Ok(text) = std::str::from_utf8(content) else {
            self.fault(path, None, "is not UTF-8");
            return None;
        };
        match Policy::parse(name, grammar, text) {
            Ok(policy) => Some(policy),
            Err(error) => {
                self.fault(path, None, error.to_string());
                None
            }
        }
    }

    /// The content of a file that `key` of the settings file `at` refers to.
    fn referenced(&mut self, at: &str, key: &str, path: &Path) -> Option<Vec<u8>> {
        let path = beside(at, path);
        self.referenced.extend(path.to_str().map(str::to_owned));
        match (self.resolve)(&path) {
            Ok(content) => Some(content),
            Err(message) => {
                self.fault(at, None, format!("{key}: {}: {message}", path.display()));
                None
            }
        }
    }
}

fn policy_arn(account: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:policy/{name}")
}

/// `/` or `/division/team/`, as IAM's `CreateUser` allows it.
fn is_path(path: &str) -> bool {
    let legal = |b: u8| (0x21..=0x7e).contains(&b) && b != b':';
    path == "/"
        || (path.len() <= 512
            && path.len() > 2
            && path.starts_with('/')
            && path.ends_with('/')
            && !path.contains("//")
            && path.bytes().all(legal))
}
