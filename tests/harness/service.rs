//! The test service, asked by a client that is not the program under test.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};

use crate::support::*;

tests![
    it_speaks_both_versions_of_tls,
    it_speaks_plain_http,
    it_sends_levels_that_open_in_every_custody,
    it_sends_no_levels_as_an_empty_array,
    it_refuses_a_request_without_the_right_form,
    it_knows_only_the_paths_of_its_routes,
    it_knows_only_its_own_keys,
    it_holds_a_key_to_its_scopes,
    it_lists_its_keys_to_those_that_may_ask,
    it_holds_a_key_to_its_restriction,
    it_hides_what_belongs_to_another_organization,
    it_takes_oauth_tokens,
    it_has_certificates_that_no_client_should_accept,
    it_replaces_good_answers_only,
    it_can_spoil_one_bit_of_a_level,
    it_can_change_the_key_descriptor,
    it_can_break_the_connection_in_every_way,
    it_can_be_slow_until_it_stops,
    it_can_interrupt_a_connection_at_every_stage,
    it_can_refuse_connections_and_requests,
    it_records_what_it_was_asked,
];

fn secrets(path: &str) -> String {
    format!("/api/v1/{ORGANIZATION}/{path}/secrets")
}

fn encryption_key(project: &str) -> String {
    format!("/api/v1/{ORGANIZATION}/{project}/encryption-key")
}

#[track_caller]
fn status(service: &Service, path: &str, token: &str) -> u16 {
    Client::new(service).get(path, token).unwrap().status
}

/// A good request, as bytes.
fn request(path: &str, token: &str) -> String {
    let headers = Client::good_headers(token).join("\r\n");
    format!("GET {path} HTTP/1.1\r\n{headers}\r\n\r\n")
}

/// The key descriptor inside its document.
fn descriptor(document: &Value) -> Value {
    let content = document["data"]["attributes"]["content"].as_str();
    let content: Value = serde_json::from_str(content.expect("a string")).expect("JSON inside");
    content["key"].clone()
}

fn it_speaks_both_versions_of_tls() {
    let service = Service::example();
    assert!(service.url().starts_with("https://127.0.0.1:"));
    assert_eq!(
        service.url_by_name(),
        service.url().replace("127.0.0.1", "localhost")
    );
    for version in [&TLS12, &TLS13] {
        let answer = Client::new(&service)
            .version(version)
            .get("/api/v1/organization", service.api_key())
            .unwrap();
        assert_eq!(answer.status, 200);
        assert!(
            answer.head.contains("Content-Type: application/json"),
            "{answer:?}"
        );
        assert_eq!(
            answer.json()["data"]["attributes"]["ulid"],
            json!(ORGANIZATION)
        );
    }
}

fn it_speaks_plain_http() {
    let service = Service::plain();
    assert!(service.url().starts_with("http://"));
    assert_eq!(status(&service, &secrets("my-app"), service.api_key()), 200);
}

fn it_sends_levels_that_open_in_every_custody() {
    let service = Service::example();
    let client = Client::new(&service);
    let fetch = |path: &str| client.get(path, service.api_key()).unwrap().json();
    let projects = [
        ("my-app", "client"),
        ("managed", "server"),
        ("legacy", "server"),
    ];
    for (project, managed) in projects {
        let descriptor = descriptor(&fetch(&encryption_key(project)));
        assert_eq!(descriptor["managed"], json!(managed));
        assert_eq!(
            descriptor["key"].is_string(),
            managed == "server",
            "{descriptor}"
        );
        let key = descriptor["key"].as_str().unwrap_or(CLIENT_KEY);
        let salt = descriptor["key_check_salt"].as_str();
        assert_eq!(salt.is_some(), project != "legacy");
        let salt = salt.map(|salt| BASE64_STANDARD.decode(salt).unwrap());
        let iterations = descriptor["key_check_iterations"].as_u64().unwrap_or(1);
        let key = data_key(key, salt.as_deref(), iterations as u32);

        let document = fetch(&secrets(&format!("{project}/production/api")));
        let levels = &document["data"]["attributes"]["levels"];
        let text = |level: &str| open(&key, levels[level]["content"].as_str().unwrap()).unwrap();
        let shared = b"APP_NAME=Acme\nLOG_LEVEL=info\nDATABASE_URL=postgres://shared\n";
        assert_eq!(text("project"), shared);
        assert_eq!(text("target"), b"LOG_LEVEL=debug\n");
        let own = b"DATABASE_URL=postgres://prod\nSTRIPE_SECRET_KEY=sk_live_x\n";
        assert_eq!(text("environment"), own);
        assert_eq!(levels["environment"]["source"], json!("api"));
        let hierarchy = json!({ "project": project, "target": "production", "environment": "api" });
        assert_eq!(document["meta"]["hierarchy"], hierarchy);
    }
}

