//! Formats of tokens that their issuers made recognisable: a prefix, an alphabet, a length and, where that is public, a
//! checksum.

use crate::values::is_varied;

/// A format: what it is of, how it begins, and what the rest consists of.
pub(crate) struct Format {
    pub(crate) kind: &'static str,
    prefix: &'static str,
    alphabet: fn(u8) -> bool,
    /// Characters after the prefix, least and most.
    length: (usize, usize),
    /// What else holds of all that follows the prefix.
    check: fn(&str) -> bool,
}

const fn format(
    kind: &'static str,
    prefix: &'static str,
    alphabet: fn(u8) -> bool,
    least: usize,
    most: usize,
) -> Format {
    Format { kind, prefix, alphabet, length: (least, most), check: |_| true }
}

impl Format {
    const fn checked(mut self, check: fn(&str) -> bool) -> Self {
        self.check = check;
        self
    }

    /// Whether a word is of this format, as a whole.
    fn fits(&self, word: &str) -> bool {
        // Nearly every word and format differ at once, which is cheaper to see than to be told by a comparison of texts.
        if word.as_bytes().first() != self.prefix.as_bytes().first() {
            return false;
        }
        let Some(rest) = word.strip_prefix(self.prefix) else { return false };
        (self.length.0..=self.length.1).contains(&rest.len())
            && rest.bytes().all(self.alphabet)
            && is_varied(rest)
            && (self.check)(rest)
    }
}

fn any(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}
fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}
fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}
fn base32(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'2'..=b'7')
}
fn hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
fn hex_dashed(byte: u8) -> bool {
    hex(byte) || byte == b'-'
}
fn url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
fn dotted(byte: u8) -> bool {
    url(byte) || byte == b'.'
}

/// More than any of these has.
const LONG: usize = 4096;

