//! Answers of the service that are kept for the next start, in keys of the kernel: never in a file.
//!
//! An answer is kept in two keys, one with the documents as they came, one with the key that opens them. Both are
//! sealed under a key made from the API key, and called by names made from it: who does not have the API key can neither
//! read nor recognize them. They lie in the session keyring, which the command is given another one in place of, or in
//! the user's keyring where the process has no session keyring of its own. Whatever goes wrong here is no reason to
//! fail: then the service is asked.

#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::{Caching, ServiceUrl};
use crate::crypto::{CacheKey, DataKey, KEY_LENGTH};
use crate::error::{Error, TRY_AGAIN};
use crate::event::{Event, Freshness};
use crate::keys::ApiKey;
use crate::path::PathList;
use crate::report::Report;
use crate::store::documents;
use crate::store::model::{OrganizationHint, Origin, SealedLevels, SealedPaths, Texts};
use crate::store::open::OpenLevel;
use crate::sys::keyring::{self, Key};
use crate::sys::locked::Locked;
use crate::sys::{plain, time_since_start};

/// Stands in front of every entry. Another version, and every other program version, has other entries.
const FORMAT: u8 = 2;

/// The length in bytes of the time in front of what an entry holds.
const TIME: usize = size_of::<u64>();

/// The length in bytes of what stands in front of the texts: whether a mirror had them, and the length of each.
fn prefix(texts: usize) -> usize {
    1 + texts * size_of::<u32>()
}

/// The size in bytes of what is not even tried to be kept; sealing adds a little.
const MAX_CONTENT: usize = keyring::MAX_SIZE;

/// What the two keys of an answer hold.
#[derive(Clone, Copy)]
enum Part {
    Documents,
    DataKey,
}

impl Part {
    /// What says in an entry which one it is, and cannot be changed.
    fn header(self) -> [u8; 2] {
        [FORMAT, self as u8]
    }
}

/// Whether the cache may be changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    ReadOnly,
    ReadWrite,
}

/// The place of one answer among all that can be kept.
pub struct Cache {
    caching: Caching,
    mode: Mode,
    paths: PathList,
    /// Where the keys are.
    keyring: Key,
    /// That keyring, if it is one that the command is not to have.
    session: Option<Key>,
    sealing: CacheKey,
    names: [String; 2],
    report: Report,
}

impl Cache {
    /// The place of the answer that `key` gets from the service at `url` for `paths`; `None` where the kernel keeps
    /// nothing for us.
    ///
    /// The client key has no part in it, because it is not asked for when an entry is used: another one is noticed
    /// when the service is asked again.
    pub fn open(
        (caching, mode): (Caching, Mode),
        key: &ApiKey,
        url: &ServiceUrl,
        organization: &OrganizationHint,
        paths: &PathList,
        report: Report,
    ) -> Option<Self> {
        let version = env!("CARGO_PKG_VERSION");
        let open = || {
            // The clock of an entry begins anew with every boot, so an entry is of one boot.
            let boot = boot()?;
            let answer = format!(
                "{version}\0{boot}\0{}\0{}\0{paths}",
                url.base,
                organization.known_or_given()
            );
            let [key, answer] = [key.as_str(), &answer].map(str::as_bytes);
            let session = keyring::own_session()?;
            if let Some(session) = session
                && keyring::is_open_to_others(session)?
            {
                return Err(io::Error::other(
                    "other processes of the user can link the session keyring",
                ));
            }
            Ok(Cache {
                caching,
                mode,
                paths: paths.clone(),
                keyring: session.unwrap_or(keyring::USER),
                session,
                sealing: CacheKey::new(key, answer).map_err(|_| io::ErrorKind::OutOfMemory)?,
                names: [Part::Documents, Part::DataKey]
                    .map(|part| CacheKey::name_of(&part.header(), key, answer)),
                report,
            })
        };
        let opened: io::Result<Self> = open();
        opened
            .inspect_err(|error| {
                report.note(format_args!("the cache cannot be used: {}", plain(error)))
            })
            .ok()
    }

