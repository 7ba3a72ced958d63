//! The serving certificate's files: read, checked, or made for the occasion.

use anyhow::{Context, bail};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The certificate's file in `--cert-dir`, with its chain.
pub const CERTIFICATE: &str = "tls.crt";
/// The key's file in `--cert-dir`.
pub const KEY: &str = "tls.key";
/// The file of the CA that signed a throw-away certificate.
pub const CA: &str = "ca.crt";

/// How long a throw-away certificate is valid.
const THROW_AWAY_DAYS: i64 = 365;

/// Whether a directory has a certificate and its key.
///
/// # Errors
/// One is there and the other is missing: never overwritten, never served.
pub fn is_given(directory: &Path) -> anyhow::Result<bool> {
    let has = |name| directory.join(name).exists();
    let (missing, present) = match (has(CERTIFICATE), has(KEY)) {
        (true, true) => return Ok(true),
        (false, false) => return Ok(false),
        (true, false) => (KEY, CERTIFICATE),
        (false, true) => (CERTIFICATE, KEY),
    };
    bail!("`{missing}` is missing beside `{present}` in `{}`", directory.display())
}

/// A certificate that can be served, and until when.
#[derive(Debug)]
pub struct Certificate {
    /// Chain and key, which belong together.
    pub key: CertifiedKey,
    /// When the first of the chain expires; `None` if its date cannot be read.
    pub expires: Option<Timestamp>,
}

impl Certificate {
    /// Reads a chain and a key in PEM and checks that they belong together.
    ///
    /// # Errors
    /// What is wrong with them, by file.
    pub fn from_pem(chain: &str, key: &str, provider: &CryptoProvider) -> anyhow::Result<Self> {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("`{CERTIFICATE}` is not PEM"))?;
        let Some(leaf) = chain.first() else { bail!("`{CERTIFICATE}` holds no certificate") };
        let expires = validity(leaf).map(|(_, ends)| ends);
        // Of the chain only the leaf is read below; clients refuse it whole for any other that is damaged.
        if let Some(damaged) = chain.iter().skip(1).position(|certificate| validity(certificate).is_none()) {
            bail!("certificate {} of `{CERTIFICATE}` is damaged", damaged + 2);
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .with_context(|| format!("`{KEY}` holds no private key in PEM"))?;
        let key = CertifiedKey::from_der(chain, key, provider)
            .with_context(|| format!("`{CERTIFICATE}` and `{KEY}` cannot be served together"))?;
        Ok(Self { key, expires })
    }
}

/// Makes a CA and a certificate signed by it, and writes `ca.crt`, `tls.crt` and `tls.key`. The CA's key is
/// thrown away at once.
///
/// # Errors
/// Where a file cannot be written.
pub fn make(directory: &Path, listen: IpAddr, namespace: &str) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot create `{}`", directory.display()))?;
    let (ca, leaf, key) = issue(listen, namespace).context("cannot make a certificate")?;
    write(&directory.join(CA), &ca, 0o644)?;
    write(&directory.join(KEY), &key, 0o600)?;
    write(&directory.join(CERTIFICATE), &leaf, 0o644)
}

/// CA, leaf and the leaf's key, all in PEM.
fn issue(listen: IpAddr, namespace: &str) -> anyhow::Result<(String, String, String)> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    ca.distinguished_name.push(DnType::CommonName, "portcullis throw-away CA");
    set_validity(&mut ca)?;
    let ca_certificate = ca.self_signed(&ca_key)?;

    let service = format!("portcullis.{namespace}.svc");
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(["portcullis".to_owned(), format!("portcullis.{namespace}"), service.clone()]);
    names.push(format!("{service}.cluster.local"));
    if !listen.is_unspecified() && !names.contains(&listen.to_string()) {
        names.push(listen.to_string());
    }
    let leaf_key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "portcullis");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    set_validity(&mut leaf)?;
    let leaf_certificate = leaf.signed_by(&leaf_key, &Issuer::from_params(&ca, &ca_key))?;
    Ok((ca_certificate.pem(), leaf_certificate.pem(), leaf_key.serialize_pem()))
}