fn it_sends_no_levels_as_an_empty_array() {
    let service = Service::of(World::new(vec![Project::new("bare", Custody::client())]));
    let answer = Client::new(&service).get(&secrets("bare"), service.api_key());
    assert_eq!(
        answer.unwrap().json()["data"]["attributes"]["levels"],
        json!([])
    );
}

fn it_refuses_a_request_without_the_right_form() {
    let service = Service::example();
    let good = Client::good_headers(service.api_key());
    let change = |from: &str, to: &str| -> Vec<String> {
        let chosen = good
            .iter()
            .map(|header| if header.starts_with(from) { to } else { header });
        chosen.map(String::from).collect()
    };
    let extra = |header: &str| [good.clone(), vec![header.to_string()]].concat();
    let cases = [
        ("GET", good.clone(), 200),
        ("POST", good.clone(), 405),
        ("HEAD", good.clone(), 405),
        ("get", good.clone(), 405),
        ("GET", change("Accept", "Accept: text/html"), 302),
        ("GET", change("User-Agent", "User-Agent: dotenv-run/"), 400),
        ("GET", change("User-Agent", "User-Agent: curl/8"), 400),
        ("GET", change("Host", "X-Host: localhost"), 400),
        ("GET", extra("Transfer-Encoding: chunked"), 400),
        ("GET", extra("not a header"), 400),
        ("GET", extra("Authorization: Bearer other"), 401),
    ];
    for (method, headers, expected) in cases {
        let line = format!("{method} {} HTTP/1.1", secrets("my-app"));
        let answer = Client::new(&service).send(&line, &headers).unwrap();
        assert_eq!(answer.status, expected, "{method} {headers:?}\n{answer:?}");
    }
    let old = format!("GET {} HTTP/1.0", secrets("my-app"));
    assert_eq!(Client::new(&service).send(&old, &good).unwrap().status, 400);
}

fn it_knows_only_the_paths_of_its_routes() {
    let service = Service::example();
    for path in ["my-app", "my-app/production", "my-app/production/api"] {
        assert_eq!(
            status(&service, &secrets(path), service.api_key()),
            200,
            "{path}"
        );
    }
    let unknown = [
        secrets("other"),
        secrets("my-app/staging"),
        secrets("my-app/production/web"),
        secrets("my-app/production/api/more"),
        secrets("my-app/"),
        secrets("my-app//api"),
        secrets("my-app/../my-app"),
        secrets("my-app/%70roduction"),
        secrets("My-App"),
        secrets("my-app") + "?decrypt=true",
        secrets("my-app") + "#fragment",
        secrets("my-app") + "/",
        encryption_key("other"),
        encryption_key("my-app/production"),
        encryption_key("my-app") + "/history",
        secrets("my-app").replace(ORGANIZATION, "acme-corp"),
        secrets("my-app").replace(ORGANIZATION, &ORGANIZATION.to_lowercase()),
        secrets("my-app").replacen('/', "//", 1),
        "/api/v1/organization/".into(),
        "/api/v1/organizations".into(),
        "/api/v1/".into(),
        "/".into(),
    ];
    for path in unknown {
        assert_eq!(status(&service, &path, service.api_key()), 404, "{path}");
    }
}