    /// Brings the levels, opened: by `reopen` from what is kept, with its key, if that is young enough; else by `ask` from
    /// the service; and if that fails in a way that may pass, from what is kept once more.
    ///
    /// # Errors
    ///
    /// Those of `ask`.
    pub fn levels(
        self,
        reopen: impl Fn(SealedPaths, Vec<DataKey>) -> Result<Vec<OpenLevel>, Error>,
        ask: impl FnOnce() -> Result<Answer, Error>,
    ) -> Result<(Vec<OpenLevel>, Option<Pending>, Origin), Error> {
        let reopen = |Entry { keys, sealed, .. }| {
            let levels = reopen(sealed, keys);
            levels.inspect_err(|_| self.delete()).ok()
        };
        let mut kept = self.find();
        if let Some(entry) = kept.take_if(|entry| entry.age <= self.caching.age) {
            let seconds = entry.age.as_secs();
            if let Some(levels) = reopen(entry) {
                self.report
                    .note(format_args!("using the answer cached {seconds} s ago"));
                let freshness = Freshness::Fresh;
                self.report.record(|| Event::Cached { freshness, seconds });
                return Ok((levels, self.pending(None), Origin::Cache));
            }
        }
        let error = match ask() {
            Ok(answer) => {
                let origin = answer.origin;
                let (levels, fetched) = answer.fetched();
                return Ok((levels, self.pending(fetched), origin));
            }
            Err(error) => error,
        };
        if is_denial(&error) {
            self.delete();
        }
        let Some(entry) = kept.filter(|_| error.status() == TRY_AGAIN) else {
            return Err(error);
        };
        let seconds = entry.age.as_secs();
        let Some(levels) = reopen(entry) else {
            return Err(error);
        };
        let freshness = Freshness::Stale;
        self.report.record(|| Event::Cached { freshness, seconds });
        self.report.warn(format_args!(
            "{error}; using the answer cached {seconds} s ago"
        ));
        Ok((levels, self.pending(None), Origin::StaleCache))
    }

    /// Brings the levels by `ask`, whatever is kept.
    ///
    /// # Errors
    ///
    /// Those of `ask`.
    pub fn renewed(
        self,
        ask: impl FnOnce() -> Result<Answer, Error>,
    ) -> Result<(Vec<OpenLevel>, Option<Pending>, Origin), Error> {
        let answer = ask().inspect_err(|error| {
            if is_denial(error) {
                self.delete();
            }
        })?;
        let origin = answer.origin;
        let (levels, fetched) = answer.fetched();
        Ok((levels, self.pending(fetched), origin))
    }

    fn pending(self, fetched: Option<Fetched>) -> Option<Pending> {
        Some(Pending {
            cache: self,
            fetched,
        })
    }

    /// The answer, if it is kept and not older than can be of use. What is damaged or incomplete is deleted.
    fn find(&self) -> Option<Entry> {
        let entry = match [Part::Documents, Part::DataKey].map(|part| self.read(part)) {
            [Found::Nothing, Found::Nothing] => return None,
            [
                Found::Content(since, documents),
                Found::Content(other, keys),
            ] if since == other => self.entry(since, &documents, &keys),
            _ => None,
        };
        if entry.is_none() {
            self.delete();
        }
        entry.filter(|entry| entry.age <= self.caching.age + self.caching.stale)
    }

    fn entry(&self, since: Duration, documents: &Locked, keys: &Locked) -> Option<Entry> {
        let (paths, projects) = (self.paths.len(), self.paths.projects().len());
        let count = 1 + paths + 2 * projects;
        let (prefix, texts) = documents.bytes().split_at_checked(prefix(count))?;
        let origin = match prefix[0] {
            0 => Origin::Service,
            _ => Origin::Mirror,
        };
        let mut rest = str::from_utf8(texts).ok()?;
        let mut texts = Vec::with_capacity(count);
        for length in prefix[1..].as_chunks().0 {
            let (text, behind) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            texts.push(text);
            rest = behind;
        }
        let keys = keys.bytes().chunks(KEY_LENGTH).map(DataKey::restored);
        let keys = keys.collect::<Option<Vec<_>>>()?;
        Some(Entry {
            age: time_since_start().ok()?.checked_sub(since)?,
            sealed: sealed(&self.paths, &texts, origin)?,
            keys: Some(keys).filter(|keys| keys.len() == projects)?,
        })
    }

