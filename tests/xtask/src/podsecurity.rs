//! `cargo xtask pod-security`: the fixtures of Kubernetes' own Pod Security admission through the policies that we
//! ship. They are read from its published module when this runs.

use crate::test::Tally;
use crate::workspace::{build_portcullis, root};
use crate::{golang, workspace};
use anyhow::{Context, Result, bail};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

const MODULE: &str = "k8s.io/pod-security-admission";
const MODULE_VERSION: &str = "v0.37.2";
const KUBERNETES: &str = "v1.37";
const POLICIES: &str = "policies/isolation";

/// What refuses the failing fixtures of a check.
struct Cover {
    /// As the names of fixtures begin.
    check: &'static str,
    policy: &'static str,
    /// What one of its findings says, so that it is refused for what it is a fixture of.
    saying: &'static str,
}

const fn cover(check: &'static str, policy: &'static str, saying: &'static str) -> Cover {
    Cover { check, policy, saying }
}

/// Host access, privilege and root.
const COVERED: &[Cover] = &[
    cover("hostnamespaces", "no-host-access", "must not be true"),
    cover("hostports", "no-host-access", "uses host port"),
    cover("privileged", "no-root", "must not be privileged"),
    cover("windowshostprocess", "no-root", "must not be a host process"),
    cover("allowprivilegeescalation", "no-root", "allowPrivilegeEscalation to false"),
    cover("runasnonroot", "no-root", "runAsNonRoot to true"),
    cover("runasuser", "no-root", "must not run as user 0"),
];

/// What the library has no policy for yet.
const UNCOVERED: &[&str] = &[
    "apparmorprofile",
    "capabilities_baseline",
    "capabilities_restricted",
    "hostpathvolumes",
    "hostprobesandhostlifecycle",
    "procmount",
    "procmount_restricted",
    "restrictedvolumes",
    "seccompprofile_baseline",
    "seccompprofile_restricted",
    "selinuxoptions",
    "sysctls",
];

/// The policies that have to let a level's passing fixtures pass: the others ask for more than the level does.
const PASSING: &[(&str, &[&str])] =
    &[("baseline", &["no-host-access"]), ("restricted", &["no-host-access", "no-root"])];

pub(crate) fn run() -> Result<ExitCode> {
    let (_, problems) = contest()?;
    workspace::verdict("Pod Security", Ok(problems))
}

/// A run as a phase of the tests.
pub(crate) fn check() -> Result<Tally> {
    let (passed, problems) = contest()?;
    for problem in &problems {
        println!("{problem}");
    }
    Ok(Tally { passed, failed: problems.len() })
}

/// How many fixtures were judged rightly, and what was not right.
fn contest() -> Result<(usize, Vec<String>)> {
    let fixtures = golang::module_at(MODULE, MODULE_VERSION)?.join("test/testdata");
    let program = build_portcullis(false)?;
    let (mut passed, mut problems) = (0, Vec::new());
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (level, policies) in PASSING {
        let folder = fixtures.join(level).join(KUBERNETES);
        for (name, findings) in judge(&program, &folder.join("pass"))? {
            let refused: Vec<&String> =
                findings.keys().filter(|policy| policies.contains(&&***policy)).collect();
            match refused.as_slice() {
                [] => passed += 1,
                _ => problems.push(format!("{level}/pass/{name} is refused by {refused:?}")),
            }
        }
        for (name, findings) in judge(&program, &folder.join("fail"))? {
            let check = name.trim_end_matches(|c: char| c.is_ascii_digit());
            seen.insert(check.to_owned());
            match COVERED.iter().find(|cover| cover.check == check) {
                Some(cover) => match findings.get(cover.policy) {
                    Some(said) if said.iter().any(|said| said.contains(cover.saying)) => passed += 1,
                    said => problems.push(format!(
                        "{level}/fail/{name}: {} does not say `{}`, but {said:?}",
                        cover.policy, cover.saying
                    )),
                },
                None if UNCOVERED.contains(&check) => *open.entry(check.to_owned()).or_default() += 1,
                None => problems.push(format!("{level}/fail/{name}: a check that no list names")),
            }
        }
    }
    let listed = COVERED.iter().map(|cover| cover.check).chain(UNCOVERED.iter().copied());
    problems.extend(
        listed.filter(|check| !seen.contains(*check)).map(|check| format!("no fixture of `{check}`")),
    );
    println!("{passed} fixtures are judged as Pod Security admission does");
    let open: Vec<String> = open.iter().map(|(check, count)| format!("{check} ({count})")).collect();
    println!("failing fixtures of checks without a policy in {POLICIES}: {}", open.join(", "));
    Ok((passed, problems))
}

/// The fixtures of a folder by name, each with what the policies that deny it say.
fn judge(program: &Path, folder: &Path) -> Result<BTreeMap<String, BTreeMap<String, Vec<String>>>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    let mut fixtures = BTreeMap::new();
    for entry in entries {
        fixtures.insert(stem(&entry?.path()), BTreeMap::new());
    }
    let output = Command::new(program)
        .current_dir(root()?)
        .args(["check", "-o", "json", "--log-level", "error", "--complete", "--policies", POLICIES])
        .arg(folder)
        .output()
        .context("cannot start the binary")?;
    if !matches!(output.status.code(), Some(0 | 2)) {
        bail!("`portcullis check`: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let report: Json = serde_json::from_slice(&output.stdout).context("the report is not JSON")?;
    let judged = report["summary"]["objects"].as_u64().unwrap_or_default();
    if judged != fixtures.len() as u64 {
        bail!("{judged} objects are judged of {} in `{}`", fixtures.len(), folder.display());
    }
    for object in report["objects"].as_array().into_iter().flatten() {
        let name = stem(Path::new(object["place"]["file"].as_str().unwrap_or_default()));
        let Some(by_policy) = fixtures.get_mut(&name) else {
            bail!("a report on `{name}`, which is no fixture")
        };
        for judgement in object["judgements"].as_array().into_iter().flatten() {
            if judgement["action"] == "deny" {
                let findings = judgement["findings"].as_array().into_iter().flatten();
                let said = findings.filter_map(|finding| finding["message"].as_str().map(str::to_owned));
                by_policy.insert(judgement["policy"].as_str().unwrap_or_default().to_owned(), said.collect());
            }
        }
    }
    Ok(fixtures)
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}