fn it_knows_only_its_own_keys() {
    let service = Service::example();
    let stranger = Key::new();
    let cases = [
        stranger.token(),
        "",
        "x",
        &service.api_key()[..60],
        &format!("{}x", service.api_key()),
    ];
    for token in cases {
        let answer = Client::new(&service)
            .get(&secrets("my-app"), token)
            .unwrap();
        assert_eq!(
            (answer.status, answer.json()),
            (401, json!({ "message": "Unauthenticated." })),
            "{token}"
        );
    }
    let mut headers = Client::good_headers(service.api_key());
    headers.retain(|header| !header.starts_with("Authorization"));
    let line = format!("GET {} HTTP/1.1", secrets("my-app"));
    assert_eq!(
        Client::new(&service).send(&line, &headers).unwrap().status,
        401
    );
    headers.push(format!("Authorization: Basic {}", service.api_key()));
    assert_eq!(
        Client::new(&service).send(&line, &headers).unwrap().status,
        401
    );
}

fn it_holds_a_key_to_its_scopes() {
    let service = Service::example();
    let cases = [
        (&["secret:read"][..], 200, 403),
        (&["key:retrieve"], 403, 200),
        (&["*"], 200, 200),
        (&[], 403, 403),
    ];
    for (scopes, for_secrets, for_key) in cases {
        let token = service.issue(Key::new().scopes(scopes));
        assert_eq!(
            status(&service, &secrets("my-app"), &token),
            for_secrets,
            "{scopes:?}"
        );
        assert_eq!(
            status(&service, &encryption_key("my-app"), &token),
            for_key,
            "{scopes:?}"
        );
        assert_eq!(
            status(&service, "/api/v1/organization", &token),
            200,
            "{scopes:?}"
        );
    }
    let token = service.issue(Key::new().scopes(&["secret:read"]));
    let answer = Client::new(&service)
        .get(&encryption_key("my-app"), &token)
        .unwrap()
        .json();
    assert_eq!(answer["error"], json!("insufficient_permissions"));
}

fn it_lists_its_keys_to_those_that_may_ask() {
    let service = Service::example();
    let list = format!("/api/v1/organizations/{ORGANIZATION}/api-keys");
    assert_eq!(status(&service, &list, service.api_key()), 403);
    let key = Key::new().scopes(&["api-token:read"]);
    let token = service.issue(key.expires_at("2100-01-01T00:00:00Z"));
    let answer = Client::new(&service).get(&list, &token).unwrap().json();
    let of_key = |index: usize| &answer["data"][index];
    assert_eq!(
        of_key(0)["abilities"],
        json!(["secret:read", "key:retrieve"])
    );
    assert_eq!(of_key(1)["abilities"], json!(["api-token:read"]));
    let ends = [of_key(0), of_key(1)].map(|key| key["expires_at"].clone());
    assert_eq!(ends, [Value::Null, json!("2100-01-01T00:00:00Z")]);
    assert!(!answer.to_string().contains("dotenv_"), "{answer}");
    for (target, expected) in [
        (format!("{list}?page=2"), 200),
        (format!("{list}?page=0"), 404),
        (format!("{list}/1"), 404),
        (list.replace(ORGANIZATION, FOREIGN_ORGANIZATION), 404),
    ] {
        assert_eq!(status(&service, &target, &token), expected, "{target}");
    }
}

fn it_holds_a_key_to_its_restriction() {
    let service = Service::example();
    let token = service.issue(Key::new().restricted_to("my-app/production"));
    assert_eq!(status(&service, &secrets("my-app/production"), &token), 200);
    assert_eq!(
        status(&service, &secrets("my-app/production/api"), &token),
        200
    );
    assert_eq!(status(&service, &secrets("my-app"), &token), 403);
    assert_eq!(
        status(&service, &secrets("managed/production"), &token),
        403
    );
    assert_eq!(status(&service, &encryption_key("my-app"), &token), 200);
    assert_eq!(status(&service, &encryption_key("managed"), &token), 403);
}

fn it_hides_what_belongs_to_another_organization() {
    let service = Service::example();
    let foreign = service.issue(Key::of_organization(FOREIGN_ORGANIZATION));
    let answer = Client::new(&service)
        .get(&secrets("my-app"), &foreign)
        .unwrap();
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (404, &json!("not_found"))
    );
    let elsewhere = secrets("my-app").replace(ORGANIZATION, FOREIGN_ORGANIZATION);
    assert_eq!(status(&service, &elsewhere, service.api_key()), 404);
    assert_eq!(status(&service, &elsewhere, &foreign), 404);
}

