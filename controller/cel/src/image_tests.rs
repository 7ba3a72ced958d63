//! The table of image references: what they are, and which prefixes they are under.

use super::ImageReference;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Checks the normalised form and whether the reference names its registry.
#[track_caller]
fn check(text: &str, normalised: &str, qualified: bool) {
    let text = text.replace("DIGEST", DIGEST);
    let image = ImageReference::parse(&text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(image.to_string(), normalised.replace("DIGEST", DIGEST), "{text}");
    assert_eq!(image.is_qualified(), qualified, "{text}");
}

#[track_caller]
fn check_refused(text: &str, reason: &str) {
    let text = text.replace("DIGEST", DIGEST);
    match ImageReference::parse(&text) {
        Ok(image) => panic!("`{text}` was taken for {image}"),
        Err(error) => {
            let message = error.to_string();
            assert!(message.ends_with(reason), "{message}");
            assert!(!message.contains(['\n', '\r']) && message.len() < 600, "{message}");
        }
    }
}

#[track_caller]
fn check_under(text: &str, prefix: &str, expected: bool) {
    let image =
        ImageReference::parse(&text.replace("DIGEST", DIGEST)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(image.is_under(prefix), Ok(expected), "{text} under {prefix}");
}

#[track_caller]
fn check_prefix_refused(prefix: &str, reason: &str) {
    let image = ImageReference::parse("ghcr.io/acme/app").unwrap();
    let error = image.is_under(prefix).unwrap_err().to_string();
    assert!(error.ends_with(reason), "{error}");
}

#[test]
fn names_are_normalised() {
    check("nginx", "docker.io/library/nginx", false);
    check("nginx:1.27", "docker.io/library/nginx:1.27", false);
    check("library/nginx", "docker.io/library/nginx", false);
    check("acme/app", "docker.io/acme/app", false);
    check("acme/team/app:v1", "docker.io/acme/team/app:v1", false);
    check("docker.io/nginx", "docker.io/library/nginx", true);
    check("docker.io/acme/app", "docker.io/acme/app", true);
    check("index.docker.io/nginx", "docker.io/library/nginx", true);
    check("index.docker.io/acme/app:1", "docker.io/acme/app:1", true);
    check("localhost/app", "localhost/app", true);
    check("localhost:5000/app:2", "localhost:5000/app:2", true);
    check("registry:5000/app", "registry:5000/app", true);
    check("registry/app", "docker.io/registry/app", false);
    check("registry.example.com/app", "registry.example.com/app", true);
    check("registry.example.com:443/team/app:1", "registry.example.com:443/team/app:1", true);
    check("[::1]:5000/app", "[::1]:5000/app", true);
    check("10.0.0.1/app", "10.0.0.1/app", true);
    check("nginx:5000", "docker.io/library/nginx:5000", false);
}

#[test]
fn other_spellings_of_docker_hub_are_other_registries() {
    check("registry-1.docker.io/library/nginx", "registry-1.docker.io/library/nginx", true);
    check("DOCKER.IO/library/nginx", "DOCKER.IO/library/nginx", true);
    check("docker.io:443/library/nginx", "docker.io:443/library/nginx", true);
    check("Acme/app", "Acme/app", true);
    check("INDEX.docker.io/nginx", "INDEX.docker.io/nginx", true);
}

#[test]
fn tags_and_digests_are_both_kept() {
    check("ghcr.io/acme/app@DIGEST", "ghcr.io/acme/app@DIGEST", true);
    check("ghcr.io/acme/app:1.2@DIGEST", "ghcr.io/acme/app:1.2@DIGEST", true);
    check("nginx@DIGEST", "docker.io/library/nginx@DIGEST", false);
    check("a.b/c_d/e__f/g-h/i---j/k.l:A_b.c-D", "a.b/c_d/e__f/g-h/i---j/k.l:A_b.c-D", true);
    let long_tag = "t".repeat(128);
    check(&format!("a.b/c:{long_tag}"), &format!("a.b/c:{long_tag}"), true);
    let image = ImageReference::parse(&format!("ghcr.io/acme/app:1.2@{DIGEST}")).unwrap();
    assert_eq!((image.tag(), image.digest()), (Some("1.2"), Some(DIGEST)));
    assert_eq!((image.host(), image.repository()), ("ghcr.io", "acme/app"));
    let image = ImageReference::parse("nginx").unwrap();
    assert_eq!((image.tag(), image.digest()), (None, None));
    let sha512 = format!("a.b/c@sha512:{}", "a".repeat(128));
    check(&sha512, &sha512, true);
}

#[test]
fn what_is_no_reference_is_refused() {
    check_refused("", "it is empty");
    check_refused(" nginx", "malformed");
    check_refused("nginx ", "malformed");
    check_refused("nginx\n", "malformed");
    check_refused("ghcr.io/acme/app\nghcr.io/evil", "malformed");
    check_refused("ghcr.io/acme\t/app", "malformed");
    check_refused("ghcr.io/acme/app\0", "malformed");
    check_refused("Nginx", "its path has upper case");
    check_refused("ghcr.io/Acme/app", "its path has upper case");
    check_refused("ghcr.io/acme/APP:1", "its path has upper case");
    check_refused("ghcr.io//app", "empty component");
    check_refused("ghcr.io/", "empty component");
    check_refused("/app", "empty component");
    check_refused("ghcr.io/acme/", "empty component");
    check_refused("ghcr.io/acme//app", "empty component");
    check_refused("ghcr.io/../evil/app", "its path is malformed");
    check_refused("ghcr.io/acme/../evil", "its path is malformed");
    check_refused("../app", "its host is malformed");
    check_refused("./app", "its host is malformed");
    check_refused("ghcr.io/acme/.", "its path is malformed");
    check_refused("ghcr.io/acme/_app", "its path is malformed");
    check_refused("ghcr.io/acme/app-", "its path is malformed");
    check_refused("ghcr.io/a___b", "its path is malformed");
    check_refused("ghcr.io/a..b", "its path is malformed");
    check_refused("ghcr.io/a._b", "its path is malformed");
    check_refused("https://ghcr.io/acme/app", "its port is not a number");
    check_refused("ghcr.io:/app", "its port is not a number");
    check_refused("ghcr.io:80a/app", "its port is not a number");
    check_refused("-ghcr.io/app", "its host is malformed");
    check_refused("ghcr-.io/app", "its host is malformed");
    check_refused("ghcr..io/app", "its host is malformed");
    check_refused("ghcr.io./app", "its host is malformed");
    check_refused("ghcr_x.io/app", "its host is malformed");
    check_refused("[::1/app", "its port is not a number");
    check_refused("[]/app", "its path is malformed");
    check_refused("[]:1/app", "its host is malformed");
    check_refused("[g::1]:1/app", "its host is malformed");
    check_refused("[::1]x:1/app", "its host is malformed");
    check_refused("nginx:", "its tag is malformed");
    check_refused("nginx:.1", "its tag is malformed");
    check_refused("nginx:-1", "its tag is malformed");
    check_refused("nginx:a b", "its tag is malformed");
    check_refused("nginx:1:2", "its path is malformed");
    check_refused(&format!("nginx:{}", "t".repeat(129)), "its tag is malformed");
    check_refused(&"a".repeat(256), "longer than 255 characters");
    check_refused(&"0123456789abcdef".repeat(4), "not by reference");
}

#[test]
fn users_digests_and_look_alikes_are_refused() {
    check_refused("user@ghcr.io/acme/app", "is not a digest");
    check_refused("ghcr.io@evil.com/acme/app", "is not a digest");
    check_refused("ghcr.io/acme/app@DIGEST@DIGEST", "its digest is malformed");
    check_refused("ghcr.io/acme/app@", "is not a digest");
    check_refused("ghcr.io/acme/app@sha256:", "its digest is malformed");
    check_refused("ghcr.io/acme/app@sha256:0123", "its digest is malformed");
    check_refused("ghcr.io/acme/app@DIGEST0", "its digest is malformed");
    check_refused(
        &format!("ghcr.io/acme/app@{}", DIGEST.replace("abcdef", "ABCDEF")),
        "its digest is malformed",
    );
    check_refused(&format!("ghcr.io/acme/app@md5:{}", "0".repeat(32)), "is not a digest");
    check_refused("@DIGEST", "its path has an empty component");
    check_refused(":1@DIGEST", "its path has an empty component");
    check_refused("ghcr.iо/acme/app", "it has characters beyond ASCII");
    check_refused("ghcr.io/асme/app", "it has characters beyond ASCII");
    check_refused("ghcr。io/acme/app", "it has characters beyond ASCII");
    check_refused("ghcr.io/acme/app\u{200b}", "it has characters beyond ASCII");
    check_refused("GHCR.IO\u{212a}/x", "it has characters beyond ASCII");
}

#[test]
fn prefixes_hold_whole_components() {
    check_under("ghcr.io/acme/app:1", "ghcr.io", true);
    check_under("ghcr.io/acme/app:1", "ghcr.io/acme", true);
    check_under("ghcr.io/acme/app:1", "ghcr.io/acme/app", true);
    check_under("ghcr.io/acme/app@DIGEST", "ghcr.io/acme/app", true);
    check_under("ghcr.io/acme/app:1@DIGEST", "ghcr.io/acme", true);
    check_under("ghcr.io/acme/app/sub", "ghcr.io/acme/app", true);
    check_under("ghcr.io/acme/app", "ghcr.io/acme/ap", false);
    check_under("ghcr.io/acme/application", "ghcr.io/acme/app", false);
    check_under("ghcr.io/acme-evil/app", "ghcr.io/acme", false);
    check_under("ghcr.io/acme", "ghcr.io/acme/app", false);
    check_under("registry.example.com.evil.com/app", "registry.example.com", false);
    check_under("evil-registry.example.com/app", "registry.example.com", false);
    check_under("registry.example.com/app", "registry.example.com.evil.com", false);
    check_under("registry.example.com:443/app", "registry.example.com", false);
    check_under("registry.example.com/app", "registry.example.com:443", false);
    check_under("registry.example.com:443/app", "registry.example.com:443", true);
    check_under("registry.example.com:4430/app", "registry.example.com:443", false);
    check_under("GHCR.io/acme/app", "ghcr.io/acme", false);
    check_under("evil.com/ghcr.io/acme/app", "ghcr.io/acme", false);
    check_under("localhost:5000/app", "localhost:5000", true);
    check_under("localhost/app", "localhost:5000", false);
    check_under("registry:5000/app", "registry:5000", true);
}

#[test]
fn docker_hub_has_one_name_and_a_library() {
    check_under("nginx", "docker.io", true);
    check_under("nginx", "docker.io/library", true);
    check_under("nginx", "docker.io/library/nginx", true);
    check_under("nginx", "index.docker.io/library", true);
    check_under("index.docker.io/acme/app", "docker.io/acme", true);
    check_under("acme/app", "docker.io/acme", true);
    check_under("acme/app", "docker.io/library", false);
    check_under("nginx", "docker.io/nginx", false);
    check_under("registry-1.docker.io/library/nginx", "docker.io", false);
    check_under("docker.io:443/library/nginx", "docker.io", false);
    check_under("DOCKER.IO/library/nginx", "docker.io", false);
    check_under("nginx", "ghcr.io", false);
}

#[test]
fn what_is_no_prefix_is_refused() {
    check_prefix_refused("", "it is empty");
    check_prefix_refused("acme", "begin with `docker.io/`");
    check_prefix_refused("acme/app", "begin with `docker.io/`");
    check_prefix_refused("ghcr.io/", "it ends with `/`");
    check_prefix_refused("ghcr.io/acme/", "it ends with `/`");
    check_prefix_refused("ghcr.io/acme:1", "a prefix has no tag");
    check_prefix_refused("ghcr.io/acme/app@sha256:0", "a prefix has no digest");
    check_prefix_refused("ghcr.io/*", "its path is malformed");
    check_prefix_refused("*.example.com", "its host is malformed");
    check_prefix_refused("ghcr.io/Acme", "its path has upper case");
    check_prefix_refused("ghcr.io//acme", "its path has an empty component");
    check_prefix_refused("ghcr.io/../acme", "its path is malformed");
    check_prefix_refused("ghcr.io/acme\n", "its path is malformed");
    check_prefix_refused("https://ghcr.io", "its port is not a number");
    check_prefix_refused("ghcr.iо", "it has characters beyond ASCII");
    check_prefix_refused(" ghcr.io", "its host is malformed");
    check_prefix_refused("ghcr.io:", "its port is not a number");
}