/// Valid since yesterday, as clocks differ.
fn set_validity(params: &mut CertificateParams) -> anyhow::Result<()> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let day = |days: i64| -> anyhow::Result<_> {
        let date = today.checked_add(days.days())?;
        Ok(date_time_ymd(date.year().into(), u8::try_from(date.month())?, u8::try_from(date.day())?))
    };
    params.not_before = day(-1)?;
    params.not_after = day(THROW_AWAY_DAYS)?;
    Ok(())
}

/// Writes a file whole: beside its place first, then moved there.
fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let fresh = path.with_extension("new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&fresh)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&fresh, path));
    written.with_context(|| format!("cannot write `{}`", path.display()))
}

/// `tbsCertificate.validity` (RFC 5280, 4.1): from when until when a certificate is valid.
pub(crate) fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (_, certificate, _) = der(certificate)?;
    let (_, mut fields, _) = der(certificate)?;
    if let (VERSION, _, rest) = der(fields)? {
        fields = rest;
    }
    // serialNumber, signature, issuer
    for _ in 0..3 {
        (_, _, fields) = der(fields)?;
    }
    let (SEQUENCE, validity, _) = der(fields)? else { return None };
    let (begins_tag, begins, rest) = der(validity)?;
    let (ends_tag, ends, _) = der(rest)?;
    let read = |tag, text| time(tag, std::str::from_utf8(text).ok()?);
    Some((read(begins_tag, begins)?, read(ends_tag, ends)?))
}

/// UTCTime (`YYMMDDhhmmssZ`, 1950 to 2049) or GeneralizedTime (`YYYYMMDDhhmmssZ`).
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    const UTC_TIME: u8 = 0x17;
    let century = match text.get(..2)? {
        _ if tag != UTC_TIME => "",
        year if year < "50" => "20",
        _ => "19",
    };
    let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", format!("{century}{text}")).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The first DER value: its tag, its content, and what follows it.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ ..0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let length = digits.iter().try_fold(0_usize, |length, digit| {
                length.checked_mul(256)?.checked_add(usize::from(*digit))
            })?;
            (length, rest)
        }
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_certificate_is_served_for_a_year() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("certificates");
        make(&path, IpAddr::from([10, 0, 0, 1]), "gate").unwrap();
        assert!(is_given(&path).unwrap());
        let read = |name| fs::read_to_string(path.join(name)).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let certificate = Certificate::from_pem(&read(CERTIFICATE), &read(KEY), &provider).unwrap();
        let left = certificate.expires.unwrap().duration_since(Timestamp::now());
        assert!((364 * 24..=366 * 24).contains(&left.as_hours()), "{left:?}");
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(path.join(KEY)).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let provider = rustls::crypto::ring::default_provider();
        let listen = IpAddr::from([127, 0, 0, 1]);
        let (ca, leaf, own_key) = issue(listen, "a").unwrap();
        let (_, _, key) = issue(listen, "a").unwrap();
        let error = format!("{:#}", Certificate::from_pem(&leaf, &key, &provider).unwrap_err());
        assert!(error.starts_with("`tls.crt` and `tls.key` cannot be served together"), "{error}");
        let damaged = format!("{leaf}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let error = Certificate::from_pem(&damaged, &own_key, &provider).unwrap_err();
        assert_eq!(error.to_string(), "certificate 2 of `tls.crt` is damaged");
        Certificate::from_pem(&format!("{leaf}{ca}"), &own_key, &provider).unwrap();
        for (chain, key) in [("", key.as_str()), (leaf.as_str(), ""), ("garbage", "garbage")] {
            Certificate::from_pem(chain, key, &provider).unwrap_err();
        }
    }

    #[test]
    fn one_file_alone_is_an_error_that_names_the_other() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_given(directory.path()).unwrap());
        fs::write(directory.path().join(KEY), "").unwrap();
        let error = is_given(directory.path()).unwrap_err().to_string();
        assert!(error.starts_with("`tls.crt` is missing beside `tls.key`"), "{error}");
    }

    #[test]
    fn dates_are_read_in_both_forms() {
        assert_eq!(time(0x17, "491231235959Z"), "2049-12-31T23:59:59Z".parse().ok());
        assert_eq!(time(0x17, "500101000000Z"), "1950-01-01T00:00:00Z".parse().ok());
        assert_eq!(time(0x18, "20500101000000Z"), "2050-01-01T00:00:00Z".parse().ok());
        assert_eq!(time(0x18, "soon"), None);
        assert_eq!(validity(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