fn it_takes_oauth_tokens() {
    let service = Service::example();
    let token = service.issue(Key::new().oauth());
    assert!(!token.starts_with("dotenv_"));
    assert_eq!(status(&service, &secrets("my-app"), &token), 200);
}

fn it_has_certificates_that_no_client_should_accept() {
    for (certificate, defect) in [
        (Certificate::Expired, "Expired"),
        (Certificate::OtherHost, "NotValidForName"),
        (Certificate::SelfSigned, "UnknownIssuer"),
    ] {
        let service = Service::with_certificate(certificate);
        let error = Client::new(&service)
            .get("/api/v1/organization", service.api_key())
            .unwrap_err();
        assert!(format!("{error:?}").contains(defect), "{error:?}");
        assert!(service.requests().is_empty());
    }
}

fn it_replaces_good_answers_only() {
    let service = Service::example();
    let busy = Reply::error(503, "unavailable", "Later.").header("Retry-After", "1");
    service.fail_times(2, Route::Secrets, Fault::Reply(busy));
    service.fail(
        Route::Organization,
        Fault::Reply(Reply::redirect("https://elsewhere.example/")),
    );

    assert_eq!(status(&service, &secrets("my-app"), "unknown"), 401);
    assert_eq!(
        status(&service, &encryption_key("my-app"), service.api_key()),
        200
    );
    let answers = [(); 3].map(|()| status(&service, &secrets("my-app"), service.api_key()));
    assert_eq!(answers, [503, 503, 200]);
    for _ in 0..2 {
        let answer = Client::new(&service)
            .get("/api/v1/organization", service.api_key())
            .unwrap();
        assert!(
            answer.head.contains("Location: https://elsewhere.example/"),
            "{answer:?}"
        );
    }
}

fn it_can_spoil_one_bit_of_a_level() {
    let service = Service::example();
    let client = Client::new(&service);
    let path = secrets("legacy/production");
    let fetch = || {
        let mut document = client.get(&path, service.api_key()).unwrap().json();
        document["data"]["attributes"]["levels"].take()
    };
    let before = fetch();
    service.fail(Route::Secrets, Fault::edit(flip_bit("target", 100)));
    let after = fetch();
    assert_eq!(before["project"], after["project"]);
    let key = data_key(&Custody::legacy().key, None, 1);
    let text = |levels: &Value| open(&key, levels["target"]["content"].as_str().unwrap());
    assert_eq!(text(&before).as_deref(), Some(&b"LOG_LEVEL=debug\n"[..]));
    assert_eq!(text(&after), None);
}

fn it_can_change_the_key_descriptor() {
    let service = Service::example();
    let edit = set_in_descriptor("key_check_iterations", json!("1000"));
    service.fail(Route::EncryptionKey, Fault::edit(edit));
    let answer = Client::new(&service).get(&encryption_key("my-app"), service.api_key());
    let descriptor = descriptor(&answer.unwrap().json());
    assert_eq!(descriptor["key_check_iterations"], json!("1000"));
    assert_eq!(descriptor["managed"], json!("client"));
}

