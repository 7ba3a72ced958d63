//! An API server for unit tests that gives the answers it is told to.

use super::Inventory;
use crate::cluster::{Cluster, Options};
use serde_json::{Value as Json, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// An API server that gives these answers, one after the other, and then says what it was asked.
pub(crate) fn server(answers: Vec<(u16, String)>) -> (Inventory, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = std::thread::spawn(move || {
        let ask = |(code, body): (u16, String)| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            write!(
                stream,
                "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            head.split_whitespace().nth(1).unwrap().to_owned()
        };
        answers.into_iter().map(ask).collect()
    });
    (inventory(address, Duration::from_secs(60)), asked)
}

/// The cluster of the API server there, which has so long to answer.
pub(crate) fn inventory(address: SocketAddr, timeout: Duration) -> Inventory {
    let file = tempfile::NamedTempFile::new().unwrap();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{}}}}]\nclusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\n"
    );
    std::fs::write(file.path(), kubeconfig).unwrap();
    let options = Options { kubeconfig: Some(file.path().to_owned()), context: None, asks_again: false };
    Inventory::new(Cluster::find(&options, "portcullis").unwrap(), timeout)
}

/// A page of objects, each `name` or `namespace/name`, and what asks for the next one.
pub(crate) fn page(names: &[&str], token: &str) -> (u16, String) {
    let item = |name: &&str| match name.split_once('/') {
        Some((namespace, name)) => json!({"metadata": {"name": name, "namespace": namespace}}),
        None => json!({"metadata": {"name": name}}),
    };
    let items: Vec<Json> = names.iter().map(item).collect();
    let metadata = json!({"continue": token, "remainingItemCount": 7});
    (200, json!({"kind": "PodList", "metadata": metadata, "items": items}).to_string())
}

/// A refusal.
pub(crate) fn status(code: u16) -> (u16, String) {
    let status = json!({"kind": "Status", "status": "Failure", "message": "because", "code": code});
    (code, status.to_string())
}
