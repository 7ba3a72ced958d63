//! A module that does what its settings say: what the SDK promises, as the host sees it.

use portcullis_sdk::{ConfigMap, Error, Reason, Request, Settings, SettingsError, Verdict, log, policy};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Told {
    /// What to do.
    act: Act,
    /// At which numbers the settings are wrong.
    #[serde(default)]
    wrong: Vec<u32>,
}

#[derive(Deserialize)]
enum Act {
    /// Say everything that can be said.
    Say,
    /// Say what of the request can be seen.
    Read,
    /// Say more than a reply holds.
    Flood,
    /// Return an error.
    Fail,
    /// Panic.
    Panic,
    /// Say what is looked up as `maps`.
    LookUp,
    /// Ask for what nobody declares.
    Miss,
}

impl Settings for Told {
    fn validate(&self) -> Vec<SettingsError> {
        let wrong = self.wrong.iter().enumerate();
        wrong.map(|(place, _)| SettingsError::new(format!("wrong[{place}]"), "is wrong")).collect()
    }
}

#[policy]
fn validate(request: Request<Told>) -> Result<Verdict, Error> {
    let mut verdict = Verdict::allowed();
    match request.settings.act {
        Act::Say => {
            log::warn("a line for the log");
            verdict.violation("one").at("data.key").remedy("do it \"well\"").reason(Reason::Forbidden);
            verdict.violation("two");
            verdict.warn("three");
            verdict.annotate("four", 4);
        }
        Act::Read => {
            let (user, map) = (request.user()?, request.config_map()?.ok_or("it is no ConfigMap")?);
            let old = request.old_object::<ConfigMap>()?;
            verdict.violation(format!(
                "{} {:?} {}/{} {} by {} of {:?}, {:?}, {}, dry {}, old {}, pod {}, {}",
                request.policy,
                request.operation()?,
                request.kind.version,
                request.kind.kind,
                request.name,
                user.username,
                user.groups,
                map.data,
                map.metadata.namespace,
                request.dry_run()?,
                old.is_some(),
                request.pod()?.is_some(),
                request.sub_resource()?.is_empty(),
            ));
        }
        Act::Flood => {
            for number in 0..10_000 {
                let message = format!("number {number}: {}", "\"so it is\" ".repeat(100));
                verdict.violation(message).at(format!("data.key{number}"));
            }
            for number in 0..100 {
                verdict.warn("w".repeat(10_000));
                verdict.annotate(&format!("key{number}"), "v".repeat(20_000));
            }
        }
        Act::Fail => return Err("so it is not to be decided".into()),
        Act::LookUp => {
            // Asked for twice, it is there twice.
            let (once, maps) = (request.lookup::<ConfigMap>("maps")?, request.lookup::<ConfigMap>("maps")?);
            let names: Vec<_> =
                maps.iter().map(|map| format!("{} {:?}", map.metadata.name, map.data)).collect();
            verdict.violation(format!("{}: {}", once.len(), names.join(", ")));
        }
        Act::Miss => drop(request.lookup::<ConfigMap>("others")?),
        Act::Panic => assert!(request.name.is_empty(), "{} has a name", request.name),
    }
    Ok(verdict)
}