    fn read(&self, part: Part) -> Found {
        let read = || {
            let key = keyring::find(self.keyring, &self.names[part as usize])?;
            key.map(keyring::read).transpose()
        };
        let sealed = match read() {
            Ok(Some(sealed)) => sealed,
            Ok(None) => return Found::Nothing,
            Err(_) => return Found::Damaged,
        };
        let Ok(mut content) = self.sealing.open(&part.header(), sealed) else {
            return Found::Damaged;
        };
        let Some(time) = content.bytes().first_chunk() else {
            return Found::Damaged;
        };
        let since = Duration::from_nanos(u64::from_be_bytes(*time));
        content.keep(TIME..content.bytes().len());
        Found::Content(since, content)
    }

    /// Keeps an answer in place of the one before.
    fn store(&self, fetched: &Fetched) -> io::Result<()> {
        let Fetched {
            texts,
            keys,
            origin,
        } = fetched;
        let received = texts.received.ok_or(io::ErrorKind::Unsupported)?;
        let time = (received.as_nanos() as u64).to_be_bytes();
        let is_of_mirror = [u8::from(*origin == Origin::Mirror)];
        let documents = texts.secrets.iter().chain(&texts.descriptors);
        let texts = [&texts.organization]
            .into_iter()
            .chain(documents)
            .chain(&texts.manifests);
        let texts: Vec<_> = texts.collect();
        let size: usize = texts.iter().map(|text| text.len()).sum();
        if TIME + prefix(texts.len()) + size > MAX_CONTENT {
            return Err(io::Error::other("the answer is too long for a key"));
        }
        let lengths = texts.iter().map(|text| (text.len() as u32).to_be_bytes());
        let lengths: Vec<_> = lengths.collect();
        let parts = [&time[..], &is_of_mirror].into_iter();
        let parts = parts.chain(lengths.iter().map(|length| &length[..]));
        let texts = texts.into_iter().map(String::as_bytes);
        let content: Vec<_> = parts.chain(texts).collect();
        let keys: Vec<_> = [&time[..]]
            .into_iter()
            .chain(keys.iter().map(DataKey::bytes))
            .collect();
        let lifetime = self.caching.age + self.caching.stale;
        let add = |part: Part, content: &[&[u8]]| {
            let sealed = self.sealing.seal(&part.header(), content)?;
            keyring::add(self.keyring, &self.names[part as usize], &sealed, lifetime)
        };
        add(Part::Documents, &content).and_then(|()| add(Part::DataKey, &keys))
    }

    /// Deletes what is kept, unless this is a check.
    fn delete(&self) {
        if self.mode == Mode::ReadOnly {
            return;
        }
        for name in &self.names {
            if let Ok(Some(key)) = keyring::find(self.keyring, name) {
                keyring::remove(self.keyring, key);
            }
        }
    }

    /// Takes all that is kept out of the command's reach, and leaves it everything else in the session keyring. If that
    /// fails, nothing is kept there.
    fn hide(&self) -> io::Result<()> {
        let Some(session) = self.session else {
            return Ok(());
        };
        let members = keyring::members(session).inspect_err(|_| self.delete())?;
        let (ours, others): (Vec<_>, Vec<_>) = members
            .into_iter()
            .partition(|key| keyring::is_made_by_us(*key, is_name));
        let lost = keyring::replace_session(session, &others).inspect_err(|_| {
            for key in ours {
                keyring::remove(session, key);
            }
        })?;
        if lost > 0 {
            self.report.warn(format_args!(
                "{lost} keys of the session keyring do not fit into the command's keyring (quota)"
            ));
        }
        Ok(())
    }
}

