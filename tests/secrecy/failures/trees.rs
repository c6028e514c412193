//! Projects in another custody than is expected.

use super::*;

pub fn table() -> Vec<Failure> {
    vec![
        failure(
            (125, "Error::OtherCustody", "server-managed"),
            "a tree",
            || on_tree("managed", |_| ()).args(&["--custody", "client"]),
        ),
        failure(
            (125, "Error::OtherCustody", "client-managed"),
            "a service",
            || on_good_service("app", |_| ()).args(&["--custody", "server"]),
        ),
    ]
}
