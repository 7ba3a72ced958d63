//! Who may talk to the API server, and how: its certificate and keys, tokens, kubeconfigs.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Users that the API server knows by a token of their own: name and groups.
const USERS: [(&str, &str); 3] =
    [("admin", "system:masters"), ("controller-manager", "system:masters"), ("tenant", "tenants")];

/// A folder with everything that servers and clients read.
#[derive(Debug)]
pub(super) struct Access {
    folder: PathBuf,
}

impl Access {
    /// Makes certificate, keys, tokens and policies of an API server.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn make(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        let access = Self { folder };
        let (ca, certificate, key) = certificate()?;
        access.write("ca.crt", &ca)?;
        access.write("tls.crt", &certificate)?;
        access.write("tls.key", &key)?;
        let service_accounts = KeyPair::generate()?;
        access.write("service-accounts.key", &service_accounts.serialize_pem())?;
        access.write("service-accounts.pub", &service_accounts.public_key_pem())?;
        let tokens = USERS.map(|(user, groups)| format!("{user}-token,{user},{user},\"{groups}\"\n"));
        access.write("tokens.csv", &tokens.concat())?;
        // What happened and who did it, but no bodies.
        let audit = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}],
        });
        access.write("audit-policy.yaml", &audit.to_string())?;
        access.write_client()?;
        Ok(access)
    }

    /// The path of a file by its name.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The kubeconfig of a user or service account that was written before.
    pub(super) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.path(&format!("{user}.kubeconfig"))
    }

    /// Writes the kubeconfigs of all users that have a token.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn write_kubeconfigs(&self, server: &str) -> Result<()> {
        USERS
            .iter()
            .try_for_each(|(user, _)| self.write_kubeconfig(user, &format!("{user}-token"), server).map(drop))
    }

    /// Writes a kubeconfig with a token, and returns its path.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write_kubeconfig(&self, user: &str, token: &str, server: &str) -> Result<PathBuf> {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "test",
                "cluster": {"server": server, "certificate-authority": self.path("ca.crt")},
            }],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        });
        let path = self.kubeconfig(user);
        fs::write(&path, config.to_string()).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }

    /// By which webhooks know the API server: a certificate, and where the API server finds it.
    fn write_client(&self) -> Result<()> {
        let (ca, certificate, key) = client_certificate()?;
        for (name, text) in [("clients.crt", &ca), ("client.crt", &certificate), ("client.key", &key)] {
            self.write(name, text)?;
        }
        // One for every webhook, whatever its address.
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "users": [{"name": "*", "user": {
                "client-certificate": self.path("client.crt"),
                "client-key": self.path("client.key"),
            }}],
        });
        self.write("webhooks.kubeconfig", &kubeconfig.to_string())?;
        let version = "apiserver.config.k8s.io/v1";
        let configuration = json!({
            "apiVersion": version,
            "kind": "AdmissionConfiguration",
            "plugins": [{"name": "ValidatingAdmissionWebhook", "configuration": {
                "apiVersion": version,
                "kind": "WebhookAdmissionConfiguration",
                "kubeConfigFile": self.path("webhooks.kubeconfig"),
            }}],
        });
        self.write("admission.yaml", &configuration.to_string())
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
    }
}

/// A CA, and a certificate and key of an API server on this machine.
fn certificate() -> Result<(String, String, String)> {
    let names = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    issue(&names, ExtendedKeyUsagePurpose::ServerAuth)
}

/// A CA, and a certificate and key of a client.
pub(super) fn client_certificate() -> Result<(String, String, String)> {
    issue(&["kube-apiserver"], ExtendedKeyUsagePurpose::ClientAuth)
}

/// A CA, and a certificate and key of it.
pub(super) fn issue(names: &[&str], usage: ExtendedKeyUsagePurpose) -> Result<(String, String, String)> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let ca = authority.self_signed(&key)?.pem();
    let issuer = Issuer::new(authority, key);
    let mut leaf = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    leaf.extended_key_usages = vec![usage];
    let leaf_key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&leaf_key, &issuer)?.pem();
    Ok((ca, certificate, leaf_key.serialize_pem()))
}

/// A file of this folder as text.
pub(super) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}