/// What the kernel calls the time since it was started.
fn boot() -> io::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    match boot.trim() {
        "" => Err(io::ErrorKind::InvalidData.into()),
        boot => Ok(boot.to_owned()),
    }
}

/// Whether a key is called as ours are.
fn is_name(description: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    description.len() == 64 && description.bytes().all(is_digit)
}

/// What there is of one part of an answer.
enum Found {
    Nothing,
    /// Something that is not ours, or is no more.
    Damaged,
    /// When it was kept, and what.
    Content(Duration, Locked),
}

/// What the service has answered.
pub struct Answer {
    /// The levels, opened.
    pub levels: Vec<OpenLevel>,
    /// The key of each project, if there is one; if one is missing, nothing is kept.
    pub keys: Vec<Option<DataKey>>,
    /// The documents as they came, if they are to be kept.
    pub texts: Option<Texts>,
    pub origin: Origin,
}

impl Answer {
    /// The levels, and what can be kept.
    fn fetched(self) -> (Vec<OpenLevel>, Option<Fetched>) {
        let origin = self.origin;
        let keys = self.keys.into_iter().collect::<Option<Vec<_>>>();
        let fetched = self.texts.zip(keys);
        let fetched = fetched.map(|(texts, keys)| Fetched {
            texts,
            keys,
            origin,
        });
        (self.levels, fetched)
    }
}

/// What is kept of an answer.
struct Fetched {
    texts: Texts,
    keys: Vec<DataKey>,
    origin: Origin,
}

/// Whether an error says that the API key may not, or no longer, have the answer.
fn is_denial(error: &Error) -> bool {
    matches!(
        error,
        Error::Unauthorized { .. } | Error::Forbidden { .. } | Error::NotFound { .. }
    )
}

/// What is left to do with a cache when its answer has turned out to be good.
pub struct Pending {
    cache: Cache,
    fetched: Option<Fetched>,
}

impl Pending {
    /// Keeps what was fetched, and takes all that is kept out of the command's reach. A check has no command, and leaves
    /// later starts what they would find without it.
    pub fn finish(self) {
        if self.cache.mode == Mode::ReadOnly {
            return;
        }
        let stored = match &self.fetched {
            Some(fetched) => self
                .cache
                .store(fetched)
                .inspect_err(|_| self.cache.delete()),
            None => Ok(()),
        };
        if let Err(error) = stored.and(self.cache.hide()) {
            let report = self.cache.report;
            report.note(format_args!("the answer is not cached: {}", plain(&error)));
        }
    }
}

/// An answer that was kept.
struct Entry {
    age: Duration,
    sealed: SealedPaths,
    keys: Vec<DataKey>,
}

/// What the documents of the paths say; `None` if one is not what it should be.
fn sealed(paths: &PathList, texts: &[&str], origin: Origin) -> Option<SealedPaths> {
    let (organization, texts) = texts.split_first()?;
    let (secrets, texts) = texts.split_at_checked(paths.len())?;
    let (descriptors, manifests) = texts.split_at_checked(paths.projects().len())?;
    let descriptor = |text: &&str| documents::descriptor(text).ok().map(Arc::new);
    let descriptors: Vec<_> = descriptors.iter().map(descriptor).collect::<Option<_>>()?;
    let manifest = |text: &&str| match *text {
        "" => Some(None),
        text => documents::manifest(text).ok().map(|it| Some(Arc::new(it))),
    };
    let manifests: Vec<_> = manifests.iter().map(manifest).collect::<Option<_>>()?;
    let levels = |(path, text): (usize, &&str)| {
        let secrets = documents::secrets(text).ok()?;
        secrets.check_depth(paths.get(path)).ok()?;
        let project = paths.project_of(path);
        Some(SealedLevels {
            organization: (!organization.is_empty()).then(|| (*organization).to_owned()),
            secrets,
            descriptor: Some(Arc::clone(&descriptors[project])),
            manifest: manifests[project].clone(),
            origin,
        })
    };
    let each = secrets.iter().enumerate().map(levels);
    Some(SealedPaths {
        each: each.collect::<Option<_>>()?,
        texts: None,
    })
}
