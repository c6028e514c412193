//! Secrets are nowhere but where they must be, and every check of that is shown to find a planted one.

pub mod limits;

use crate::support::*;
use limits::{NO_SWAP, SWAP_FILE, UNLIMITED};

/// A client-managed path of [`World::example`].
pub const CLIENT_MANAGED: &str = "my-app/production/api";

tests![
    limits::without_swap_every_limit_is_good_enough needs(ROOT, NO_SWAP),
    limits::with_swap_memory_that_cannot_be_locked_is_refused_or_accepted_by_name needs(ROOT, SWAP_FILE),
    limits::with_swap_a_set_that_is_too_large_for_the_limit_is_refused needs(ROOT, SWAP_FILE),
    limits::without_a_limit_all_memory_is_locked needs(ROOT, UNLIMITED),
    limits::a_typical_set_needs_less_than_64_kib needs(ROOT),
];
