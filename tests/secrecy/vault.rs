//! Projects in which everything that is secret is unmistakable.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::*;

/// The path of the deepest level in the client-managed project.
pub const PATH: &str = "env/production/api";

/// A service and a tree that hold the same, and all that is secret about it.
pub struct Vault {
    pub service: Service,
    pub tree: Tree,
    pub client_key: String,
    pub needles: Needles,
}

impl Vault {
    /// The projects `env` and `json` are client-managed, `managed` is not.
    pub fn new() -> Self {
        let levels = Levels::new();
        let custodies = [Custody::client(), Custody::server()];
        let [client, server] = custodies.map(|custody| Custody {
            key: unmistakable(43),
            ..custody
        });
        let world = || {
            let project = |name, custody: &Custody| Project::new(name, custody.clone());
            World::new(vec![
                levels.put(project("env", &client)),
                levels.put(project("json", &client).format("json")),
                levels.put(project("managed", &server)),
            ])
        };
        let (service, tree) = (Service::of(world()), Tree::of(&world()));
        let mut needles = Needles::new();
        for (name, value) in &levels.secrets {
            needles.add(name, value.as_bytes());
        }
        // What comes before it also stands in the path of every request.
        let (_, secret) = service.api_key().rsplit_once('_').expect("an API key");
        needles.add("API key", secret.as_bytes());
        for (name, custody) in [("client key", &client), ("key of the service", &server)] {
            needles.add_mac_key(name, custody.key.as_bytes());
            let iterations = custody.iterations.expect("a number of iterations");
            let key = data_key(&custody.key, custody.salt.as_deref(), iterations);
            needles.add_data_key(&format!("data key of the {name}"), &key);
        }
        Vault {
            service,
            tree,
            client_key: client.key,
            needles,
        }
    }

    /// A run on the service, with both keys in the environment. PATH is to follow.
    pub fn on_service(&self) -> Run {
        self.service
            .dotenv_run()
            .any_custody()
            .env("DOTENV_CLIENT_KEY", &self.client_key)
    }

    /// A run on the tree, with the client key in the environment. PATH is to follow.
    pub fn on_tree(&self) -> Run {
        self.tree
            .dotenv_run()
            .env("DOTENV_CLIENT_KEY", &self.client_key)
    }
}

/// The variables of a level.
type Variables = BTreeMap<&'static str, String>;

/// Every level of a project, and what in it is secret.
struct Levels {
    levels: [(&'static str, Variables); 3],
    secrets: Vec<(&'static str, String)>,
}

impl Levels {
    /// Values from 8 bytes to several KB, one that is overridden, one of many lines, one with a
    /// reference in it. `ZONE` is the last one, and all of it is secret.
    fn new() -> Self {
        let sizes = [
            ("SHORT", 8),
            ("SHADOWED", 40),
            ("overridden SHADOWED", 40),
            ("LONG", 5000),
            ("URL", 24),
            ("DSN", 24),
            ("ZONE", 32),
        ];
        let [short, shadowed, overridden, long, url, dsn, zone] =
            sizes.map(|(_, size)| unmistakable(size));
        let lines: Vec<_> = (0..25).map(|_| unmistakable(64)).collect();
        let body = lines.join("\n");
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let values = [&short, &shadowed, &overridden, &long, &url, &dsn, &zone];
        let names = sizes.map(|(name, _)| name);
        let secrets = names.into_iter().zip(values.map(String::clone));
        let secrets = secrets.chain([("PEM", body)]).collect();
        let project = [("SHORT", short), ("SHADOWED", overridden), ("PEM", pem)];
        let target = [("LONG", long), ("SHADOWED", shadowed)];
        let environment = [
            ("DSN", format!("postgres://user:{dsn}@${{HOST}}/x")),
            ("HOST", "db.example".into()),
            ("URL", format!("postgres://user:{url}@db.example/x")),
            ("ZONE", zone),
        ];
        let levels = [
            ("", project.into()),
            ("production", target.into()),
            ("production/api", environment.into()),
        ];
        Levels { levels, secrets }
    }

    /// Puts them into a project, in its format.
    fn put(&self, project: Project) -> Project {
        let is_json = project.format == "json";
        let line = |(name, value): (_, &String)| format!("{name}=\"{value}\"\n");
        let levels = self.levels.iter();
        levels.fold(project, |project, (place, variables)| {
            project.level(
                place,
                &match is_json {
                    true => json!(variables).to_string(),
                    false => variables.iter().map(line).collect(),
                },
            )
        })
    }
}
