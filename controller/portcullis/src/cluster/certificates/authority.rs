//! Authorities and the certificates that they sign, renewed so that nobody who asks us ever has to trust what
//! they do not know yet.
//!
//! A new authority is first only added to the bundle that clients trust. Its first certificate is served once
//! they have had the time to learn of it, and the old authority is forgotten some time after that.

use super::super::describe;
use crate::webhook::certificate::{Certificate, validity};
use anyhow::{Context, anyhow, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Certificates are valid since so long before they were made, as clocks differ.
const SKEW: SignedDuration = SignedDuration::from_hours(24);
/// How long clients have to learn of a new authority, at most.
const OVERLAP: SignedDuration = SignedDuration::from_mins(5);

/// Keys of the Secret; those of `kubernetes.io/tls`, and the authority's.
const BUNDLE: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const CHAIN: &str = "tls.crt";
const KEY: &str = "tls.key";

/// What the Secret holds, all in PEM.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Material {
    /// The authorities that clients trust, the newest first.
    bundle: String,
    /// The newest authority's key.
    authority_key: String,
    chain: String,
    key: String,
}

/// What certificates are to be like.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// DNS names and addresses by which clients reach us.
    pub(super) names: Vec<String>,
    /// How long a certificate is valid.
    pub(super) lifetime: SignedDuration,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet.
    Nothing,
    /// Authority and certificate: there are none that could be used.
    Everything,
    /// A new authority, for clients to learn of.
    Authority,
    /// A certificate of the newest authority.
    Certificate,
    /// Every authority but the newest may go.
    Forget,
}

impl Material {
    /// Reads a Secret's data.
    ///
    /// # Errors
    /// Something is missing, damaged, or does not belong together.
    pub(super) fn from_secret(data: &BTreeMap<String, ByteString>) -> anyhow::Result<Self> {
        let text = |key: &str| {
            let bytes = &data.get(key).with_context(|| format!("`{key}` is missing"))?.0;
            String::from_utf8(bytes.clone()).map_err(|_| anyhow!("`{key}` is not text"))
        };
        let (bundle, authority_key) = (text(BUNDLE)?, text(AUTHORITY_KEY)?);
        let material = Self { bundle, authority_key, chain: text(CHAIN)?, key: text(KEY)? };
        ensure!(!material.authorities()?.is_empty(), "`{BUNDLE}` holds no certificate");
        material.certificate(&provider())?;
        Ok(material)
    }

    /// The same as a Secret's data.
    pub(super) fn to_secret(&self) -> BTreeMap<String, ByteString> {
        let Self { bundle, authority_key, chain, key } = self;
        [(BUNDLE, bundle), (AUTHORITY_KEY, authority_key), (CHAIN, chain), (KEY, key)]
            .into_iter()
            .map(|(name, text)| (name.to_owned(), ByteString(text.clone().into_bytes())))
            .collect()
    }

    /// What clients have to trust.
    pub(super) fn bundle(&self) -> &str {
        &self.bundle
    }