fn it_can_break_the_connection_in_every_way() {
    let service = Service::example();
    let request = request(&secrets("my-app"), service.api_key());
    let exchange = || Client::new(&service).exchange(request.as_bytes());
    let rubbish = b"SSH-2.0-rubbish\r\n";
    service.fail_times(1, Route::Secrets, Fault::Raw(rubbish.to_vec()));
    assert_eq!(exchange().unwrap(), rubbish);
    service.fail_times(1, Route::Secrets, Fault::Close);
    assert_eq!(exchange().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    service.fail_times(1, Route::Secrets, Fault::Reset(b"HTTP".into()));
    assert_eq!(exchange().unwrap_err().kind(), ErrorKind::ConnectionReset);
    let twice = Fault::write(|text| text.repeat(2).into());
    service.fail_times(1, Route::Secrets, twice);
    let [first, second] = [exchange().unwrap(), exchange().unwrap()];
    assert!(first.ends_with(&second[second.len() - 100..]));
    assert!(exchange().unwrap().starts_with(b"HTTP/1.1 200 OK\r\n"));
}

fn it_can_be_slow_until_it_stops() {
    let repeat = Fault::Repeat(Vec::new(), vec![0], Duration::from_millis(1));
    for fault in [Fault::Hang, Fault::Trickle, repeat] {
        let service = Service::plain();
        service.fail(Route::Organization, fault);
        let mut stream = TcpStream::connect(service.address()).unwrap();
        let request = request("/api/v1/organization", service.api_key());
        stream.write_all(request.as_bytes()).unwrap();
        wait_until("the request", || service.requests().len() == 1);
        let reader = thread::spawn(move || stream.read_to_end(&mut Vec::new()));
        let ended = poll(Duration::from_millis(50), || reader.is_finished());
        assert!(!ended, "the answer has come to an end");
        drop(service);
        wait_until("the end of the connection", || reader.is_finished());
    }
}

fn it_can_interrupt_a_connection_at_every_stage() {
    let interrupted = |stage, end| {
        let service = Service::example();
        service.interrupt(0..1, Interruption { stage, end });
        let mut stream = TcpStream::connect(service.address()).unwrap();
        let mut answer = Vec::new();
        // A reset may come before the first byte is sent.
        let sent = stream.write_all(&hello(&service));
        let ended = sent.and_then(|()| stream.read_to_end(&mut answer));
        (ended.map_err(|error| error.kind()), answer, service.heard())
    };
    let (ended, answer, heard) = interrupted(Stage::Accepted, End::Reset);
    assert_eq!(ended, Err(ErrorKind::ConnectionReset));
    assert!(answer.is_empty() && heard.is_empty());
    let (ended, answer, heard) = interrupted(Stage::Greeted, End::Say(b"words".into()));
    assert_eq!((ended, &*answer), (Ok(5), &b"words"[..]));
    assert!(heard.starts_with(&[22, 3, 1]), "{heard:?}");
    // It begins with a ServerHello.
    let (ended, half, _) = interrupted(Stage::Answered, End::Close);
    assert!(ended.is_ok() && half.starts_with(&[22, 3, 3]), "{half:?}");

    let service = Service::example();
    let (stage, end) = (Stage::Secured, End::Reset);
    service.interrupt(1..2, Interruption { stage, end });
    let get = || Client::new(&service).get(&secrets("my-app"), service.api_key());
    assert_eq!(get().unwrap().status, 200);
    assert!(get().is_err());
    assert_eq!(get().unwrap().status, 200);
    assert_eq!(service.requests().len(), 2);
}

/// What a client of TLS begins with.
fn hello(service: &Service) -> Vec<u8> {
    let mut connection = Client::new(service).connection();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

fn it_can_refuse_connections_and_requests() {
    let service = Service::plain();
    service.limit(Rate::new(1, Duration::from_secs(60), true));
    service.refuse_after(3);
    let get = || Client::new(&service).get(&secrets("my-app"), service.api_key());
    assert_eq!(get().unwrap().status, 200);
    let refused = get().unwrap();
    assert_eq!(refused.status, 429);
    assert!(refused.head.contains("\r\nRetry-After: 60"), "{refused:?}");
    assert_eq!(get().unwrap().status, 429);
    // A process that another test is just starting has inherited the socket, up to its execve(2).
    wait_until("connections to be refused", || {
        get().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });

    let service = Service::plain();
    service.limit(Rate::new(1, Duration::from_millis(50), false));
    let get = || status(&service, &secrets("my-app"), service.api_key());
    assert_eq!(get(), 200);
    wait_until("the next window", || get() == 200);
}

fn it_records_what_it_was_asked() {
    let service = Service::example();
    let begin = Instant::now();
    let mut headers = Client::good_headers("t");
    headers.push("Content-Length: 0".into());
    let line = "POST /api/v1/organization?x=1 HTTP/1.1";
    Client::new(&service).send(line, &headers).unwrap();
    let [request]: [Request; 1] = service.requests().try_into().unwrap();
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, "/api/v1/organization?x=1");
    assert_eq!(request.header("authorization"), Some("Bearer t"));
    assert!(request.body.is_empty() && request.received >= begin);
}
