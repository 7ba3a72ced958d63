//! Pods and the templates of Pods, wherever a kind keeps them, with the paths of what is in them.

use crate::objects::Metadata;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Deref;

/// A Pod, or the template of one, and where it is in the object.
#[derive(Debug, Clone, PartialEq)]
pub struct Pod<Spec = PodSpec> {
    /// The Pod's or the template's own metadata.
    pub metadata: Metadata,
    /// The spec, as far as its type reads it.
    pub spec: Spec,
    /// The path of what has `metadata` and `spec`, with a dot at its end: empty for a Pod, `spec.template.` for a Deployment.
    prefix: &'static str,
}

impl<Spec> Pod<Spec> {
    pub(crate) fn new(metadata: Metadata, spec: Spec, prefix: &'static str) -> Self {
        Self { metadata, spec, prefix }
    }

    /// The path in the object of a field of the Pod: `pod.path("spec.hostNetwork")` is `spec.template.spec.hostNetwork` in a
    /// Deployment.
    pub fn path(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }
}

impl Pod {
    /// All containers with their places: regular ones, then init containers, then ephemeral ones.
    pub fn containers(&self) -> impl Iterator<Item = Placed<'_>> {
        let prefix = self.prefix;
        let lists = [
            (ContainerKind::Container, &self.spec.containers),
            (ContainerKind::Init, &self.spec.init_containers),
            (ContainerKind::Ephemeral, &self.spec.ephemeral_containers),
        ];
        lists.into_iter().flat_map(move |(kind, containers)| {
            let numbered = containers.iter().enumerate();
            numbered.map(move |(index, container)| Placed { container, kind, index, prefix })
        })
    }
}

/// A container with its place. It has the fields of [`Container`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed<'a> {
    container: &'a Container,
    /// Which list it is in.
    pub kind: ContainerKind,
    index: usize,
    prefix: &'static str,
}

impl Placed<'_> {
    /// The container's path in the object, such as `spec.template.spec.initContainers[0]`.
    pub fn path(&self) -> String {
        format!("{}spec.{}[{}]", self.prefix, self.kind.field(), self.index)
    }

    /// The path of one of its fields, such as `spec.containers[0].env[2].value`.
    pub fn path_of(&self, field: &str) -> String {
        format!("{}.{field}", self.path())
    }
}

impl Deref for Placed<'_> {
    type Target = Container;

    fn deref(&self) -> &Container {
        self.container
    }
}

/// Which list of a Pod a container is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerKind {
    /// `containers`.
    Container,
    /// `initContainers`, sidecars among them.
    Init,
    /// `ephemeralContainers`.
    Ephemeral,
}

impl ContainerKind {
    /// The name of the list.
    pub fn field(self) -> &'static str {
        match self {
            Self::Container => "containers",
            Self::Init => "initContainers",
            Self::Ephemeral => "ephemeralContainers",
        }
    }
}

/// An image that a Pod uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The reference as written; never empty.
    pub reference: String,
    /// The name of the container, or of the volume.
    pub name: String,
    /// Where the reference is in the object, such as `spec.containers[0].image`.
    pub path: String,
}

/// The spec of a Pod, as far as policies mostly read it. [`Request::pod_as`](crate::Request::pod_as) reads what is not here.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are PodSpec's own")]
pub struct PodSpec {
    /// The regular ones only; [`Pod::containers`] goes over all.
    pub containers: Vec<Container>,
    pub init_containers: Vec<Container>,
    pub ephemeral_containers: Vec<Container>,
    pub volumes: Vec<Volume>,
    pub service_account_name: String,
    pub automount_service_account_token: Option<bool>,
    #[serde(rename = "hostNetwork")]
    pub host_network: bool,
    #[serde(rename = "hostPID")]
    pub host_pid: bool,
    #[serde(rename = "hostIPC")]
    pub host_ipc: bool,
    pub host_users: Option<bool>,
    pub node_name: Option<String>,
    pub node_selector: BTreeMap<String, String>,
    pub priority_class_name: Option<String>,
    pub runtime_class_name: Option<String>,
    pub image_pull_secrets: Vec<Named>,
    pub security_context: PodSecurityContext,
}

/// A container, as far as policies mostly read it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are Container's own")]
pub struct Container {
    pub name: String,
    pub image: String,
    pub image_pull_policy: Option<String>,
    pub lifecycle: Option<Value>,
    pub liveness_probe: Option<Value>,
    pub readiness_probe: Option<Value>,
    pub startup_probe: Option<Value>,
    pub command: Vec<String>,
    pub args: Vec<String>,
    pub env: Vec<EnvVar>,
    pub env_from: Vec<EnvFrom>,
    pub ports: Vec<ContainerPort>,
    pub resources: ResourceRequirements,
    pub volume_mounts: Vec<VolumeMount>,
    pub security_context: SecurityContext,
    pub restart_policy: Option<String>,
}

/// An environment variable.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value, if it is written here.
    pub value: Option<String>,
    /// Where its value comes from, if it is not.
    pub value_from: Option<Value>,
}