    /// What is served.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn certificate(&self, provider: &CryptoProvider) -> anyhow::Result<Certificate> {
        Certificate::from_pem(&self.chain, &self.key, provider)
    }

    fn authorities(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        CertificateDer::pem_slice_iter(self.bundle.as_bytes())
            .collect::<Result<_, _>>()
            .with_context(|| format!("`{BUNDLE}` is not PEM"))
    }

    /// What is to be done at this time.
    pub(super) fn next(&self, wanted: &Wanted, now: Timestamp) -> Step {
        self.judged(wanted, now).unwrap_or(Step::Everything)
    }

    fn judged(&self, wanted: &Wanted, now: Timestamp) -> anyhow::Result<Step> {
        let authorities = self.authorities()?;
        let newest = authorities.first().context("there is no authority")?;
        let leaf = CertificateDer::from_pem_slice(self.chain.as_bytes())?;
        let (own, authority) = (Life::of(&leaf)?, Life::of(newest)?);
        let overlap = wanted.overlap();
        if verify(&leaf, &authorities, &wanted.names, now).is_err() {
            // Nobody is served now: nothing can be lost by haste.
            let can_sign = authority.ends > now && KeyPair::from_pem(&self.authority_key).is_ok();
            return Ok(if can_sign { Step::Certificate } else { Step::Everything });
        }
        if authority.is_due(now) {
            return Ok(Step::Authority);
        }
        let is_known = authority.issued + overlap <= now;
        let is_of_newest = verify(&leaf, std::slice::from_ref(newest), &wanted.names, now).is_ok();
        Ok(if is_known && (!is_of_newest || own.is_due(now)) {
            Step::Certificate
        } else if authorities.len() > 1 && is_of_newest && own.issued + overlap <= now {
            Step::Forget
        } else {
            Step::Nothing
        })
    }

    /// Does a step; from nothing, every step makes everything.
    ///
    /// # Errors
    /// A key or certificate cannot be made.
    pub(super) fn after(
        old: Option<&Self>,
        step: Step,
        wanted: &Wanted,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let Some(old) = old else { return Self::everything(wanted, now, "") };
        match step {
            Step::Nothing => Ok(old.clone()),
            Step::Everything => Self::everything(wanted, now, ""),
            Step::Authority => {
                let (authority, authority_key) = authority(wanted, now)?;
                Ok(Self { bundle: authority + &old.bundle, authority_key, ..old.clone() })
            }
            Step::Certificate => {
                let (chain, key) = leaf(&old.authority_key, wanted, now)?;
                let new = Self { chain, key, ..old.clone() };
                // The authority's key may be another's: then this would never come to an end.
                if new.next(wanted, now) == Step::Certificate {
                    return Self::everything(wanted, now, &old.bundle);
                }
                Ok(new)
            }
            Step::Forget => {
                const END: &str = "-----END CERTIFICATE-----\n";
                let newest = old.bundle.split_inclusive(END).next().unwrap_or_default().to_owned();
                Ok(Self { bundle: newest, ..old.clone() })
            }
        }
    }

    /// A new authority and its certificate, beside authorities that may still be in use.
    fn everything(wanted: &Wanted, now: Timestamp, others: &str) -> anyhow::Result<Self> {
        let (authority, authority_key) = authority(wanted, now)?;
        let (chain, key) = leaf(&authority_key, wanted, now)?;
        Ok(Self { bundle: authority + others, authority_key, chain, key })
    }
}

impl Wanted {
    fn overlap(&self) -> SignedDuration {
        OVERLAP.min(self.lifetime / 10)
    }
}

/// From when until when something is valid.
struct Life {
    issued: Timestamp,
    ends: Timestamp,
}

impl Life {
    fn of(certificate: &CertificateDer<'_>) -> anyhow::Result<Self> {
        let (begins, ends) = validity(certificate).context("its dates cannot be read")?;
        Ok(Self { issued: begins + SKEW, ends })
    }

    /// Whether two thirds of it have passed.
    fn is_due(&self, now: Timestamp) -> bool {
        self.issued + self.ends.duration_since(self.issued) / 3 * 2 <= now
    }
}

/// The crypto that we serve with.
pub(super) fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// Whether clients that trust these authorities accept a certificate, by every name.
fn verify(
    leaf: &CertificateDer<'_>,
    authorities: &[CertificateDer<'static>],
    names: &[String],
    now: Timestamp,
) -> anyhow::Result<()> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone())?;
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider())).build()?;
    let now = Duration::try_from(now.as_duration()).context("it is before 1970")?;
    for name in names {
        let server = ServerName::try_from(name.as_str())?;
        verifier
            .verify_server_cert(leaf, &[], &server, &[], UnixTime::since_unix_epoch(now))
            .map_err(|error| anyhow!("`{name}`: {}", describe(&error)))?;
    }
    Ok(())
}

/// An authority and its key.
fn authority(wanted: &Wanted, now: Timestamp) -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params = authority_params()?;
    set_life(&mut params, now, wanted.lifetime * 4)?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// What certificates say of their authority. Authorities share it, and differ by their keys.
fn authority_params() -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, "portcullis CA");
    Ok(params)
}

/// A certificate signed with an authority's key, and its own key.
fn leaf(authority_key: &str, wanted: &Wanted, now: Timestamp) -> anyhow::Result<(String, String)> {
    let issuer = Issuer::new(authority_params()?, KeyPair::from_pem(authority_key)?);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(wanted.names.clone())?;
    params.distinguished_name.push(DnType::CommonName, "portcullis");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_life(&mut params, now, wanted.lifetime)?;
    Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
}

