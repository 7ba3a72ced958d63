//! Where kinds keep their Pods, and reading what is there.

use crate::json;
use crate::objects::Metadata;
use crate::pod::{ContainerKind, Image, ImageVolume, Pod};
use serde::Deserialize;

/// Where a kind keeps its Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is one.
    Here,
    /// `template`.
    Template,
    /// `spec.template`.
    SpecTemplate,
    /// `spec.jobTemplate.spec.template`.
    JobTemplate,
}

impl Place {
    /// Where a kind keeps it; `None` if it has none.
    pub(crate) fn of(group: &str, kind: &str) -> Option<Self> {
        Some(match (group, kind) {
            ("", "Pod") => Self::Here,
            ("", "PodTemplate") => Self::Template,
            ("", "ReplicationController")
            | ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
            | ("batch", "Job") => Self::SpecTemplate,
            ("batch", "CronJob") => Self::JobTemplate,
            _ => return None,
        })
    }

    /// The path of what has the Pod's `metadata` and `spec`, with a dot at its end.
    fn prefix(self) -> &'static str {
        match self {
            Self::Here => "",
            Self::Template => "template.",
            Self::SpecTemplate => "spec.template.",
            Self::JobTemplate => "spec.jobTemplate.spec.template.",
        }
    }

    /// The Pod there.
    pub(crate) fn pod<'de, T: Default + Deserialize<'de>>(
        self,
        object: &'de str,
    ) -> Result<Pod<T>, json::Error> {
        let Written { metadata, spec } = self.read(object)?;
        Ok(Pod::new(metadata, spec, self.prefix()))
    }

    /// The images that the Pod there uses.
    pub(crate) fn images(self, object: &str) -> Result<Vec<Image>, json::Error> {
        let Images { spec } = self.read(object)?;
        let prefix = self.prefix();
        let lists = [
            (ContainerKind::Container, spec.containers),
            (ContainerKind::Init, spec.init_containers),
            (ContainerKind::Ephemeral, spec.ephemeral_containers),
        ];
        let of_containers = lists.into_iter().flat_map(|(kind, list)| {
            list.into_iter().enumerate().map(move |(index, Used { name, image })| {
                let path = format!("{prefix}spec.{}[{index}].image", kind.field());
                Image { reference: image, name, path }
            })
        });
        let of_volumes = spec.volumes.into_iter().enumerate().filter_map(|(index, volume)| {
            let path = format!("{prefix}spec.volumes[{index}].image.reference");
            Some(Image { reference: volume.image?.reference, name: volume.name, path })
        });
        Ok(of_containers.chain(of_volumes).filter(|image| !image.reference.is_empty()).collect())
    }

    /// Reads what is at that place of an object.
    fn read<'de, T: Default + Deserialize<'de>>(self, object: &'de str) -> Result<T, json::Error> {
        Ok(match self {
            Self::Here => json::read_object(object)?,
            Self::Template => json::read_object::<Template<T>>(object)?.template,
            Self::SpecTemplate => json::read_object::<Spec<Template<T>>>(object)?.spec.template,
            Self::JobTemplate => {
                json::read_object::<Spec<JobTemplate<Spec<Template<T>>>>>(object)?
                    .spec
                    .job_template
                    .spec
                    .template
            }
        })
    }
}

/// A Pod, or the template of one.
#[derive(Default, Deserialize)]
struct Written<T: Default> {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default = "T::default", bound = "T: Default + Deserialize<'de>")]
    spec: T,
}

/// Of a Pod, or the template of one, no more than its images.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Images {
    spec: ImagesOfSpec,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ImagesOfSpec {
    containers: Vec<Used>,
    init_containers: Vec<Used>,
    ephemeral_containers: Vec<Used>,
    volumes: Vec<UsedVolume>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Used {
    name: String,
    image: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UsedVolume {
    name: String,
    image: Option<ImageVolume>,
}

#[derive(Default, Deserialize)]
struct Spec<T: Default> {
    #[serde(default = "T::default", bound = "T: Default + Deserialize<'de>")]
    spec: T,
}

#[derive(Default, Deserialize)]
struct Template<T: Default> {
    #[serde(default = "T::default", bound = "T: Default + Deserialize<'de>")]
    template: T,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobTemplate<T: Default> {
    #[serde(default = "T::default", bound = "T: Default + Deserialize<'de>")]
    job_template: T,
}
