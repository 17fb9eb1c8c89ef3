//! What is deployed, held against what it is made of: the image's build context, and what the documents say of the shipped files.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::harness::{folder, path, repository, text};

/// Files below a folder of the repository, as paths in it; build output and what begins with a dot are passed over.
fn files_below(at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(repository(at)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let within = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
        if name.starts_with('.') || within == "target" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&within));
        } else {
            found.push(within);
        }
    }
    found
}

/// Whether a pattern of an ignore file names a path or a folder above it; `*` stands within one name.
fn names(pattern: &str, file: &str) -> bool {
    let fits = |pattern: &str, name: &str| match pattern.split_once('*') {
        None => pattern == name,
        Some((begin, end)) => name.strip_prefix(begin).is_some_and(|rest| rest.ends_with(end)),
    };
    let (patterns, parts) = (pattern.split('/').collect::<Vec<_>>(), file.split('/').collect::<Vec<_>>());
    patterns.len() <= parts.len() && patterns.iter().zip(&parts).all(|(pattern, part)| fits(pattern, part))
}

/// What `docker build` sends: the last line that names a file decides.
fn context() -> BTreeSet<String> {
    let ignored = std::fs::read_to_string(repository("deploy/Dockerfile.dockerignore")).unwrap();
    let lines: Vec<&str> = ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let is_sent = |file: &String| {
        let last = lines.iter().rev().find(|line| names(line.trim_start_matches('!'), file));
        last.is_none_or(|line| line.starts_with('!'))
    };
    files_below("").into_iter().filter(is_sent).collect()
}

/// Sources of all that the manifests of a folder name, as Cargo finds them; what is not there it passes over here, and refuses when it builds.
fn targets(at: &Path) -> BTreeSet<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", path(&at.join("Cargo.toml"))]);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let targets = metadata["packages"].as_array().unwrap().iter().flat_map(|package| package["targets"].as_array().unwrap());
    let root = Path::new(metadata["workspace_root"].as_str().unwrap());
    targets.map(|target| path(Path::new(target["src_path"].as_str().unwrap()).strip_prefix(root).unwrap()).to_owned()).collect()
}

#[test]
fn the_image_is_built_from_all_that_cargo_and_the_sources_name() {
    let context = context();
    let folder = folder();
    for file in &context {
        let to = folder.path().join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(repository(file), to).unwrap();
    }
    let wanted = targets(&repository(""));
    // nengtan, fleet, their libraries, the tests and four benches.
    assert!(9 <= wanted.len(), "{wanted:?}");
    assert_eq!(targets(folder.path()), wanted);
    let mut included = 0;
    for file in context.iter().filter(|file| Path::new(file).extension().is_some_and(|kind| kind == "rs")) {
        let source = std::fs::read_to_string(repository(file)).unwrap();
        for start in ["include_str!(\"", "include_bytes!(\""] {
            for name in source.split(start).skip(1).filter_map(|rest| rest.split_once("\")")).map(|(name, _)| name) {
                let wanted = folder.path().join(file).parent().unwrap().join(name);
                // This very file names the macros.
                assert!(file == "tests/it/deploy.rs" || wanted.is_file(), "{file} includes {name}, which is not in the build context");
                included += 1;
            }
        }
    }
    assert!(20 < included, "{included}");
    // And what the Dockerfile takes from the context is there.
    let dockerfile = std::fs::read_to_string(repository("deploy/Dockerfile")).unwrap();
    let copies: Vec<&str> =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--")).collect();
    assert!(copies.contains(&". ."), "the sources are copied as a whole: {copies:?}");
    for from in copies.iter().map(|line| line.split(' ').next().unwrap()) {
        assert!(folder.path().join(from).exists(), "COPY {from}");
    }
}

#[test]
fn the_brokers_save_as_often_as_the_documents_say() {
    for file in ["nengtan.conf", "nengtan-tls.conf"] {
        let text = std::fs::read_to_string(repository("deploy/mosquitto").join(file)).unwrap();
        let seconds = text.lines().find_map(|line| line.strip_prefix("autosave_interval ")).unwrap();
        assert!(!text.lines().any(|line| line == "autosave_on_changes true"), "then it would count changes, not seconds");
        assert!(text.lines().any(|line| line == "persistence true"), "else nothing is saved");
        let told = std::fs::read_to_string(repository("docs/brokers.md")).unwrap();
        assert!(told.contains(&format!("save sessions every {seconds} seconds")), "{file}: {seconds} s");
    }
}

#[test]
fn compose_refuses_each_secret_that_is_empty() {
    let compose = std::fs::read_to_string(repository("deploy/compose.yaml")).unwrap();
    let (_, secrets) = compose.split_once("\nsecrets:\n").unwrap();
    let names: Vec<&str> = secrets.lines().filter_map(|line| line.strip_prefix("    environment: ")).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for name in names {
        // Compose takes a secret from an empty variable without a word; it stops at a `:?` wherever that stands.
        assert!(compose.contains(&format!("  - ${{{name}:?")), "{name} may be empty");
    }
}
