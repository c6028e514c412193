//! Hosts and networks as they are: of one kind of address, with dead addresses, behind resolvers that are
//! late, silent or wrong, without any network, and with a mirror where a service is swallowed up.

use std::thread;
use std::time::Duration;

use crate::cloud::mirrors::nginx;
use crate::launch::init::{STATIC_BUILD, static_build};
use crate::support::*;

tests![
    a_host_with_one_kind_of_address_is_reached needs(NEIGHBOURS),
    a_dead_address_is_passed_by needs(NEIGHBOURS),
    a_host_with_dead_addresses_only_is_given_up_in_time needs(NEIGHBOURS),
    each_request_looks_its_host_up_once needs(NEIGHBOURS),
    a_host_in_the_file_of_hosts_is_not_looked_up needs(NEIGHBOURS),
    a_resolver_that_is_late_is_waited_for needs(NEIGHBOURS),
    a_resolver_that_says_nothing_is_given_up_in_time needs(NEIGHBOURS),
    a_resolver_that_is_wrong_at_first_is_asked_again needs(NEIGHBOURS),
    a_resolver_that_stays_wrong_is_told_of needs(NEIGHBOURS),
    a_dead_resolver_is_passed_by needs(NEIGHBOURS),
    a_static_program_loads_no_module_for_host_names needs(STATIC_BUILD, STRACE, NAMESPACES),
    without_a_network_it_may_be_tried_again needs(NO_NETWORK),
    a_mirror_takes_over_where_the_service_is_swallowed_up needs(NEIGHBOURS, || tool("nginx")),
];

/// What nsswitch.conf names belongs to the C library of the machine, which may be another version.
fn a_static_program_loads_no_module_for_host_names() {
    let (service, dir) = (Service::plain(), TempDir::new());
    let names = dir.file("nsswitch.conf", "hosts: myhostname mymachines files dns\n");
    let program = static_build().expect("a static build");
    for url in [service.url(), service.url_by_name()] {
        let run = service.dotenv_run().args(["--api-url", &url, "legacy"]);
        let run = run.built_in(program.parent().expect("a directory"));
        let run = run.args(["--", "true"]);
        let run = run.with_mounts(
            &names,
            "touch /etc/nsswitch.conf; mount --bind \"$0\" /etc/nsswitch.conf",
        );
        let trace = strace(run, "open,openat");
        trace.outcome.assert_status(0);
        let ours = trace
            .calls
            .iter()
            .filter(|call| call.arguments.contains("libnss_"));
        assert_eq!(ours.count(), 0, "{:?}", trace.calls);
    }
}

/// Where the resolver of a network is asked.
const RESOLVER: &str = "127.0.0.1:53";

/// The longest time that getting around one thing that is dead may take.
const SOON: Duration = Duration::from_secs(2);

/// A network with the service at these addresses, and with a resolver.
struct Place {
    network: Network,
    service: Service,
    names: Names,
}

impl Place {
    /// The service listens at one address, and its name has these.
    fn new(listening: &str, addresses: &[&str]) -> Self {
        Place::with_resolver(listening, addresses, |_| Answer::Right)
    }

    fn with_resolver(
        listening: &str,
        addresses: &[&str],
        answer: impl Fn(usize) -> Answer + Send + 'static,
    ) -> Self {
        let network = Network::new();
        let at = match listening.contains(':') {
            true => format!("[{listening}]:443"),
            false => format!("{listening}:443"),
        };
        let service = Service::at(network.listen(&at));
        let names = Names::serve(network.datagrams(RESOLVER), addresses, answer);
        Place {
            network,
            service,
            names,
        }
    }

    /// A run that asks the service by its name.
    fn run(&self) -> Run {
        let url = format!("https://{HOST}");
        let run = self
            .service
            .dotenv_run()
            .args(["--api-url", &url, "my-app"]);
        self.network.within(run.client_key())
    }

    /// It gets the secrets, by two requests and no more, in this time.
    #[track_caller]
    fn assert_reached(&self, limit: Duration) -> Outcome {
        let outcome = self.run().assert_shows("APP_NAME", "Acme");
        assert!(outcome.elapsed < limit, "too late\n{outcome}");
        assert_eq!(self.service.targets().len(), 2);
        outcome
    }
}

fn a_host_with_one_kind_of_address_is_reached() {
    for address in HERE {
        Place::new(address, &[address]).assert_reached(SOON);
    }
}

fn a_dead_address_is_passed_by() {
    let [here_4, here_6] = HERE;
    let [swallowed_4, swallowed_6] = BLACK_HOLES;
    for (listening, addresses) in [
        // Swallowed up.
        (here_4, vec![swallowed_6, here_4]),
        (here_6, vec![swallowed_4, here_6]),
        (here_4, vec![swallowed_4, swallowed_6, here_4]),
        (here_6, vec![swallowed_6, swallowed_4, here_6]),
        // Refused.
        (here_4, vec![here_6, here_4]),
        (here_6, vec![here_4, here_6]),
        // Without a route.
        (here_4, vec!["2001:db8:1::1", here_4]),
        (here_6, vec!["198.51.100.1", here_6]),
    ] {
        Place::new(listening, &addresses).assert_reached(SOON);
    }
}