/// Where two prefixes fit, the first one counts.
const FORMATS: &[Format] = &[
    format("an AWS access key", "AKIA", base32, 16, 16),
    format("an AWS access key", "ASIA", base32, 16, 16),
    format("an AWS Bedrock key", "ABSK", any, 100, 300),
    format("an Alibaba Cloud access key", "LTAI", any, 12, 26),
    format("a Tencent Cloud secret id", "AKID", any, 32, 32),
    format("a Google API key", "AIza", url, 35, 35),
    format("a Google OAuth client secret", "GOCSPX-", url, 28, 28),
    format("a Google OAuth token", "ya29.", dotted, 40, LONG),
    format("a Yandex Cloud key", "AQVN", url, 35, 38),
    format("a GitHub token", "github_pat_", github_fine_grained, 82, 82),
    format("a GitHub token", "ghp_", any, 36, 36).checked(ends_with_checksum),
    format("a GitHub token", "gho_", any, 36, 36).checked(ends_with_checksum),
    format("a GitHub token", "ghu_", any, 36, 36).checked(ends_with_checksum),
    format("a GitHub token", "ghs_", any, 36, 36).checked(ends_with_checksum),
    format("a GitHub token", "ghr_", any, 36, 76).checked(ends_with_checksum),
    format("an npm token", "npm_", any, 36, 36).checked(ends_with_checksum),
    format("a GitLab token", "glpat-", dotted, 20, 64),
    format("a GitLab token", "gldt-", dotted, 20, 64),
    format("a GitLab token", "glrt-", dotted, 20, 64),
    format("a GitLab token", "glptt-", hex, 40, 40),
    format("a GitLab token", "glcbt-", dotted, 20, 96),
    format("a GitLab token", "glsoat-", dotted, 20, 64),
    format("a GitLab token", "glagent-", url, 50, 50),
    format("a GitLab token", "gloas-", hex, 64, 64),
    format("a GitLab token", "GR1348941", url, 20, 20),
    format("a Bitbucket password", "ATBB", any, 32, 32),
    format("an Atlassian token", "ATATT3xFfGF0", url, 100, 300),
    format("a Slack token", "xoxb-", url, 24, 128),
    format("a Slack token", "xoxp-", url, 24, 128),
    format("a Slack token", "xoxa-", url, 24, 128),
    format("a Slack token", "xoxr-", url, 24, 128),
    format("a Slack token", "xoxs-", url, 24, 128),
    format("a Slack token", "xoxe-", url, 24, 256),
    format("a Slack token", "xapp-", url, 24, 256),
    format("a Stripe key", "sk_live_", any, 24, 128),
    format("a Stripe key", "sk_test_", any, 24, 128),
    format("a Stripe key", "rk_live_", any, 24, 128),
    format("a Stripe key", "rk_test_", any, 24, 128),
    format("a Stripe webhook secret", "whsec_", any, 32, 64),
    format("a Square token", "sq0atp-", url, 22, 22),
    format("a Square secret", "sq0csp-", url, 43, 43),
    format("a Shopify token", "shpat_", hex, 32, 32),
    format("a Shopify token", "shpca_", hex, 32, 32),
    format("a Shopify token", "shppa_", hex, 32, 32),
    format("a Shopify secret", "shpss_", hex, 32, 32),
    format("a SendGrid key", "SG.", dotted, 66, 66),
    format("a Mailgun key", "key-", hex, 32, 32),
    format("a Brevo key", "xkeysib-", hex_dashed_any, 81, 81),
    format("a Twilio key", "SK", hex, 32, 32),
    format("a PyPI token", "pypi-AgEIcHlwaS5vcmc", url, 50, LONG),
    format("a PyPI token", "pypi-AgENdGVzdC5weXBpLm9yZw", url, 50, LONG),
    format("a RubyGems key", "rubygems_", hex, 48, 48),
    format("a crates.io token", "cio", any, 32, 32),
    format("a NuGet key", "oy2", lower, 43, 43),
    format("a Docker Hub token", "dckr_pat_", url, 27, 27),
    format("a Docker Hub token", "dckr_oat_", url, 27, 32),
    format("a Vault token", "hvs.", url, 24, LONG),
    format("a Vault token", "hvb.", url, 24, LONG),
    format("a Vault token", "hvr.", url, 24, LONG),
    format("a Vault token", "s.", any, 24, 24).checked(is_mixed),
    format("a Vault token", "b.", any, 24, 200).checked(is_mixed),
    format("a DigitalOcean token", "dop_v1_", hex, 64, 64),
    format("a DigitalOcean token", "doo_v1_", hex, 64, 64),
    format("a DigitalOcean token", "dor_v1_", hex, 64, 64),
    format("a Databricks token", "dapi", hex_dashed, 32, 34),
    format("a Heroku key", "HRKU-AA", url, 58, 58),
    format("a New Relic key", "NRAK-", upper, 27, 27),
    format("a Grafana token", "glsa_", grafana, 41, 41),
    format("a Grafana token", "glc_eyJ", url, 32, 400),
    format("a Sentry token", "sntrys_eyJ", dotted, 60, 400),
    format("a Sentry token", "sntryu_", hex, 64, 64),
    format("a Dynatrace token", "dt0c01.", dynatrace, 89, 89),
    format("a SonarQube token", "squ_", hex, 40, 40),
    format("a SonarQube token", "sqp_", hex, 40, 40),
    format("a SonarQube token", "sqa_", hex, 40, 40),
    format("an Artifactory key", "AKCp", any, 69, 73),
    format("an Artifactory token", "cmVmdGtu", any, 56, 56),
    format("a CircleCI token", "CCIPAT_", url, 40, 80),
    format("a Buildkite token", "bkua_", hex, 40, 40),
    format("a Pulumi token", "pul-", hex, 40, 40),
    format("a Doppler token", "dp.pt.", any, 40, 44),
    format("a Doppler token", "dp.st.", dotted, 40, 80),
    format("a 1Password service account", "ops_eyJ", url, 100, LONG),
    format("an age key", "AGE-SECRET-KEY-1", upper, 58, 58),
    format("a PlanetScale password", "pscale_pw_", dotted, 32, 64),
    format("a PlanetScale token", "pscale_tkn_", dotted, 32, 64),
    format("a Supabase token", "sbp_", hex, 40, 40),
    format("a Linear key", "lin_api_", any, 40, 40),
    format("a Notion token", "ntn_", any, 43, 50),
    format("a Figma token", "figd_", url, 40, 60),
    format("a Postman key", "PMAK-", hex_dashed, 59, 59),
    format("a Contentful token", "CFPAT-", url, 43, 43),
    format("an Airtable token", "pat", airtable, 79, 79)
        .checked(|rest| rest.as_bytes().get(14) == Some(&b'.')),
    format("an Anthropic key", "sk-ant-", url, 80, 120),
    format("an OpenAI key", "sk-proj-", url, 40, 200),
    format("an OpenAI key", "sk-svcacct-", url, 40, 200),
    format("an OpenAI key", "sk-", any, 48, 48).checked(|rest| rest.contains("T3BlbkFJ")),
    format("a Hugging Face token", "hf_", any, 34, 37),
    format("a Groq key", "gsk_", any, 52, 52),
    format("a Replicate token", "r8_", any, 37, 40),
    format("a Mapbox token", "sk.eyJ", dotted, 60, 200),
];

