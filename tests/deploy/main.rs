//! Deployments, from the command line to the API server: what is written is valid to Kubernetes, and
//! what is applied, waited for, shown, scaled and deleted is so on a server that speaks its protocol.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod api_server;
mod cluster;
mod deployments;
mod kserve;
mod real_cluster;
mod refused;
mod rights;
mod schemas;
#[path = "../command_line/terminal.rs"]
mod terminal;

use api_server::{ApiServer, Behaviour};
use terminal::Terminal;

const IMAGE: &str = "registry.example.com/iris:1";
const RUNTIME_IMAGE: &str = "registry.example.com/mlrs:0.1";

/// A terminal whose kubeconfig leads to a cluster.
fn with_cluster(behaviour: Behaviour) -> (Terminal, ApiServer) {
    let server = ApiServer::start(behaviour);
    let mut terminal = Terminal::new();
    let config = terminal.path("kubeconfig");
    server.write_kubeconfig(&config);
    terminal.set("KUBECONFIG", config.display().to_string());
    terminal.set("MLRS_RUNTIME_IMAGE", RUNTIME_IMAGE);
    (terminal, server)
}
