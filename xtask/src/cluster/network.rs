//! The network of Pods where the nodes are made from our image: a bridge in every node with the subnet the cluster gave
//! it, and routes to the others.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::debian::text;
use crate::cmd::Cmd;
use crate::ui;

struct Node {
    name: String,
    subnet: String,
    address: String,
}

/// Sets it up, or again: nothing is done twice.
pub(super) fn connect(nodes: &Value) -> Result<()> {
    ui::step("Network of the Pods", || {
        let nodes = parse(nodes)?;
        let folder = tempfile::tempdir()?;
        for node in &nodes {
            let file = folder.path().join("10-oh.conflist");
            std::fs::write(&file, bridge(&node.subnet).to_string())?;
            let target = format!("{}:/etc/cni/net.d/10-oh.conflist", node.name);
            Cmd::new(&["docker", "cp", text(&file)?, &target]).quiet()?;
            for other in nodes.iter().filter(|other| other.name != node.name) {
                let route = ["ip", "route", "replace", &other.subnet, "via", &other.address];
                Cmd::new(&[&["docker", "exec", &node.name], &route[..]].concat()).quiet()?;
            }
        }
        Ok(())
    })
}

/// A configuration for the CNI plugins `bridge` and `portmap`.
fn bridge(subnet: &str) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "oh",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": subnet }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

fn parse(nodes: &Value) -> Result<Vec<Node>> {
    let items = nodes["items"].as_array().context("the list of nodes is none")?;
    let node = |item: &Value| -> Option<Node> {
        let addresses = item["status"]["addresses"].as_array()?;
        let internal = addresses.iter().find(|address| address["type"] == "InternalIP")?;
        Some(Node {
            name: item["metadata"]["name"].as_str()?.to_owned(),
            subnet: item["spec"]["podCIDR"].as_str()?.to_owned(),
            address: internal["address"].as_str()?.to_owned(),
        })
    };
    let unknown = |item: &Value| format!("node {} has no subnet or address", item["metadata"]["name"]);
    items.iter().map(|item| node(item).with_context(|| unknown(item))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_needs_a_subnet_and_an_address() {
        let address =
            json!([{ "type": "Hostname", "address": "n" }, { "type": "InternalIP", "address": "10.0.0.2" }]);
        let whole = json!({
            "metadata": { "name": "n" }, "spec": { "podCIDR": "10.244.1.0/24" }, "status": { "addresses": address },
        });
        let nodes = parse(&json!({ "items": [whole] })).unwrap();
        assert_eq!((nodes[0].subnet.as_str(), nodes[0].address.as_str()), ("10.244.1.0/24", "10.0.0.2"));
        let half = json!({ "metadata": { "name": "n" }, "spec": {}, "status": { "addresses": address } });
        assert!(parse(&json!({ "items": [half] })).is_err());
    }
}
