//! What the user can do about a failure.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use crate::dotenv::render::Form;
use crate::error::unsafe_name::accepting;
use crate::error::{
    BadKey, Denied, Error, FileFlaw, Flaw, FromMirror, MissingKey, ProfileFlaw, Seal, Sealed,
    TemplateFlaw, Unreachable, Usage,
};
use crate::sys::locked::NoMemory;

impl Error {
    /// What the user can do about it, unless the message says so.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        if let Error::Usage(Usage::MissingSeparator { path: Some(path) }) = self {
            let line = format!("dotenv-run [OPTION]... {path} -- COMMAND [ARG]...");
            return Some(line.into());
        }
        if let Error::OfReference { error, .. } = self {
            return error.hint();
        }
        if let Error::Loose(file) = self {
            return Some(file.hint().into());
        }
        if let Error::UnsafeNames { names } = self {
            return Some(accepting(names).into());
        }
        self.fixed_hint().map(Cow::Borrowed)
    }

    fn fixed_hint(&self) -> Option<&'static str> {
        Some(match self {
            Error::Usage(Usage::MissingSeparator { .. } | Usage::NoCommand) => {
                "dotenv-run [OPTION]... [PATH] -- COMMAND [ARG]..."
            }
            Error::Usage(Usage::NoPath) => "give PATH before '--', or set DOTENV_RUN_PATH",
            Error::Usage(Usage::InvalidPath { .. }) => {
                "PATH has the form project[/target[/environment]]"
            }
            Error::Usage(
                Usage::BadReference { .. }
                | Usage::ReferenceWithoutPath { .. }
                | Usage::NoReference,
            ) => {
                "a reference has the form dotenv://PROJECT[/TARGET[/ENVIRONMENT]]#NAME, \
                 or dotenv:#NAME for the PATHs that are given"
            }
            Error::Usage(_) => "see --help",
            Error::NotOpen { number: 1.., .. } => {
                "a shell opens descriptor 3 of a command with 3<FILE, or 3>FILE for writing"
            }
            Error::NoKey(MissingKey::Api) => {
                "set DOTENV_API_KEY, or give --api-key-file FILE; for a sealed directory, --api-url ./DIRECTORY"
            }
            Error::NoKey(_) => "set DOTENV_CLIENT_KEY, or give --client-key FILE",
            Error::BadKey {
                place,
                reason: BadKey::NoSuchFile,
            } if !place.starts_with("--") => {
                "this variable names a file; put the key itself in the variable without _FILE"
            }
            Error::BadKey {
                reason: BadKey::NoSuchFile,
                ..
            } => {
                "put the key in a file, or use '-', fd:N or the environment; \
                 every process can read the command line"
            }
            Error::NoPathOfDescriptor => "mount /proc",
            Error::BadKey {
                reason: BadKey::NotInTime { .. },
                ..
            } => "the program that writes the key must close its end of the pipe",
            Error::BadKey {
                reason: BadKey::ByteOrderMark,
                ..
            } => "save the file as UTF-8 without a byte order mark",
            Error::Unprotected(_) => {
                "allow this call in the system call filter of the container or service"
            }
            Error::Stack(_)
            | Error::Profile {
                flaw: ProfileFlaw::Stack(_),
                ..
            } => "raise the limit on the stack, as with: ulimit -s 256",
            Error::PseudoTerminal(_) => "mount devpts on /dev/pts, or filter a pipe: 2>&1 | cat",
            Error::Traced { .. } => "use --allow-tracer to run under strace or a debugger",
            Error::Unauthorized { .. } => "the API key is unknown, expired or revoked",
            Error::Forbidden {
                denied: Denied::KeyDescriptor,
                ..
            } => "give the API key the scope key:retrieve, which the read-only preset lacks",
            Error::Forbidden {
                denied: Denied::Secrets,
                ..
            } => "give the API key the scope secret:read",
            Error::NotFound { .. } => "check the path and the organization",
            Error::RateLimited { .. } => {
                "the service allows 100 requests per minute for each organization; try again later"
            }
            Error::Redirected { .. } => "redirects are never followed; check the API URL",
            Error::Certificate {
                flaw: Flaw::UnknownAuthority,
                ..
            } => "use --ca-file FILE to trust a private certificate authority",
            Error::Certificate {
                flaw: Flaw::Other, ..
            } => {
                "a server certificate must not be a CA certificate (CA:TRUE), \
                 as many self-signed certificates are"
            }
            Error::Certificate {
                flaw: Flaw::Expired | Flaw::NotYetValid,
                ..
            } => "check the clock of this machine",
            Error::Mirror {
                refused: FromMirror::Denial { .. },
                ..
            } => {
                "a mirror is asked without the API key; it must give the documents to everyone who asks"
            }
            Error::Mirror {
                refused: FromMirror::ServerManaged { .. },
                ..
            } => {
                "whoever can write there could choose the values; \
                 use --custody server or --custody any to accept it"
            }
            Error::Mirror {
                refused: FromMirror::Plaintext { .. },
                ..
            } => "only encrypted levels are accepted from a mirror",
            Error::Unreachable {
                reason: Unreachable::Proxy { status: 407 },
                ..
            } => "put the user name and the password in the URL of the proxy",
            Error::Empty { .. } => "use --allow-empty to start the command without secrets",
            Error::NamelessLevel { .. } => "use --text NAME to give the value a name",
            Error::Plaintext { .. } => "use --allow-plaintext to accept it",
            Error::PlaintextInTree { .. } => "--allow-plaintext applies to the service only",
            Error::NotWhole { flaw, .. } => return flaw.hint(),
            Error::OtherCustody {
                actual: "server", ..
            } => {
                "whoever can write there could choose the values; \
                 use --custody server or --custody any to accept it"
            }
            Error::OtherCustody { .. } => "use --custody client or --custody any to accept it",
            Error::Sealed {
                reason: Sealed::WrongClientKey,
                ..
            } => "use the key that the secrets of this project were sealed with",
            Error::PrintToFile => "use --allow-file to store the secrets on disk",
            Error::Profile {
                flaw: ProfileFlaw::UnknownKey { .. } | ProfileFlaw::NotInProfile { .. },
                ..
            } => "valid keys are path, command and the long option names that --help lists",
            Error::Profile {
                flaw: ProfileFlaw::NotOneSection { .. } | ProfileFlaw::SectionInSection { .. },
                ..
            } => "a section is a table at the top of the file; its keys are those of options",
            Error::Profile {
                flaw:
                    ProfileFlaw::NoSection { .. }
                    | ProfileFlaw::OptionNotSection { .. }
                    | ProfileFlaw::NoFileOfSection(_),
                ..
            } => {
                "the text after the last '#' names a section; \
                 the file a#b without a section is written a#b#"
            }
            Error::Mask(_) => "use --mask=off to start the command without masking",
            Error::NoSpelling {
                form: Form::GitHub, ..
            } => "use --except to leave it out, or --rename",
            Error::NoSpelling {
                form: Form::Docker, ..
            } => "use --print names, and docker run -e NAME in COMMAND, for any value",
            Error::NoSpelling { .. } => "use json or yaml, which can represent every value",
            Error::LocalFile {
                flaw:
                    FileFlaw::Template {
                        reason: TemplateFlaw::UnknownFilter,
                        ..
                    },
                ..
            } => "the filters are base64, json and url",
            Error::LocalFile {
                flaw:
                    FileFlaw::Template {
                        reason: TemplateFlaw::Unclosed | TemplateFlaw::NotAName,
                        ..
                    },
                ..
            } => "write {{NAME}} or {{NAME|base64}} without blanks, and {{{{ for the text {{",
            Error::NotOneSecret { .. } => "use --only NAME",
            Error::NotBase64 { .. } => "use raw for the value as it is stored",
            Error::NothingMasked => "use --mask=off to go on without masking",
            Error::VariableTooLong { .. } | Error::EnvironmentTooLong { .. } => {
                "use --file VAR --file-only to pass the secrets in a file in memory"
            }
            Error::Memory(NoMemory::Unlockable { .. }) => {
                "raise the limit on locked memory (ulimit -l, LimitMEMLOCK=, --ulimit memlock=), \
                 or use --allow-swap"
            }
            Error::OtherOrganization { .. } => "check --organization and the source of the secrets",
            Error::Seal(
                Seal::FewIterations { .. } | Seal::ForeignSalt { .. } | Seal::NoLevel { .. },
            ) => "use --allow-weak-key to accept it, if it was you who made the key descriptor",
            Error::Seal(Seal::NoManifest { .. }) => {
                "check the tree, then make a manifest with 'dotenv-seal sign TREE PROJECT'"
            }
            Error::Seal(Seal::LevelOf { .. }) => {
                "use the key that the secrets of this project were sealed with"
            }
            Error::Seal(Seal::EmptyValue { .. }) => "use --allow-empty to set an empty value",
            Error::Seal(Seal::Loss { .. }) => "use --replace if that is meant",
            Error::Seal(Seal::HasPathsBelow { .. }) => "use --recursive to remove them, too",
            Error::Seal(Seal::NoSpelling { .. }) => "set it without both '$' and single quotes",
            Error::Seal(Seal::EmptyText) => "use --allow-empty to empty the level",
            Error::Seal(Seal::KeyOf32Bytes) => "create a key with 'dotenv-seal keygen'",
            _ => return None,
        })
    }
}