fn github_fine_grained(byte: u8) -> bool {
    any(byte) || byte == b'_'
}
fn hex_dashed_any(byte: u8) -> bool {
    any(byte) || byte == b'-'
}
fn grafana(byte: u8) -> bool {
    any(byte) || byte == b'_'
}
fn dynatrace(byte: u8) -> bool {
    upper(byte) || byte == b'.'
}
fn airtable(byte: u8) -> bool {
    any(byte) || byte == b'.'
}

fn is_mixed(rest: &str) -> bool {
    let has = |class: fn(&u8) -> bool| rest.as_bytes().iter().any(class);
    has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
}

/// What a word is a token of: one without spaces, quotes, `=`, `:` and `/`.
pub(crate) fn kind_of(word: &str) -> Option<&'static str> {
    if word.len() < 15 {
        return None;
    }
    if let Some(format) = FORMATS.iter().find(|format| format.fits(word)) {
        return Some(format.kind);
    }
    if is_json_web_token(word) {
        return Some("a JSON web token");
    }
    if is_entra_secret(word) {
        return Some("an Azure client secret");
    }
    let is_terraform = word.split_once(".atlasv1.").is_some_and(|(id, secret)| {
        id.len() == 14 && (60..=70).contains(&secret.len()) && word.bytes().all(dotted)
    });
    is_terraform.then_some("a Terraform token")
}

/// RFC 7519 in its compact form: two JSON objects and a signature.
fn is_json_web_token(word: &str) -> bool {
    let mut parts = word.split('.');
    let (Some(header), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_object = |part: &str| part.starts_with("eyJ") && part.len() >= 12 && part.bytes().all(url);
    is_object(header)
        && is_object(claims)
        && signature.len() >= 20
        && signature.bytes().all(url)
        && is_varied(signature)
}

/// Three characters, a digit, `Q~` and 31 to 34 more.
fn is_entra_secret(word: &str) -> bool {
    let bytes = word.as_bytes();
    let of_secret = |byte: &u8| dotted(*byte) || *byte == b'~';
    (37..=40).contains(&bytes.len())
        && bytes.get(3).is_some_and(u8::is_ascii_digit)
        && bytes.get(4..6) == Some(b"Q~".as_slice())
        && bytes.iter().all(of_secret)
        && is_varied(word)
}

/// GitHub's and npm's tokens end with the CRC-32 of what is before, as six digits of base 62.
fn ends_with_checksum(rest: &str) -> bool {
    let Some((entropy, checksum)) = rest.split_at_checked(rest.len().saturating_sub(6)) else { return false };
    base62(crc32(entropy.as_bytes())) == checksum.as_bytes()
}

pub(crate) fn base62(mut number: u32) -> [u8; 6] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = [b'0'; 6];
    for place in text.iter_mut().rev() {
        *place = DIGITS.get((number % 62) as usize).copied().unwrap_or_default();
        number /= 62;
    }
    text
}

/// As in Ethernet and zip, bit by bit: what is checked is short and rare.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg()))
    })
}