fn a_host_with_dead_addresses_only_is_given_up_in_time() {
    let place = Place::new(HERE[0], &BLACK_HOLES);
    let refused = place.run().args(["--timeout", "0.6"]);
    let refused = refused.refuses(124, &[HOST, "no answer", "0.6 s"]);
    assert!(refused.elapsed < SOON, "{refused}");
    assert!(place.service.targets().is_empty());
}

fn each_request_looks_its_host_up_once() {
    let place = Place::new(HERE[0], &HERE[..1]);
    place.assert_reached(SOON);
    assert_eq!(place.names.questions(), [2, 2]);
}

fn a_host_in_the_file_of_hosts_is_not_looked_up() {
    let place = Place::with_resolver(HERE[0], &BLACK_HOLES, |_| Answer::NoSuchName);
    place.network.hosts(&format!("{} {HOST}\n", HERE[0]));
    place.assert_reached(SOON);
    assert_eq!(place.names.questions(), [0, 0]);
}

fn a_resolver_that_is_late_is_waited_for() {
    let late = Duration::from_millis(1200);
    let place = Place::with_resolver(HERE[0], &HERE[..1], move |_| Answer::Late(late));
    let outcome = place.assert_reached(late + SOON);
    assert!(outcome.elapsed >= late, "{outcome}");
}

fn a_resolver_that_says_nothing_is_given_up_in_time() {
    let place = Place::with_resolver(HERE[0], &HERE[..1], |_| Answer::Silence);
    let refused = place.run().args(["--timeout", "0.6"]);
    let refused = refused.refuses(124, &[HOST, "no answer", "0.6 s"]);
    assert!(refused.elapsed < SOON, "{refused}");
    assert_ne!(place.names.questions(), [0, 0]);
    assert!(place.service.targets().is_empty());
}

/// Long enough that the C library, which asks twice, gives up once.
fn a_resolver_that_is_wrong_at_first_is_asked_again() {
    for wrong in [Answer::Failure, Answer::NoSuchName] {
        let at_first = move |number| if number < 8 { wrong } else { Answer::Right };
        let place = Place::with_resolver(HERE[0], &HERE[..1], at_first);
        let outcome = place.assert_reached(Duration::from_secs(10));
        outcome.assert_status(0);
        assert!(place.names.questions().iter().sum::<usize>() > 8);
    }
}

fn a_resolver_that_stays_wrong_is_told_of() {
    for wrong in [Answer::Failure, Answer::NoSuchName] {
        let place = Place::with_resolver(HERE[0], &HERE[..1], move |_| wrong);
        place.run().refuses(124, &[HOST, "resolved"]);
        assert!(place.service.targets().is_empty());
    }
}

fn a_dead_resolver_is_passed_by() {
    for dead in [BLACK_HOLES[0], HERE[0]] {
        let place = Place::new(HERE[0], &HERE[..1]);
        let resolvers = format!("nameserver {dead}\nnameserver 127.0.0.1\noptions timeout:1\n");
        place.network.resolver(&resolvers);
        place.assert_reached(Duration::from_secs(1) + SOON);
    }
}

/// A run that asks this host, with a mirror or without one.
fn asking(url: &str) -> Run {
    let run = Run::dotenv_run().args(["--api-url", url, "my-app"]);
    run.env("DOTENV_API_KEY", Key::new().token()).client_key()
}

fn without_a_network_it_may_be_tried_again() {
    for (host, reason) in [(BLACK_HOLES[0], "no route"), (HOST, "resolved")] {
        let run = asking(&format!("https://{host}")).args(["--timeout", "2"]);
        let run = run.under(["unshare", "--user", "--map-root-user", "--net"]);
        run.refuses(124, &[host, reason]);
    }
}

fn a_mirror_takes_over_where_the_service_is_swallowed_up() {
    let (network, tree, dir) = (Network::new(), Tree::example(), TempDir::new());
    network.hosts(&format!(
        "{} {HOST}\n{} {HOST}\n",
        BLACK_HOLES[0], BLACK_HOLES[1]
    ));
    let address = "127.0.0.1:8080".parse().expect("an address");
    let (_nginx, url) = nginx(tree.root(), &dir, address, |run| network.within(run));
    let takes_over = |host: &str, time: &[&str], at: f64| {
        let run = asking(&format!("https://{host}")).args(["--mirror", &url]);
        let run = network.within(run.args(time));
        let outcome = run.assert_shows("APP_NAME", "Acme");
        let elapsed = outcome.elapsed.as_secs_f64();
        // Of several addresses, each has its time, and the last begins a little later.
        assert!((at - 0.05..at + 1.5).contains(&elapsed), "{outcome}");
        assert!(
            outcome.stderr.contains("from the mirror 127.0.0.1:8080: "),
            "{outcome}"
        );
    };
    // The time for a connection; and half of all the time, where that is less.
    thread::scope(|scope| {
        scope.spawn(|| takes_over(BLACK_HOLES[0], &[], 5.0));
        scope.spawn(|| takes_over(HOST, &[], 5.0));
        scope.spawn(|| takes_over(BLACK_HOLES[0], &["--timeout", "6"], 3.0));
        scope.spawn(|| takes_over(HOST, &["--timeout", "1"], 0.5));
    });
    let log = std::fs::read_to_string(dir.path().join("access")).expect("the log of nginx");
    assert_eq!(log.matches("\" 200 ").count(), 12, "{log}");
    assert_eq!(
        log.matches("\" 200 authorization: -\n").count(),
        12,
        "{log}"
    );
    assert!(!log.contains("dotenv_"), "{log}");
}