/// Variables taken from all keys of something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are EnvFromSource's own")]
pub struct EnvFrom {
    pub prefix: Option<String>,
    pub config_map_ref: Option<Named>,
    pub secret_ref: Option<Named>,
}

/// A reference by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Named {
    /// The name of what is meant.
    pub name: String,
}

/// A port that a container listens on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are ContainerPort's own")]
pub struct ContainerPort {
    pub name: Option<String>,
    pub container_port: i64,
    pub host_port: Option<i64>,
    #[serde(rename = "hostIP")]
    pub host_ip: Option<String>,
    pub protocol: Option<String>,
}

/// Quantities by the name of what is needed, as they are written: texts or numbers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are ResourceRequirements' own")]
pub struct ResourceRequirements {
    pub limits: BTreeMap<String, Value>,
    pub requests: BTreeMap<String, Value>,
}

/// Where a container sees a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are VolumeMount's own")]
pub struct VolumeMount {
    pub name: String,
    pub mount_path: String,
    pub read_only: bool,
}

/// A volume, as far as policies mostly read it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// A file or directory of the node.
    pub host_path: Option<HostPath>,
    /// A Secret.
    pub secret: Option<SecretVolume>,
    /// A ConfigMap.
    pub config_map: Option<Named>,
    /// An image.
    pub image: Option<ImageVolume>,
    /// Several of the others in one.
    pub projected: Option<ProjectedVolume>,
    /// Whatever a driver makes of it.
    pub csi: Option<CsiVolume>,
    /// Memory, or space on the node.
    pub empty_dir: Option<Value>,
    /// A claim of storage.
    pub persistent_volume_claim: Option<Value>,
    /// A claim that is made for the Pod.
    pub ephemeral: Option<Value>,
    /// Fields of the Pod.
    #[serde(rename = "downwardAPI")]
    pub downward_api: Option<Value>,
}

/// A file or directory of the node as a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HostPath {
    /// Where it is on the node.
    pub path: String,
}

/// A Secret as a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecretVolume {
    /// The Secret's name.
    pub secret_name: String,
}

/// Several sources as one volume.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ProjectedVolume {
    /// What is in it.
    pub sources: Vec<VolumeProjection>,
}

/// A part of a volume of several.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeProjection {
    /// A Secret.
    pub secret: Option<Named>,
    /// A ConfigMap.
    pub config_map: Option<Named>,
    /// A token of the Pod's ServiceAccount.
    pub service_account_token: Option<Value>,
    /// Fields of the Pod.
    #[serde(rename = "downwardAPI")]
    pub downward_api: Option<Value>,
    /// Bundles of certificates that the cluster trusts.
    pub cluster_trust_bundle: Option<Value>,
    /// A key and certificate made for the Pod.
    pub pod_certificate: Option<Value>,
}

/// A volume that a driver makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CsiVolume {
    /// The driver's name.
    pub driver: String,
    /// The Secret that the driver is given.
    pub node_publish_secret_ref: Option<Named>,
}

/// An image as a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ImageVolume {
    /// The reference of the image.
    pub reference: String,
}

/// What a container may do to its node, as far as it differs from its Pod's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are SecurityContext's own")]
pub struct SecurityContext {
    pub privileged: Option<bool>,
    pub allow_privilege_escalation: Option<bool>,
    pub read_only_root_filesystem: Option<bool>,
    pub run_as_non_root: Option<bool>,
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    pub proc_mount: Option<String>,
    pub capabilities: Capabilities,
    pub seccomp_profile: Option<SeccompProfile>,
    pub app_armor_profile: Option<SeccompProfile>,
    pub se_linux_options: Option<SeLinuxOptions>,
    pub windows_options: Option<WindowsOptions>,
}

/// What all containers of a Pod may do to their node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are PodSecurityContext's own")]
pub struct PodSecurityContext {
    pub run_as_non_root: Option<bool>,
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    pub fs_group: Option<i64>,
    pub supplemental_groups: Vec<i64>,
    pub seccomp_profile: Option<SeccompProfile>,
    pub app_armor_profile: Option<SeccompProfile>,
    pub se_linux_options: Option<SeLinuxOptions>,
    pub windows_options: Option<WindowsOptions>,
    pub sysctls: Vec<Sysctl>,
}

/// How SELinux sees processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are SELinuxOptions' own")]
pub struct SeLinuxOptions {
    pub user: String,
    pub role: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub level: String,
}

/// What there is on Windows only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WindowsOptions {
    /// Whether it runs as if it were no container.
    pub host_process: Option<bool>,
    /// As whom it runs.
    pub run_as_user_name: Option<String>,
}

/// A parameter of the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Sysctl {
    /// Such as `net.core.somaxconn`.
    pub name: String,
    /// What it is set to.
    pub value: String,
}

/// Linux capabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are Capabilities' own")]
pub struct Capabilities {
    pub add: Vec<String>,
    pub drop: Vec<String>,
}

/// Which system calls are let through; AppArmor's profiles have the same fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SeccompProfile {
    /// `RuntimeDefault`, `Localhost` or `Unconfined`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The profile's file, if it is `Localhost`.
    pub localhost_profile: Option<String>,
}
