//! The programs that a cluster is made of, and those that drive it: found where others keep them, else built
//! from their published Go modules, once for each version.

use crate::golang;
use crate::workspace::{root, stdout_of};
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where each program is.
#[derive(Debug, Clone)]
pub(super) struct Components {
    pub(super) etcd: PathBuf,
    pub(super) api_server: PathBuf,
    pub(super) controller_manager: PathBuf,
    pub(super) kubectl: PathBuf,
    pub(super) helm: PathBuf,
}

/// A folder of `tests/go` and the module whose version it fixes.
struct Module {
    folder: &'static str,
    path: &'static str,
}

const NEWEST: Module = Module { folder: "kubernetes", path: "k8s.io/kubernetes" };
const OLDEST: Module = Module { folder: "kubernetes-oldest", path: "k8s.io/kubernetes" };
const ETCD: Module = Module { folder: "etcd", path: "go.etcd.io/etcd/server/v3" };
const HELM: Module = Module { folder: "helm", path: "helm.sh/helm/v4" };

/// A minor version of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Minor {
    /// The newest that there is, or what `KUBEBUILDER_ASSETS` holds.
    Newest,
    /// The oldest that the chart supports.
    Oldest,
}

impl Minor {
    fn module(self) -> &'static Module {
        match self {
            Self::Newest => &NEWEST,
            Self::Oldest => &OLDEST,
        }
    }
}

impl Components {
    /// Finds all of them, and builds those that nobody has. The first time takes minutes.
    ///
    /// # Errors
    /// Go is missing, or a program does not build.
    pub(super) fn find(minor: Minor) -> Result<Self> {
        let module = minor.module();
        let of_kubernetes = |name: &str| {
            let package = format!("k8s.io/kubernetes/cmd/{name}");
            match asset(name).filter(|_| minor == Minor::Newest) {
                Some(asset) => Ok(asset),
                None => cached(name, module, &package),
            }
        };
        Ok(Self {
            etcd: match asset("etcd") {
                Some(etcd) => etcd,
                None => cached("etcd", &ETCD, "go.etcd.io/etcd/server/v3")?,
            },
            api_server: of_kubernetes("kube-apiserver")?,
            controller_manager: of_kubernetes("kube-controller-manager")?,
            kubectl: match installed_kubectl(module)? {
                Some(kubectl) => kubectl,
                None => of_kubernetes("kubectl")?,
            },
            helm: helm()?,
        })
    }
}

/// Helm from PATH, or built.
///
/// # Errors
/// Go is missing, or it does not build.
pub(super) fn helm() -> Result<PathBuf> {
    match installed_helm() {
        Some(helm) => Ok(helm),
        None => cached("helm", &HELM, "helm.sh/helm/v4/cmd/helm"),
    }
}

/// A program out of `KUBEBUILDER_ASSETS` (envtest's convention).
fn asset(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS")?).join(name);
    path.is_file().then_some(path)
}

/// A program out of the cache, else built into it.
fn cached(name: &str, module: &Module, package: &str) -> Result<PathBuf> {
    let version = module.version()?;
    let folder = golang::cache()?.join(format!("{}-{version}", module.folder));
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    // Two runs at a time: the second waits, and finds what the first has built.
    let lock = File::create(folder.join(".lock")).context("cannot lock the cache")?;
    lock.lock().context("cannot lock the cache")?;
    if !path.is_file() {
        build(name, module, package, &version, &path)?;
    }
    Ok(path)
}

fn build(name: &str, module: &Module, package: &str, version: &str, path: &Path) -> Result<()> {
    eprintln!("building {name} {version} from {package}, once; this takes minutes");
    // It takes its name once it is whole.
    let unfinished = path.with_extension("new");
    let mut go = golang::go(&module.path_in_tests()?)?;
    go.args(["build", "-trimpath", "-ldflags", &linker_flags(module, version), "-o"]);
    stdout_of(go.arg(&unfinished).arg(package))?;
    fs::rename(&unfinished, path).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Kubernetes' and Helm's programs compare versions, and refuse one that says none.
fn linker_flags(module: &Module, version: &str) -> String {
    let (major, minor) = major_minor(version).unwrap_or_default();
    match module.folder {
        "kubernetes" | "kubernetes-oldest" => {
            let base = "-X k8s.io/component-base/version.git";
            format!("-s -w {base}Version={version} {base}Major={major} {base}Minor={minor}")
        }
        "helm" => format!("-s -w -X helm.sh/helm/v4/internal/version.version={version}"),
        _ => "-s -w".to_owned(),
    }
}

impl Module {
    fn path_in_tests(&self) -> Result<PathBuf> {
        Ok(root()?.join("tests/go").join(self.folder))
    }

    /// The version that `go.mod` requires.
    fn version(&self) -> Result<String> {
        let path = self.path_in_tests()?.join("go.mod");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        required(&text, self.path).with_context(|| format!("`{}` requires no {}", path.display(), self.path))
    }
}

/// The version in a line `[require] module version [// indirect]`.
fn required(go_mod: &str, module: &str) -> Option<String> {
    go_mod.lines().find_map(|line| {
        let mut words = line.split_whitespace().filter(|word| *word != "require");
        let version = (words.next() == Some(module)).then(|| words.next()).flatten()?;
        version.starts_with('v').then(|| version.to_owned())
    })
}

/// `1.37` of `v1.37.2`.
fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix('v')?.split('.');
    let mut number = || numbers.next()?.trim_end_matches('+').parse().ok();
    Some((number()?, number()?))
}

/// kubectl from PATH, if it is at most one minor version from the API server (Kubernetes' version skew policy).
fn installed_kubectl(server: &Module) -> Result<Option<PathBuf>> {
    let Ok(output) = Command::new("kubectl").args(["version", "--client", "-o", "json"]).output() else {
        return Ok(None);
    };
    let version: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let own = version["clientVersion"]["gitVersion"].as_str().and_then(major_minor);
    let wanted = major_minor(&server.version()?);
    let near = own.zip(wanted).is_some_and(|((major, minor), (wanted_major, wanted_minor))| {
        major == wanted_major && minor.abs_diff(wanted_minor) <= 1
    });
    Ok(near.then(|| PathBuf::from("kubectl")))
}

/// Helm from PATH, if it is Helm 4.
fn installed_helm() -> Option<PathBuf> {
    let output = Command::new("helm").args(["version", "--template", "{{.Version}}"]).output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    major_minor(version.trim()).filter(|(major, _)| *major >= 4).map(|_| PathBuf::from("helm"))
}

#[cfg(test)]
mod tests {
    use super::{major_minor, required};

    #[test]
    fn versions_are_read_from_go_mod() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(required(text, "example.com/a").as_deref(), expect, "{text}");
        };
        check("module x\nrequire example.com/a v1.2.3", Some("v1.2.3"));
        check("require (\n\texample.com/a v1.2.3 // indirect\n)", Some("v1.2.3"));
        check("tool (\n\texample.com/a/cmd\n)\nreplace example.com/a => example.com/a v1.0.0", None);
    }

    #[test]
    fn minor_versions_are_read_as_programs_write_them() {
        assert_eq!(major_minor("v1.37.2"), Some((1, 37)));
        assert_eq!(major_minor("v1.32.4-dispatcher"), Some((1, 32)));
        assert_eq!(major_minor("v1.31+"), Some((1, 31)));
        assert_eq!(major_minor("devel"), None);
    }
}