fn set_life(params: &mut CertificateParams, now: Timestamp, lifetime: SignedDuration) -> anyhow::Result<()> {
    let at = |time: Timestamp| -> anyhow::Result<_> {
        Ok(date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(time.as_second())?))
    };
    params.not_before = at(now - SKEW)?;
    params.not_after = at(now + lifetime)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> Wanted {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Wanted { names, lifetime: SignedDuration::from_hours(90 * 24) }
    }

    fn accepts(client: &Material, server: &Material, now: Timestamp) -> anyhow::Result<()> {
        let leaf = CertificateDer::from_pem_slice(server.chain.as_bytes())?;
        verify(&leaf, &client.authorities()?, &wanted(&["portcullis.gate.svc"]).names, now)
    }

    #[test]
    fn over_ten_years_no_client_meets_what_it_does_not_know() {
        let wanted = wanted(&["portcullis.gate.svc", "127.0.0.1"]);
        let mut now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let end = now + SignedDuration::from_hours(3_650 * 24);
        let mut current = Material::after(None, Step::Nothing, &wanted, now).unwrap();
        let (mut before, mut since, mut steps) = (current.clone(), now, Vec::new());
        while now < end {
            let step = current.next(&wanted, now);
            let next = Material::after(Some(&current), step, &wanted, now).unwrap();
            if step != Step::Nothing {
                steps.push(step);
                before = std::mem::replace(&mut current, next);
                since = now;
            }
            if since + OVERLAP < now {
                before.clone_from(&current);
            }
            // For a while one side is a step behind the other.
            for (client, server) in [(&current, &current), (&before, &current), (&current, &before)] {
                accepts(client, server, now).unwrap_or_else(|error| panic!("{now} {steps:?}: {error}"));
            }
            let is_busy = step != Step::Nothing || current.bundle.matches("BEGIN").count() > 1;
            now += if is_busy { SignedDuration::from_mins(1) } else { SignedDuration::from_hours(48) };
        }
        let count = |step| steps.iter().filter(|other| **other == step).count();
        assert!((55..=65).contains(&count(Step::Certificate)), "{}", count(Step::Certificate));
        assert_eq!((count(Step::Authority), count(Step::Everything)), (15, 0), "{steps:?}");
        assert_eq!(count(Step::Authority), count(Step::Forget));
    }

    #[test]
    fn what_cannot_be_used_is_made_again() {
        let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let sound = Material::after(None, Step::Nothing, &wanted(&["a.svc"]), now).unwrap();
        let other = Material::after(None, Step::Nothing, &wanted(&["a.svc"]), now).unwrap();
        let check = |material: &Material, names: &[&str], days: i32, expect: Step| {
            let now = now + SignedDuration::from_hours(24 * i64::from(days));
            assert_eq!(material.next(&wanted(names), now), expect);
            let made = Material::after(Some(material), expect, &wanted(names), now).unwrap();
            assert!(
                matches!(made.next(&wanted(names), now), Step::Nothing),
                "{:?}",
                made.next(&wanted(names), now)
            );
        };
        check(&sound, &["a.svc"], 0, Step::Nothing);
        check(&sound, &["a.svc", "b.svc"], 1, Step::Certificate);
        check(&sound, &["a.svc"], 91, Step::Certificate);
        check(&sound, &["a.svc"], 400, Step::Everything);
        let foreign = Material { chain: other.chain.clone(), key: other.key.clone(), ..sound.clone() };
        check(&foreign, &["a.svc"], 0, Step::Certificate);
        let foreign_key = Material { authority_key: other.authority_key.clone(), ..foreign };
        check(&foreign_key, &["a.svc"], 0, Step::Certificate);
    }

    #[test]
    fn a_damaged_secret_is_told_from_a_sound_one() {
        let now = Timestamp::now();
        let sound = Material::after(None, Step::Nothing, &wanted(&["a.svc"]), now).unwrap().to_secret();
        Material::from_secret(&sound).unwrap();
        let check = |key: &str, text: Option<&str>, expect: &str| {
            let mut data = sound.clone();
            match text {
                Some(text) => data.insert(key.to_owned(), ByteString(text.into())),
                None => data.remove(key),
            };
            let error = Material::from_secret(&data).map(drop).unwrap_err().to_string();
            assert!(error.starts_with(expect), "{error}");
        };
        check("tls.key", None, "`tls.key` is missing");
        check("tls.crt", Some("x"), "`tls.crt` holds no certificate");
        check("ca.crt", Some(""), "`ca.crt` holds no certificate");
    }
}
