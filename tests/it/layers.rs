//! Who may name whom: the direction of dependencies, held by reading the sources.

use std::path::{Path, PathBuf};

use crate::harness::repository;

/// A module of `src/` and the modules that it may name, lowest first. `cli` may name all.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("ledger", &["domain"]),
    ("accounting", &["domain"]),
    ("alerts", &["domain", "ledger"]),
    ("wire", &["domain"]),
    ("config", &["domain"]),
    ("lines", &["domain"]),
    ("regulation", &["domain"]),
    ("dispatch", &["domain"]),
    ("store", &["domain", "ledger", "alerts", "accounting", "lines", "regulation"]),
    ("savings", &["domain"]),
    ("claims", &["domain", "accounting", "alerts", "store", "savings", "dispatch"]),
    ("engine", &["domain", "ledger", "alerts", "accounting", "wire", "lines", "regulation", "dispatch", "store", "claims"]),
    ("claiming", &["domain", "accounting", "store"]),
    ("operating", &["domain", "engine"]),
    ("restating", &["domain", "config", "store", "claiming", "engine", "operating"]),
    ("reload", &["config"]),
    ("mqtt", &["config"]),
    ("influx", &["config", "store"]),
    ("outbox", &["domain", "config", "lines", "store", "influx", "mqtt"]),
    ("http", &["outbox"]),
    ("collector", &["domain", "alerts", "wire", "config", "store", "engine", "reload", "restating", "mqtt", "outbox", "http"]),
    ("show", &["domain", "accounting", "wire", "store"]),
    ("report", &["domain", "accounting", "wire", "store", "show"]),
    ("rank", &["domain", "accounting", "wire", "store", "claims", "show", "report"]),
    ("explain", &["domain", "ledger", "accounting", "wire", "show"]),
    ("export", &["domain", "store", "show"]),
    ("verify", &["domain", "ledger", "alerts", "store"]),
    ("demo", &["domain", "config", "store", "claims", "collector", "show"]),
    ("trial", &["domain", "accounting", "config", "regulation", "dispatch", "store", "savings", "claims", "engine", "verify"]),
    (
        "cli",
        &[
            "domain",
            "ledger",
            "accounting",
            "alerts",
            "wire",
            "config",
            "store",
            "engine",
            "claiming",
            "regulation",
            "dispatch",
            "operating",
            "restating",
            "mqtt",
            "influx",
            "collector",
            "show",
            "report",
            "rank",
            "explain",
            "export",
            "verify",
            "savings",
            "claims",
            "demo",
            "trial",
        ],
    ),
];

/// Values in, values out: what the pure modules never name.
const IMPURE: [&str; 10] =
    ["tokio", "serde", "tracing", "rusqlite", "rumqttc", "std::fs", "std::io", "std::net", "SystemTime", "Instant::now"];
const PURE: [&str; 6] = ["domain", "ledger", "accounting", "alerts", "regulation", "dispatch"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Path below the repository and the code before the unit tests, without comments.
fn code(folder: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    sources(&repository(folder), &mut found);
    assert!(!found.is_empty());
    let read = |path: PathBuf| {
        let name = path.strip_prefix(repository("")).unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = before_tests.lines().map(|line| line.split("//").next().unwrap().to_owned()).collect();
        (name, lines)
    };
    found.into_iter().map(read).collect()
}

/// `src/store/read.rs` and `src/store.rs` are of module `store`.
fn module(name: &str) -> &str {
    name.trim_start_matches("src/").split(['/', '.']).next().unwrap()
}

/// The names that follow `crate::` in a line.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").filter_map(|(at, found)| {
        let whole = !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let rest = &line[at + found.len()..];
        let name = rest.split(|end: char| !end.is_alphanumeric() && end != '_').next().unwrap();
        (whole && !name.is_empty()).then_some(name)
    })
}

#[test]
fn a_module_names_only_those_below_it() {
    let mut wrong = Vec::new();
    for (name, lines) in code("src").iter().filter(|(name, _)| !["src/lib.rs", "src/main.rs"].contains(&name.as_str())) {
        let own = module(name);
        let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == own) else {
            wrong.push(format!("{name}: module {own} has no place among the layers of tests/it/layers.rs"));
            continue;
        };
        for line in lines {
            for other in named(line).filter(|other| *other != own && !allowed.contains(other)) {
                wrong.push(format!("{name} names {other}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_layers_have_no_cycle() {
    for (index, (layer, allowed)) in LAYERS.iter().enumerate() {
        for lower in *allowed {
            let place = LAYERS.iter().position(|(layer, _)| layer == lower).unwrap();
            // `demo` stands above `show` and `verify`, which stand beside the collector.
            assert!(place < index, "{layer} may name {lower}, which is not below it");
        }
    }
}

#[test]
fn pure_modules_touch_neither_clock_nor_file_nor_network() {
    let mut wrong = Vec::new();
    for (name, lines) in code("src").iter().filter(|(name, _)| PURE.contains(&module(name))) {
        for line in lines {
            for impure in IMPURE.iter().filter(|impure| line.contains(**impure)) {
                wrong.push(format!("{name} names {impure}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_demo_and_trial_name_the_fleet_and_the_fleet_never_names_the_collector() {
    for (name, lines) in code("src") {
        let may = ["demo", "trial"].contains(&module(&name)) || name == "src/cli/demo.rs";
        assert!(may || !lines.iter().any(|line| line.contains("nengtan_fleet")), "{name} names the fleet");
    }
    for (name, lines) in code("simulators/src") {
        assert!(!lines.iter().any(|line| line.contains("nengtan::")), "{name} names the collector");
    }
    let manifest = std::fs::read_to_string(repository("simulators/Cargo.toml")).unwrap();
    let depends = manifest.lines().any(|line| line.starts_with("nengtan ") || line.starts_with("nengtan.") || line.starts_with("nengtan="));
    assert!(!depends, "the fleet depends on the collector");
}

#[test]
fn the_collector_never_opens_the_truth_or_the_fleets_physics() {
    for (name, lines) in code("src").iter().filter(|(name, _)| !["verify", "demo", "trial", "cli"].contains(&module(name))) {
        assert!(!lines.iter().any(|line| line.contains("fleet.toml") || line.contains("truth.jsonl")), "{name}");
    }
}

#[test]
fn no_source_file_is_much_over_400_lines() {
    for folder in ["src", "simulators/src", "tests/it", "benches", "fuzz/fuzz_targets"] {
        let mut found = Vec::new();
        sources(&repository(folder), &mut found);
        for path in found {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 420, "{} has {lines} lines", path.display());
        }
    }
}
