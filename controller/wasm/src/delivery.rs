//! From what ConfigMaps delivered to a module: parts put together, unpacked within limits, compared with a digest.

use crate::abi::refusal;
use portcullis_core::module::Refusal;
use ring::digest::{SHA256, digest};
use std::io::Read;
use std::sync::Arc;

/// What a module may have in bytes, unpacked.
pub(crate) const MAX_MODULE: usize = 16 << 20;

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// A SHA-256.
pub(crate) type Digest = [u8; 32];

/// The SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let mut sum = Digest::default();
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sum
}

/// A digest as `sha256sum` prints it.
pub(crate) fn hexadecimal(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of what was delivered, without unpacking it, in hexadecimal.
pub fn digest_of(parts: &[Arc<[u8]>]) -> String {
    hexadecimal(&fingerprint(parts))
}

/// A digest of what was delivered, wherever that was cut.
pub(crate) fn fingerprint(parts: &[Arc<[u8]>]) -> Digest {
    let mut context = ring::digest::Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut sum = Digest::default();
    sum.copy_from_slice(context.finish().as_ref());
    sum
}

/// Puts parts together and unpacks them: raw, gzip or zstd, told by their first bytes.
pub(crate) fn unpack(parts: &[Arc<[u8]>]) -> Result<Vec<u8>, Refusal> {
    let whole = parts.concat();
    if whole.starts_with(GZIP) {
        return read(flate2::read::MultiGzDecoder::new(whole.as_slice()), "gzip");
    }
    if whole.starts_with(ZSTD) {
        let mut unpacked = Vec::new();
        let mut rest = whole.as_slice();
        // Several frames in a row are one file.
        while !rest.is_empty() {
            let frame = ruzstd::decoding::StreamingDecoder::new(&mut rest).map_err(|_| broken("zstd"))?;
            unpacked.extend(read(frame, "zstd")?);
            within_limit(unpacked.len())?;
        }
        return Ok(unpacked);
    }
    within_limit(whole.len())?;
    Ok(whole)
}

fn read(packed: impl Read, format: &str) -> Result<Vec<u8>, Refusal> {
    let mut unpacked = Vec::new();
    packed.take(MAX_MODULE as u64 + 1).read_to_end(&mut unpacked).map_err(|_| broken(format))?;
    within_limit(unpacked.len())?;
    Ok(unpacked)
}

fn within_limit(length: usize) -> Result<(), Refusal> {
    if length > MAX_MODULE {
        let message = format!("the module is larger than {} MiB", MAX_MODULE >> 20);
        return Err(refusal(message, None));
    }
    Ok(())
}

fn broken(format: &str) -> Refusal {
    let hint = "what was delivered is cut off or damaged, or its parts are not in order";
    refusal(format!("the module cannot be unpacked: it begins like {format} and is not"), Some(hint))
}

/// Compares a module with the digest that its policy asks for.
pub(crate) fn compare(found: &Digest, expected: Option<&str>) -> Result<(), Refusal> {
    let found = hexadecimal(found);
    match expected {
        Some(expected) if !expected.eq_ignore_ascii_case(&found) => Err(Refusal {
            field: "sha256".to_owned(),
            message: format!("the module's SHA-256 is `{found}`"),
            hint: Some("it is that of the module before it is compressed".to_owned()),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn parts(whole: &[u8], count: usize) -> Vec<Arc<[u8]>> {
        whole.chunks(whole.len().div_ceil(count)).map(Arc::from).collect()
    }

    #[test]
    fn whatever_it_was_packed_with_the_module_comes_out() {
        let module: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for packed in
            [module.clone(), gzip(&module), zstd(&module), [zstd(&module[..9]), zstd(&module[9..])].concat()]
        {
            for count in [1, 3, 8] {
                assert_eq!(unpack(&parts(&packed, count)).unwrap(), module);
            }
        }
    }

    #[test]
    fn what_cannot_be_unpacked_is_refused() {
        let check = |packed: &[u8], message: &str| {
            assert_eq!(unpack(&[Arc::from(packed)]).unwrap_err().message, message);
        };
        let large = vec![0; MAX_MODULE + 1];
        check(&large, "the module is larger than 16 MiB");
        check(&gzip(&large), "the module is larger than 16 MiB");
        check(&zstd(&large), "the module is larger than 16 MiB");
        let (gzip, zstd) = (gzip(b"some bytes"), zstd(b"some bytes"));
        check(&gzip[..15], "the module cannot be unpacked: it begins like gzip and is not");
        check(&zstd[..zstd.len() - 1], "the module cannot be unpacked: it begins like zstd and is not");
    }

    #[test]
    fn a_digest_is_that_of_the_whole() {
        // As `printf portcullis | sha256sum` prints it.
        let whole = "74e19dcd5ceecfb9f1579fda3c43a847f3fad01c8606d85caa17242e9bc99f0e";
        for count in [1, 3, 10] {
            assert_eq!(digest_of(&parts(b"portcullis", count)), whole);
        }
    }

    #[test]
    fn digests_are_compared_whatever_their_case() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(compare(&sha256(b""), Some(empty)), Ok(()));
        assert_eq!(compare(&sha256(b""), Some(&empty.to_uppercase())), Ok(()));
        assert_eq!(compare(&sha256(b""), None), Ok(()));
        let refused = compare(&sha256(b""), Some("00")).unwrap_err();
        assert_eq!(
            (refused.field.as_str(), refused.message),
            ("sha256", format!("the module's SHA-256 is `{empty}`"))
        );
    }
}
