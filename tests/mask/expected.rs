//! What the runners expect, byte for byte, for values that are not easy to name to them.

const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n";

/// A value, and what comes behind the start of each command for it: in GitHub's escaping, then in Azure's.
pub const EXPECTED: [(&str, &[&str], &[&str]); 6] = [
    (
        "swordfish",
        &["swordfish", "c3dvcmRmaXNo"],
        &["swordfish", "c3dvcmRmaXNo"],
    ),
    (
        PEM,
        &[
            "-----BEGIN PRIVATE KEY-----%0AMC4CAQAw%0A-----END PRIVATE KEY-----%0A",
            "-----BEGIN PRIVATE KEY-----",
            "MC4CAQAw",
            "-----END PRIVATE KEY-----",
            "-----BEGIN%2520PRIVATE%2520KEY-----%250AMC4CAQAw%250A-----END%2520PRIVATE%2520KEY-----%250A",
            "-----BEGIN+PRIVATE+KEY-----%250AMC4CAQAw%250A-----END+PRIVATE+KEY-----%250A",
            "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1DNENBUUF3Ci0tLS0tRU5EIFBSSVZBVEUgS0VZLS0tLS0K",
            "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1DNENBUUF3Ci0tLS0tRU5EIFBSSVZBVEUgS0VZ",
            "LS0tLS0K",
        ],
        &[
            "-----BEGIN PRIVATE KEY-----%0AMC4CAQAw%0A-----END PRIVATE KEY-----%0A",
            "-----BEGIN PRIVATE KEY-----",
            "MC4CAQAw",
            "-----END PRIVATE KEY-----",
            "-----BEGIN%AZP2520PRIVATE%AZP2520KEY-----%AZP250AMC4CAQAw%AZP250A-----END%AZP2520PRIVATE%AZP2520KEY-----%AZP250A",
            "-----BEGIN+PRIVATE+KEY-----%AZP250AMC4CAQAw%AZP250A-----END+PRIVATE+KEY-----%AZP250A",
            "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1DNENBUUF3Ci0tLS0tRU5EIFBSSVZBVEUgS0VZLS0tLS0K",
            "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1DNENBUUF3Ci0tLS0tRU5EIFBSSVZBVEUgS0VZ",
            "LS0tLS0K",
        ],
    ),
    (
        "{\n  \"user\": \"otter\"\n}",
        &[
            "{%0A  \"user\": \"otter\"%0A}",
            "\"user\": \"otter\"",
            "%257B%250A%2520%2520%2522user%2522%253A%2520%2522otter%2522%250A%257D",
            "%257B%250A++%2522user%2522%253A+%2522otter%2522%250A%257D",
            "ewogICJ1c2VyIjogIm90dGVyIgp9",
        ],
        &[
            "{%0A  \"user\": \"otter\"%0A}",
            "\"user\": \"otter\"",
            "%AZP257B%AZP250A%AZP2520%AZP2520%AZP2522user%AZP2522%AZP253A%AZP2520%AZP2522otter%AZP2522%AZP250A%AZP257D",
            "%AZP257B%AZP250A++%AZP2522user%AZP2522%AZP253A+%AZP2522otter%AZP2522%AZP250A%AZP257D",
            "ewogICJ1c2VyIjogIm90dGVyIgp9",
        ],
    ),
    (
        "100%0A%25x",
        &[
            "100%250A%2525x",
            "100%25250A%252525x",
            "MTAwJTBBJTI1eA==",
            "MTAwJTBBJTI1",
        ],
        &[
            "100%AZP250A%AZP2525x",
            "100%AZP25250A%AZP252525x",
            "MTAwJTBBJTI1eA==",
            "MTAwJTBBJTI1",
        ],
    ),
    (
        "left\rright",
        &[
            "left%0Dright",
            "left",
            "right",
            "left%250Dright",
            "bGVmdA1yaWdodA==",
            "bGVmdA1yaWdo",
        ],
        &[
            "left%0Dright",
            "left",
            "right",
            "left%AZP250Dright",
            "bGVmdA1yaWdodA==",
            "bGVmdA1yaWdo",
        ],
    ),
    (
        "::a]b;(??",
        &[
            "::a]b;(??",
            "%253A%253Aa%255Db%253B%2528%253F%253F",
            "%253A%253Aa%255Db%253B(%253F%253F",
            "OjphXWI7KD8/",
            "OjphXWI7KD8_",
        ],
        &[
            "::a]b;(??",
            "%AZP253A%AZP253Aa%AZP255Db%AZP253B%AZP2528%AZP253F%AZP253F",
            "%AZP253A%AZP253Aa%AZP255Db%AZP253B(%AZP253F%AZP253F",
            "OjphXWI7KD8/",
            "OjphXWI7KD8_",
        ],
    ),
];
