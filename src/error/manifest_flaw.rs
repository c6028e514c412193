//! What is wrong with a tree that is not whole, and the wording of it.

#![forbid(unsafe_code)]

use crate::path::LevelName;

/// Why the levels of a tree or mirror are not taken for those that belong together.
#[derive(Debug, thiserror::Error)]
pub enum ManifestFlaw {
    /// There is no manifest.
    #[error("there is no manifest, so a level that is missing, moved or old would not be noticed")]
    Missing,
    /// There is no manifest, and a generation is asked for.
    #[error("there is no manifest, so --min-generation cannot be checked")]
    NoGeneration,
    /// Its content is not sealed text.
    #[error("the content of the manifest is not a sealed blob")]
    NoBlob,
    /// The key does not open it.
    #[error("wrong client key, or the manifest was changed after it was sealed")]
    NotAuthentic,
    #[error("the manifest belongs to the project {actual}")]
    OtherProject { actual: String },
    #[error("the manifest belongs to the organization {actual}")]
    OtherOrganization { actual: String },
    /// The generation that everyone can read is not the one that was sealed.
    #[error("the generation of the manifest was changed after it was sealed")]
    OtherGeneration,
    #[error("the generation of the tree is {generation}, but at least {minimum} is required")]
    TooOld { generation: u64, minimum: u64 },
    #[error("level {level} of {path} is missing, but the manifest lists it")]
    Dropped { level: LevelName, path: String },
    #[error("level {level} of {path} is not in the manifest")]
    Added { level: LevelName, path: String },
    #[error(
        "level {level} of {path} is not the one in the manifest: it was replaced, moved or put back to an older state"
    )]
    Changed { level: LevelName, path: String },
    #[error("{path} is not in the manifest")]
    UnknownPath { path: String },
}

impl ManifestFlaw {
    /// Whether documents of different moments, read while the tree was changed, could look like this.
    pub fn may_be_torn(&self) -> bool {
        matches!(
            self,
            ManifestFlaw::Dropped { .. }
                | ManifestFlaw::Added { .. }
                | ManifestFlaw::Changed { .. }
                | ManifestFlaw::UnknownPath { .. }
        )
    }

    /// What the user can do about it.
    pub(super) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            ManifestFlaw::Missing => {
                "make one with 'dotenv-seal sign TREE PROJECT --client-key FILE', \
                 or use --allow-unsigned-tree to do without"
            }
            ManifestFlaw::NoGeneration => {
                "make a manifest with 'dotenv-seal sign TREE PROJECT --client-key FILE'"
            }
            ManifestFlaw::NotAuthentic => {
                "use the key that the secrets of this project were sealed with"
            }
            ManifestFlaw::TooOld { .. } => "the whole tree was put back to an older state",
            flaw if flaw.may_be_torn() => {
                "somebody changed the tree without dotenv-seal; restore it, \
                 or accept it as it is with 'dotenv-seal sign'"
            }
            _ => "restore the tree from where it was last whole",
        })
    }
}
